"""Real signals to a real process; no assertion is on the wall clock: what did not end in time cannot exit like this."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
STOPPING = "stopping; signal again to cancel 2 running calls"
CANCELLING = "cancelling the running calls; signal again to end at once"
LONG, SHORT = 3600.0, 0.2
"""Seconds of grace: never reached, and soon over."""


class Child:
    """The process. `end()` gives its exit code and its last words."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def says(self, *lines: str) -> bool:
        """True once it has said all of `lines`, in any order; False if it ends before."""
        assert self._process.stdout is not None
        wanted = list(lines)
        while wanted:
            line = self._process.stdout.readline()
            if not line:
                return False
            if line.rstrip("\n") in wanted:
                wanted.remove(line.rstrip("\n"))
        return True

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, dict[str, Any] | None]:
        assert self._process.stdout is not None
        out = self._process.stdout.read()  # not `communicate`: it would miss what `readline` has read ahead
        said = [line for line in out.splitlines() if line.startswith("{")]
        return self._process.wait(timeout=60), json.loads(said[-1]) if said else None


@contextmanager
def child(grace: float, *manner: str, before: Callable[[], object] | None = None) -> Iterator[Child]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "signals_child.py"), str(grace), *manner],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        preexec_fn=before,
    )
    try:
        running = Child(process)
        assert running.says("ready")
        yield running
    finally:
        process.kill()
        process.communicate()


CANCELLED = {"status": "stopped", "cancels": 2, "tasks": ["TaskCancelled"] * 4}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_running_calls_end_within_the_grace(number: signal.Signals) -> None:
    with child(LONG) as run:
        run.send(number)
        assert run.says(STOPPING, "asked to drain")
        run.send(signal.SIGUSR1)
        assert run.end() == (
            128 + number,
            {
                "status": "stopped",
                "reason": number.name,
                "asked": ["drain"],
                "cancels": 0,
                "tasks": ["TaskCancelled", "TaskCancelled", "TaskSucceeded", "TaskSucceeded"],
            },
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_calls_that_outlast_the_grace_are_cancelled(number: signal.Signals) -> None:
    with child(SHORT) as run:
        run.send(number)
        assert run.says(STOPPING)
        assert run.end() == (128 + number, {**CANCELLED, "reason": number.name, "asked": ["drain", "cancel"]})


def test_the_second_signal_cancels_the_calls_now() -> None:
    with child(LONG) as run:
        run.send(signal.SIGINT)
        assert run.says(STOPPING)
        run.send(signal.SIGINT)
        assert run.says(CANCELLING)
        assert run.end() == (130, {**CANCELLED, "reason": "SIGINT", "asked": ["drain", "cancel"]})


def test_the_end_of_the_grace_does_not_break_into_the_cleaning_up_after_a_second_signal() -> None:
    with child(SHORT, "stubborn") as run:
        run.send(signal.SIGINT)
        assert run.says(STOPPING)
        run.send(signal.SIGINT)
        assert run.says(CANCELLING, "asked to cancel", "asked to cancel")
        run.send(signal.SIGUSR1)
        assert run.end() == (130, {**CANCELLED, "reason": "SIGINT", "asked": ["drain", "cancel", "cancel"]})


def test_the_exit_code_is_that_of_the_first_signal() -> None:
    with child(LONG) as run:
        run.send(signal.SIGTERM)
        assert run.says(STOPPING)
        run.send(signal.SIGINT)
        assert run.says(CANCELLING)
        assert run.end() == (143, {**CANCELLED, "reason": "SIGTERM", "asked": ["drain", "cancel"]})


@pytest.mark.parametrize(("first", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_third_signal_ends_the_process_whatever_still_runs(first: signal.Signals, code: int) -> None:
    with child(LONG, "stubborn") as run:
        run.send(first)
        assert run.says(STOPPING)
        run.send(signal.SIGINT)
        assert run.says(CANCELLING)
        run.send(signal.SIGINT)
        assert run.end() == (code, None)


def test_a_run_without_a_signal_exits_as_it_ended() -> None:
    with child(LONG) as run:
        run.send(signal.SIGUSR1)
        assert run.end() == (
            0,
            {"status": "succeeded", "reason": "", "asked": [], "cancels": 0, "tasks": ["TaskSucceeded"] * 4},
        )


def test_a_terminal_that_is_gone_does_not_keep_a_run_from_stopping() -> None:
    with child(SHORT, "mute") as run:
        run.send(signal.SIGHUP)
        assert run.end() == (129, {**CANCELLED, "reason": "SIGHUP", "asked": ["drain", "cancel"]})


def test_a_signal_that_the_process_was_told_to_ignore_stays_ignored() -> None:
    with child(LONG, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as run:
        run.send(signal.SIGHUP)
        run.send(signal.SIGUSR1)
        code, said = run.end()
        assert said is not None
        assert (code, said["status"], said["asked"]) == (0, "succeeded", [])
