"""An event loop that stands still because something computes in it is told of: no call is served meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import llmflow, pipeline

from llmflow.runtime.loop_lag import LoopLag

BUSY = """\
import time

def compute(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return "done"

async def on_the_loop():
    return compute(0.6)
"""


class Times:
    """The loop's time and the thread's CPU time, set by hand."""

    now = spent = 0.0


def test_only_what_was_computed_counts_and_the_longest_is_kept() -> None:
    times = Times()
    lag = LoopLag(lambda: times.now, lambda: times.spent)
    found = []
    for now, spent in [(0.0, 0.0), (0.1, 0.1), (0.4, 0.4), (1.5, 0.45), (2.6, 1.45), (3.1, 1.95), (3.2, 1.95)]:
        times.now, times.spent = now, spent
        found.append(round(lag.tick(0.1), 9))
    #        in time    late, below    the machine's    1.0 s ours   0.4 s ours
    assert found == [0.0, 0.0, 0.0, 0.0, 1.0, 0.4, 0.0]
    assert lag.longest == pytest.approx(1.0)


@pytest.mark.parametrize(("function", "stood_still"), [("on_the_loop", True), ("compute", False)])
def test_a_function_that_computes_on_the_event_loop_is_told_of(
    tmp_path: Path, function: str, stood_still: bool
) -> None:
    (tmp_path / "busy.py").write_text(BUSY, encoding="utf-8")
    given = "" if stood_still else ", with: {seconds: 0.6}"
    path = pipeline(tmp_path, f"tasks: {{a: {{python: 'busy.py:{function}'{given}}}, b: {{prompt: x, model: mock/a}}}}")
    ended = llmflow("run", str(path), "--json")
    assert ended.code == 0
    assert ("the event loop stood still for 0." in ended.err) is stood_still
    assert (json.loads(ended.out)["loop_lag"] > 0.25) is stood_still
