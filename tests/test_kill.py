"""Kill a run anywhere, resume it, pay once: a sample of what `bench/kill.py` does in full.

Real processes, real SIGKILL, a real store; what was paid for is counted outside of the process that dies.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import FakeServer
from kill_child import MODES, Killers
from kill_trials import Counted, Trials, any_graph, asked_of, at_every_event, broken, sdk_head, shapes, text_of

SHAPES = shapes(6)


@pytest.fixture(scope="module")
def killers() -> Iterator[Killers]:
    with Killers() as killers:
        yield killers


@pytest.mark.parametrize("shape", SHAPES)
def test_killed_at_any_event_a_run_is_resumed_to_the_same_outputs_and_pays_again_only_what_was_in_flight(
    tmp_path: Path, killers: Killers, shape: str
) -> None:
    counted = Counted()
    trials = Trials(killers, tmp_path, shape, text_of(SHAPES[shape]), counted)
    points = list(at_every_event(trials.events, MODES))[random.Random(shape).randrange(5) :: 5]
    for point in points:
        trials.trial(point)
    assert broken(counted, len(points)) == []


def test_killed_at_any_moment_it_is_no_different(tmp_path: Path, killers: Killers) -> None:
    dice, counted = random.Random(1), Counted()
    for shape, tasks in SHAPES.items():
        trials = Trials(killers, tmp_path, shape, text_of(tasks), counted)
        for _ in range(3):
            trials.trial(("after", dice.uniform(0.0, trials.seconds)))
    assert broken(counted, 1) == []


def test_a_resumed_run_may_be_killed_again_and_again(tmp_path: Path, killers: Killers) -> None:
    dice, counted = random.Random(2), Counted()
    for shape, tasks in SHAPES.items():
        trials = Trials(killers, tmp_path, shape, text_of(tasks), counted)
        trials.trial(*((dice.choice(MODES), dice.randint(1, trials.events // 2)) for _ in range(4)))
    assert broken(counted, 4 * len(SHAPES) - 5) == []


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_what_reached_a_server_through_an_sdk_is_asked_again_only_if_it_was_in_flight(
    tmp_path: Path, kind: str
) -> None:
    counted = Counted()
    with FakeServer(latency=0.005) as server, Killers("openai", "anthropic") as killers:
        text = text_of(any_graph(6, seed=3), sdk_head(kind, server))
        trials = Trials(killers, tmp_path, kind, text, counted, paid=lambda: asked_of(server))
        for point in list(at_every_event(trials.events, MODES))[::8]:
            trials.trial(point)
    assert broken(counted, 5) == []


def test_an_undisturbed_run_that_forgot_an_answer_would_be_noticed(tmp_path: Path, killers: Killers) -> None:
    """The judge itself is judged: outputs that differ and calls that are not excused are counted."""
    counted = Counted()
    trials = Trials(killers, tmp_path, "chain", text_of(SHAPES["chain"]), counted)
    trials.expected, trials.labels = b"something else\n", trials.labels[1:]
    trials.trial(("safe", trials.events // 2))
    assert (counted.lost, counted.different) == (1, 1)
    assert broken(counted, 2) == [*counted.problems, f"{counted}", "1 kills instead of 2"]
