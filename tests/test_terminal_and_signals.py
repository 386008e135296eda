"""The whole program on real terminals and under real signals, closed streams and readers that go away."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyte
import pytest
from command_line import PROGRAM, llmflow, pipeline
from escape_payloads import PAYLOADS

from llmflow.history import stories
from llmflow.history.store import Store

EXAMPLES = Path(__file__).parents[1] / "examples"

TWO_LONG = """\
providers: {mock: {answers: {a: A, b: {text: B, delay: SECONDS}, c: {text: C, delay: SECONDS}, last: D}}}
defaults: {model: mock/m}
tasks:
  a: {prompt: x}
  b: {prompt: "{{ tasks.a.output }}"}
  c: {prompt: "{{ tasks.a.output }}"}
  last: {prompt: "{{ tasks.b.output }} {{ tasks.c.output }}"}
"""
LONG, SHORT = "600", "1.0"


def store_is_sound(store: Path) -> str:
    """The status of its only run; the database passes SQLite's own check and the run can be read whole."""
    with Store.open(store) as history:
        (run,) = stories.runs(history)
        list(stories.story(history, run.record.id))
        answers = [a.name for a in stories.answers(history, run.record.id)]
        assert "a" in answers
    with contextlib.closing(sqlite3.connect(store / "history.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return run.status


class Running:
    """`llmflow run` with two long calls under way."""

    def __init__(self, folder: Path, seconds: str, *words: str) -> None:
        self.store = folder / "store"
        self.path = pipeline(folder, TWO_LONG.replace("SECONDS", seconds))
        command = [*PROGRAM, "run", str(self.path), "--plain", "--store", str(self.store), *words]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self.until("c  started")

    def until(self, words: str) -> None:
        assert self.child.stderr is not None
        while not any(words in line for line in self.said):
            line = self.child.stderr.readline()
            assert line, self.said
            self.said.append(line)

    def end(self) -> tuple[int, str, str]:
        out, err = self.child.communicate(timeout=60)
        return self.child.returncode, out, "".join(self.said) + err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda n: str(n)
)
def test_the_first_signal_lets_calls_end_and_says_how_to_go_on(tmp_path: Path, number: int, code: int) -> None:
    running = Running(tmp_path, SHORT)
    running.child.send_signal(number)
    ended, _, err = running.end()
    assert (ended, "Traceback" in err) == (code, False)
    assert "b  succeeded after" in err
    assert "c  succeeded after" in err
    run_id = Path(err.splitlines()[-1].partition("--resume ")[2].split()[0]).name
    assert err.splitlines()[-1] == f"to go on: llmflow run --resume {run_id} --store {running.store}"
    assert store_is_sound(running.store) == "stopped"
    went_on = llmflow("run", "--resume", run_id, "--store", str(running.store))
    assert (went_on.code, went_on.out) == (0, "D\n")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda n: str(n)
)
def test_the_second_signal_cancels_calls_at_once_and_the_journal_knows(tmp_path: Path, number: int, code: int) -> None:
    running = Running(tmp_path, LONG)
    running.child.send_signal(number)
    running.until("stopping; signal again to cancel 2 running calls")
    running.child.send_signal(number)
    ended, _, err = running.end()
    assert (ended, "Traceback" in err) == (code, False)
    assert "to go on: llmflow run --resume " in err
    assert store_is_sound(running.store) == "stopped"


def test_the_third_signal_ends_the_process_and_the_store_is_sound(tmp_path: Path) -> None:
    """Three in one moment: whichever the process has got to, it ends with the code of the signal."""
    running = Running(tmp_path, LONG)
    for _ in range(3):
        running.child.send_signal(signal.SIGINT)
        time.sleep(0.01)
    ended, _, err = running.end()
    assert (ended, "Traceback" in err) == (130, False)
    assert store_is_sound(running.store) in ("stopped", "interrupted")


STARTING = """\
import os, signal, time

class Interrupted:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

class Made:
    field = Interrupted()
"""


@pytest.mark.parametrize("loading", ["typer", "yaml", "asyncio"])
def test_ctrl_c_while_the_program_is_still_loading_ends_it_silently(tmp_path: Path, loading: str) -> None:
    """A module of the same name stands before the real one and is interrupted in the worst place."""
    path = pipeline(tmp_path, TWO_LONG.replace("SECONDS", SHORT))
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / f"{loading}.py").write_text(STARTING)
    ended = llmflow("run", str(path), PYTHONPATH=f"{tmp_path / 'first'}:{os.environ.get('PYTHONPATH', '')}")
    assert (ended.code, ended.out, ended.err) == (130, "", "")


def test_ctrl_c_between_loading_and_the_first_call_ends_it_silently(tmp_path: Path) -> None:
    """The pipeline comes through a pipe, so that it is known when it is being read."""
    os.mkfifo(tmp_path / "p.yaml")
    command = [*PROGRAM, "run", str(tmp_path / "p.yaml"), "--store", str(tmp_path / "store")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "p.yaml").open("w") as writing:
        writing.write("tasks:\n")
        writing.flush()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (130, "", "")


def test_an_interrupt_that_is_to_be_ignored_is_ignored(tmp_path: Path) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [
        PROGRAM[0],
        "-c",
        ignoring,
        *PROGRAM,
        "run",
        str(tmp_path / "p.yaml"),
        "--store",
        str(tmp_path / "store"),
    ]
    os.mkfifo(tmp_path / "p.yaml")
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "p.yaml").open("w") as writing:
        child.send_signal(signal.SIGINT)
        writing.write("tasks: {a: {value: done}}\n")
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (0, "done\n"), err


# ---- streams that are closed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("closed", "code"), [("<&-", 0), (">&-", 141), ("2>&-", 0), ("<&- 2>&-", 0), ("<&- >&- 2>&-", 141)]
)
def test_a_run_whose_streams_are_closed_goes_on_and_is_remembered(tmp_path: Path, closed: str, code: int) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, TWO_LONG.replace("SECONDS", "0.01"))
    line = f"exec {' '.join(PROGRAM)} run {path} --store {store} {closed}"
    ended = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
    assert ended.stdout == ("" if (">&- " in f"{closed} " and closed.split()[-1] != "2>&-") or code else "D\n")
    assert store_is_sound(store) == "succeeded"


def test_a_reader_of_the_lines_for_people_that_goes_away_does_not_stop_the_run(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, TWO_LONG.replace("SECONDS", "0.3"))
    line = (
        f"{{ {' '.join(PROGRAM)} run {path} --plain --store {store} 2>&1 >{tmp_path}/out; echo $? >{tmp_path}/code; }}"
    )
    subprocess.run(["/bin/sh", "-c", f"{line} | head -1"], capture_output=True, timeout=60, check=True)
    assert ((tmp_path / "out").read_text(), (tmp_path / "code").read_text()) == ("D\n", "0\n")
    assert store_is_sound(store) == "succeeded"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--help | true", 141),
        ("run --help | true", 141),
        ("--help >/dev/full", 74),
        ("schema | true", 141),
        ("nonsense 2>/dev/full", 2),
        ("nonsense 2>&-", 2),
    ],
)
def test_a_text_that_nobody_can_read_ends_without_a_traceback(words: str, code: int) -> None:
    line = f"{' '.join(PROGRAM)} {words}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr


# ---- terminals --------------------------------------------------------------------------------------


class Terminal:
    """A real pseudo-terminal with an emulated screen behind it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.seen: list[str] = []
        """What stood on the screen after each piece of what was written."""
        self.size(columns, lines)

    def size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def run(self, words: Sequence[str], during: Callable[[subprocess.Popen[bytes]], None] = lambda child: None) -> int:
        """The exit code of `llmflow` with `words` on this terminal."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("CI", "NO_COLOR", "COLUMNS", "LINES")}
        child = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**inherited, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        beside = threading.Thread(target=during, args=(child,))
        beside.start()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.05)[0]:
                self.stream.feed(os.read(self.master, 65536))
                self.seen.append("\n".join(self.shown()))
            elif child.poll() is not None:
                break
        child.kill()
        child.wait()
        beside.join()
        return child.returncode

    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]


@contextlib.contextmanager
def terminal(columns: int, lines: int) -> Iterator[Terminal]:
    opened = Terminal(columns, lines)
    try:
        yield opened
    finally:
        os.close(opened.master)
        os.close(opened.slave)


@pytest.mark.parametrize(("columns", "lines"), [(20, 5), (40, 10), (80, 24), (132, 43), (300, 100)])
def test_a_run_fits_any_terminal_and_its_answer_stands_on_it(tmp_path: Path, columns: int, lines: int) -> None:
    path = pipeline(tmp_path, TWO_LONG.replace("SECONDS", "0.2"))
    with terminal(columns, lines) as screen:
        assert screen.run(["run", str(path)]) == 0
        shown = [line for line in screen.shown() if line]
    assert shown[-1] == "D"
    assert not [frame for frame in screen.seen if "Traceback" in frame or "broke" in frame]


@pytest.mark.parametrize("columns", [60, 140])
def test_a_plan_is_as_wide_as_the_terminal(columns: int) -> None:
    with terminal(columns, 70) as screen:
        assert screen.run(["plan", str(EXAMPLES / "worked_example.yaml"), "-j", "4"]) == 0
        shown = screen.shown()
    workers = [line for line in shown if "│" in line]
    (axis,) = (line for line in shown if line.startswith("       0 ") and line.endswith("52.00 s"))
    assert (len(workers), {len(line) for line in workers}, len(axis)) == (4, {columns}, columns)


def test_the_table_stands_on_a_real_terminal_while_a_run_goes_on_and_its_closing_lines_after() -> None:
    with terminal(100, 60) as screen:
        assert screen.run(["run", str(EXAMPLES / "worked_example.yaml"), "-j", "4"]) == 0
    assert not [frame for frame in screen.seen if "broke" in frame]
    assert [frame for frame in screen.seen if " done · 4 running · " in frame and re.search(r"C1 +● running", frame)]
    assert [line for line in screen.shown() if line.startswith("run succeeded: 17 tasks")]


@pytest.mark.parametrize("file", ["fan_out", "matrix", "refine_loop", "streamed_file", "sub_pipeline", "cleanup"])
def test_a_table_that_grows_does_not_break(file: str) -> None:
    with terminal(100, 60) as screen:
        assert screen.run(["run", str(EXAMPLES / f"{file}.yaml"), "--model", "mock/any", "-j", "2"]) == 0
    assert not [frame for frame in screen.seen if "broke" in frame]
    assert [frame for frame in screen.seen if " elapsed" in frame]


def test_a_terminal_that_is_resized_again_and_again_breaks_nothing(tmp_path: Path) -> None:
    path = pipeline(tmp_path, TWO_LONG.replace("SECONDS", "1.5"))
    with terminal(80, 24) as screen:

        def storm(child: subprocess.Popen[bytes]) -> None:
            for turn in range(100):
                columns, lines = 20 + turn * 37 % 281, 5 + turn * 13 % 96
                fcntl.ioctl(screen.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
                if child.poll() is None:
                    child.send_signal(signal.SIGWINCH)
                time.sleep(0.015)

        assert screen.run(["run", str(path)], storm) == 0
        shown = [line for line in screen.shown() if line]
    assert shown[-1] == "D"
    assert not [frame for frame in screen.seen if "broke" in frame]


def test_no_payload_in_a_model_s_answer_acts_on_the_terminal(tmp_path: Path) -> None:
    """Forty answers, each a payload between two marks: they are quoted in prompts, failures, outputs and tables."""
    tasks: dict[str, Any] = {}
    answers: dict[str, Any] = {}
    for n, payload in enumerate(PAYLOADS):
        answers[f"t{n}"] = f"«{payload}»"
        tasks[f"t{n}"] = {"prompt": "x"}
    answers["wrong"] = "".join(PAYLOADS)
    tasks["wrong"] = {"prompt": "x", "on_error": "continue", "output": {"schema": {"a": "string"}}}
    whole = {
        "providers": {"mock": {"answers": answers, "workers": 8}},
        "defaults": {"model": "mock/m"},
        "tasks": tasks,
        "outputs": {"all": " ".join(f"{{{{ tasks.t{n}.output }}}}" for n in range(len(PAYLOADS)))},
    }
    path = pipeline(tmp_path, json.dumps(whole))
    for words in ((), ("--plain",), ("--json",)):
        with terminal(100, 60) as screen:
            assert screen.run(["run", str(path), *words]) == 0
            assert (screen.screen.title, screen.screen.icon_name) == ("", "")
            assert not screen.screen.cursor.hidden
            assert pyte.modes.DECTCEM in screen.screen.mode
            assert pyte.modes.DECAWM in screen.screen.mode
            shown = "\n".join(screen.shown())
        assert "\x1b" not in shown
        assert ("«" in shown) is (words != ("--json",))  # the end of that document is the failure
    with terminal(100, 60) as screen:
        assert screen.run(["show", "last", "t0"]) == 0
        assert screen.screen.title == ""
