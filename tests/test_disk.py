"""Disks that are full, gone, read-only or damaged: a clear word, exit 74, nothing half-written, and a way on."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from command_line import PROGRAM, Ended, llmflow, masked, pipeline
from kill_child import FILLINGS, Job, Killers
from kill_trials import Counted, Trials, at_every_event, broken, shapes, text_of
from store_damage import Flips, cut_wrongly, flip, grow_disk, integrity, small_disk, written_log

from llmflow.history import schema, stories
from llmflow.history.store import Store

WORDS = " ".join(str(random.Random(7).random()) for _ in range(300))
"""About 6 kB that no compression makes small."""

CHAIN = (
    "providers: {mock: {answers: LONG}}\ndefaults: {model: mock/m}\ntasks:\n  t0: {prompt: begin}\n"
    + "".join(f"  t{n}: {{prompt: '{n} {{{{ tasks.t{n - 1}.output }}}}'}}\n" for n in range(1, 12))
).replace("LONG", f"'{WORDS}'")


class Chain:
    """Twelve calls whose answers have no room, counted from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"
        self.path = pipeline(folder, CHAIN)

    def run(self, store: Path, *words: str, program: tuple[str, ...] = PROGRAM, limit: int = 0) -> Ended:
        """`limit`: bytes that no file may grow beyond."""
        done = subprocess.run(
            [*program, "run", *words, "--store", str(store), "--plain"],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env={**os.environ, "LLMFLOW_MOCK_CALLS": str(self.calls)},
            preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def paid(self) -> Counter[str]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return Counter(json.loads(line)["task"] for line in lines)


def told_and_resumed(chain: Chain, store: Path, ended: Ended, make_room: Callable[[], None]) -> list[str]:
    """Everything that is wrong with a run that had no room, and with the one that goes on from it."""
    database, wrong = store / "history.db", []
    *_, line, hint, way_on = ["", "", *ended.err.splitlines()]
    if (ended.code, ended.out, "Traceback" in ended.err) != (74, "", False):
        wrong.append(f"{ended}")
    if not line.startswith(f"{database}: ") or not hint.startswith("  hint: make room for 0."):
        wrong.append(f"unclear: {ended.err}")
    if masked(way_on) != f"to go on: llmflow run --resume RUN --store {store}":
        wrong.append(f"no way on: {way_on}")
    if integrity(database) != ["ok"]:
        wrong.append("the store is damaged")
    with Store.open(store, read_only=True) as history:
        answered = {a.name for a in stories.answers(history, stories.runs(history)[0].record.id)}
    before = chain.paid()
    make_room()
    resumed = chain.run(store, "--resume")
    after = chain.paid()
    if (resumed.code, resumed.out) != (0, WORDS + "\n"):
        wrong.append(f"resumed: {resumed}")
    if answered.intersection(after - before) or after.total() > 12 + 1:
        wrong.append(f"paid twice: {after - Counter(before.keys())}")
    return wrong


def test_a_disk_of_one_megabyte_fills_up_and_with_room_the_run_goes_on(tmp_path: Path) -> None:
    """A real small file system, which only root can mount; elsewhere a limit on the size of files stands in for it."""
    chain, disk = Chain(tmp_path), tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, 1024) as mounted:
        store = disk / "store"
        if mounted:
            (disk / "somebody else's").write_bytes(bytes(1024 * 1024 - 300 * 1024))
            ended = chain.run(store, str(chain.path))
            assert "the disk is full" in ended.err
            assert told_and_resumed(chain, store, ended, lambda: grow_disk(disk, 8 * 1024)) == []
        else:
            ended = chain.run(store, str(chain.path), limit=180 * 1024)
            assert told_and_resumed(chain, store, ended, lambda: None) == []


@pytest.mark.parametrize("kilobytes", [150, 200, 260])
def test_a_limit_on_the_size_of_files_ends_the_run_with_a_word_and_with_room_it_goes_on(
    tmp_path: Path, kilobytes: int
) -> None:
    chain, store = Chain(tmp_path), tmp_path / "store"
    ended = chain.run(store, str(chain.path), limit=kilobytes * 1024)
    assert told_and_resumed(chain, store, ended, lambda: None) == []


def test_a_database_that_may_not_grow_ends_the_run_with_a_word_and_with_room_it_goes_on(tmp_path: Path) -> None:
    """The whole program, but for a database that SQLite lets have 40 pages."""
    chain, store = Chain(tmp_path), tmp_path / "store"
    code = "import kill_child; kill_child.no_database_beyond(40); from llmflow.cli import main; main()"
    bounded = (sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {code}")
    ended = chain.run(store, str(chain.path), program=bounded)
    assert "the disk is full" in ended.err
    assert told_and_resumed(chain, store, ended, lambda: None) == []


def test_whichever_write_fails_first_a_sentence_tells_and_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    """A sample of the points of `bench/disk.py`: five graphs, full at an event, small from the beginning."""
    dice, counted = random.Random(3), Counted()
    with Killers() as killers:
        for shape, tasks in shapes(6).items():
            trials = Trials(killers, tmp_path, shape, text_of(tasks), counted)
            points = [*dice.sample(list(at_every_event(trials.events, FILLINGS)), 4)]
            points += [("size", dice.randrange(20_000, 200_000)), ("pages", dice.randint(1, 20))]
            for point in points:
                trials.trial(point)
    assert broken(counted, 20) == []


def test_answers_that_only_the_last_commit_would_have_kept_are_printed_all_the_same(tmp_path: Path) -> None:
    """They are paid for: who asked shall have them, though a resume would have to ask again."""
    path, out, log = pipeline(tmp_path, CHAIN), tmp_path / "out", tmp_path / "log"
    with Killers() as killers:
        assert killers.run(Job(str(path), str(tmp_path / "undisturbed"), str(out), str(log))) == 0
        out.unlink()
        with Store.open(tmp_path / "undisturbed") as history:
            last = stories.last_position(history, stories.runs(history)[0].record.id)
        full = Job(str(path), str(tmp_path / "store"), str(out), str(log), mode="full", kill=last)
        assert killers.run(full) == 74
    assert out.read_text() == WORDS + "\n"
    assert "to go on: llmflow run --resume " in log.read_text().splitlines()[-1]


def test_a_full_disk_behind_standard_error_does_not_stop_a_run(tmp_path: Path) -> None:
    path = pipeline(tmp_path, CHAIN)
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*PROGRAM, "run", str(path)], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert (ended.returncode, ended.stdout) == (0, WORDS + "\n")


@pytest.mark.parametrize("words", [(), ("-o", "/dev/full")], ids=["standard output", "file"])
def test_outputs_that_have_no_room_are_told_of_and_are_still_in_the_history(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = pipeline(tmp_path, "tasks: {t: {value: here}}")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*PROGRAM, "run", str(path), *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    what = words[1] if words else "standard output"
    assert ended.returncode == 74
    shown = llmflow("show", "last", "--json").out
    assert ended.stderr.endswith(
        f"cannot write {what}: No space left on device\n  hint: make room; what a run gave: llmflow show last\n"
        f"to go on: llmflow run --resume {json.loads(shown)['run']}\n"
    )
    assert json.loads(shown)["outputs"] == "here"
    assert llmflow("run", "--resume").out == "here\n"
    assert not Path("/dev/full").is_file()


LARGE = "name: v\ntasks: {a: {value: \"{{ 'x' * 1000000 }}\"}, b: {value: \"{{ ['abcdefghijk'] * 50000 }}\"}}\n"
"""Outputs of 1,950,027 bytes: more than a pipe takes at once, or a file that may not grow beyond a megabyte."""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_outputs_of_which_a_disk_takes_the_half_are_told_of(tmp_path: Path, unbuffered: str) -> None:
    """Without a buffer, Python asks the system once, and drops what was not taken."""
    path, limit = pipeline(tmp_path, LARGE), 2**20
    with open(tmp_path / "out", "w") as out:
        ended = subprocess.run(
            [*PROGRAM, "run", str(path)],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
    assert "cannot write standard output: File too large\n" in ended.stderr
    assert (ended.returncode, (tmp_path / "out").stat().st_size) == (74, limit)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_in_the_middle_of_large_outputs_ends_the_program_as_a_signal_would(
    tmp_path: Path, unbuffered: str
) -> None:
    path = pipeline(tmp_path, LARGE)
    line = f"{' '.join(PROGRAM)} run {path} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, b"Traceback" in ended.stderr) == (141, b"{\n", False)


@pytest.mark.parametrize(("second", "code"), [("value: x", 74), ("command: [sh, -c, exit 3]", 1)])
def test_a_story_that_has_no_room_is_told_of_and_takes_no_outputs_along(tmp_path: Path, second: str, code: int) -> None:
    path = pipeline(
        tmp_path, f"tasks: {{a: {{value: here}}, b: {{{second}}}}}\noutputs: {{a: '{{{{ tasks.a.output }}}}'}}\n"
    )
    ended = llmflow("run", str(path), "--events", "/dev/full", "--plain")
    assert (ended.code, ended.out) == (code, '{\n  "a": "here"\n}\n')
    assert masked(ended.err).endswith(
        "cannot write /dev/full: No space left on device; the story in it is not whole\n"
        "  hint: the run itself is in the history: llmflow show RUN\n"
    )


@pytest.mark.parametrize("to", ["", "-o out"])
def test_a_reader_of_the_story_that_leaves_ends_the_program_as_a_signal_would(tmp_path: Path, to: str) -> None:
    tasks = ", ".join(f"t{n}: {{command: [sleep, '0.02'], depends_on: [t{n - 1}]}}" for n in range(1, 20))
    path = pipeline(tmp_path, f"tasks: {{t0: {{value: x}}, {tasks}}}\n")
    line = f"{' '.join(PROGRAM)} run {path} --events /dev/stdout {to} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["/bin/bash", "-c", line], capture_output=True, timeout=60, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stdout.count(b"\n"), b"Traceback" in ended.stderr) == (141, 1, False)
    assert json.loads(llmflow("runs", "--json").out)["runs"][0]["status"] == "succeeded"


# ---- read-only, gone ---------------------------------------------------------------------------------


def test_on_a_disk_that_can_only_be_read_no_call_is_made_and_past_runs_can_be_looked_at(tmp_path: Path) -> None:
    chain, disk = Chain(tmp_path), tmp_path / "disk"
    disk.mkdir()
    assert chain.run(disk / "store", str(chain.path)).code == 0
    paid = chain.paid()
    with small_disk(disk, 4096) as mounted:
        store = disk / "store"
        if mounted:
            assert chain.run(store, str(chain.path)).code == 0
            paid = chain.paid()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        else:
            for path in (*store.rglob("*"), store):
                path.chmod(0o500 if path.is_dir() else 0o400)
        refused = chain.run(store, str(chain.path))
        assert (refused.code, refused.out, chain.paid()) == (74, "", paid)
        assert refused.err.startswith(f"{store}/")
        assert "  hint: name another folder with --store DIR or LLMFLOW_STORE\n" in refused.err
        for words in (["runs"], ["show", "last"], ["stats"], ["plan", str(chain.path)]):
            ended = llmflow(*words, "--store", str(store))
            assert (ended.code, ended.err) == (0, "")
        for path in (store, *store.rglob("*")) if not mounted else ():
            path.chmod(0o700)


def test_a_store_that_is_taken_away_while_a_run_writes_is_missed_and_no_further_call_is_made(tmp_path: Path) -> None:
    store, calls = tmp_path / "store", tmp_path / "calls"
    wait = 'command: [sh, -c, "while [ ! -e go ]; do sleep 0.05; done; echo gone"]'
    head = "providers: {mock: {answers: hello}}\ndefaults: {model: mock/m}\n"
    tasks = f"  a: {{prompt: x}}\n  b: {{{wait}, depends_on: a}}\n  c: {{prompt: x, depends_on: b}}\n"
    path = pipeline(tmp_path, f"{head}tasks:\n{tasks}")
    child = subprocess.Popen(
        [*PROGRAM, "run", str(path), "--store", str(store), "--plain"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LLMFLOW_MOCK_CALLS": str(calls)},
    )
    assert child.stderr is not None
    while "b  started" not in child.stderr.readline():
        pass
    shutil.rmtree(store)
    (tmp_path / "go").touch()
    said = child.stderr.read()  # not `communicate`: it would miss what `readline` has read ahead
    child.stderr.close()
    assert child.stdout is not None
    with child.stdout:
        assert (child.stdout.read(), child.wait(60)) == ("", 74)
    line, hint, _ = said.splitlines()[-3:]
    assert line == f"{store}/history.db: has been removed or replaced while a run was writing into it"
    assert hint.startswith("  hint: put it back and go on with `run --resume`, or name another folder")
    assert [json.loads(line)["task"] for line in calls.read_text().splitlines()] == ["a"]


def test_a_store_that_is_gone_between_runs_is_begun_anew(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, "tasks: {t: {value: 1}}")
    assert llmflow("run", str(path), "--store", str(store)).code == 0
    shutil.rmtree(store)
    assert llmflow("show", "last", "--store", str(store)).code == 2
    assert (llmflow("run", str(path), "--store", str(store)).code, store.exists()) == (0, True)


# ---- damage ------------------------------------------------------------------------------------------


def test_a_byte_that_flips_anywhere_is_an_error_of_the_store_or_no_matter(tmp_path: Path) -> None:
    """200 bits: all that is stored is read, and one more run is written."""
    store = tmp_path / "store"
    assert llmflow("run", str(pipeline(tmp_path, CHAIN)), "--store", str(store)).code == 0
    database = store / "history.db"
    whole, dice, flips = database.read_bytes(), random.Random(5), Flips()
    for _ in range(200):
        flip(database, whole, dice, flips)
    assert flips.unclear is None
    assert (flips.tried, flips.told + flips.silent) == (200, 200)
    assert flips.told > 10


def test_a_log_that_was_cut_anywhere_tells_exactly_the_commits_that_are_whole_in_it(tmp_path: Path) -> None:
    """A sample of the bytes of the last three transactions, and all lengths beside their ends."""
    for name in ("written", "cut"):
        (tmp_path / name).mkdir()
    written = written_log(tmp_path / "written", 6)
    begin, ends = written.commits[-4][0], [size for size, _ in written.commits[-4:]]
    lengths = {*range(begin, len(written.log) + 1, 997), *(end + by for end in ends for by in range(-9, 10))}
    assert ends[-1] == len(written.log)
    count, wrong = cut_wrongly(tmp_path / "cut", written, iter(sorted(n for n in lengths if n <= len(written.log))))
    assert (count > 130, wrong) == (True, [])


def test_a_store_of_a_newer_version_is_refused_by_every_command_and_left_as_it_is(tmp_path: Path) -> None:
    path, store = pipeline(tmp_path, "tasks: {t: {value: 1}}"), tmp_path / "store"
    assert llmflow("run", str(path), "--store", str(store)).code == 0
    newer = len(schema.MIGRATIONS) + 1
    with closing(sqlite3.connect(store / "history.db")) as other:
        other.execute(f"PRAGMA user_version = {newer}")
    for words in (["run", str(path)], ["runs"], ["show", "last"], ["stats"], ["plan", str(path)]):
        ended = llmflow(*words, "--store", str(store))
        assert ended == Ended(
            74,
            "",
            f"{store}/history.db was written by a newer llmflow (its schema is {newer}, this one knows {newer - 1})\n"
            "  hint: upgrade llmflow, or choose another --store DIR\n",
        )
    with closing(sqlite3.connect(store / "history.db")) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (newer,)
