"""Plain lines and JSON lines tell a run's story, and the right view is chosen for the stream."""

from __future__ import annotations

import io
import json
import os
import pty

import pytest
from watched_run import (
    WatchedRun,
    a_run_in_which_much_goes_wrong,
    graph_of_troubles,
    started,
    story_of_the_worked_example,
)

from llmflow.quantities import seconds_text
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.views import terminal
from llmflow.views.choice import view_for
from llmflow.views.json_lines import JsonLines
from llmflow.views.live import LiveTable
from llmflow.views.plain import PlainLines


def test_plain_lines_tell_each_change_with_the_time_of_the_run() -> None:
    out = io.StringIO()
    run = started(graph_of_troubles(), PlainLines(out))
    a_run_in_which_much_goes_wrong(run)
    run.views[0].note("a \x1b[31mnote")
    run.close()
    assert out.getvalue() == (
        "     0.00  run 01J0 of worked_example: 6 tasks\n"
        "     0.00  a  started on sim/0\n"
        "     0.00  b  started on sim/1\n"
        "     1.00  a  succeeded after 1.00 s, 1,200 + 34 tokens\n"
        "     1.50  b  attempt 1 failed: rate_limit: slow down\n"
        "     1.50  b  waits 2.00 s (retry)\n"
        "     3.50  b  started again, attempt 2, on sim/0\n"
        "     4.00  b  attempt 2 failed: server: [/nope] 500\n"
        "     4.00  b  failed: server: [/nope] 500\n"
        "     4.00  c  blocked: b did not succeed\n"
        "     4.00  d  started on sim/0\n"
        "     5.00  d  attempt 1 failed: empty\n"
        "     5.00  d  failed (accepted): empty\n"
        "     5.00  e  started on sim/2\n"
        "     6.00  stopping: Ctrl-C\n"
        "     6.25  e  attempt cancelled (requested)\n"
        "     6.25  e  cancelled: stopped\n"
        "     6.25  f[x ]  skipped\n"
        "     6.25  run failed\n"
        "     6.25  a note\n"
    )


def test_a_batch_is_one_write() -> None:
    writes: list[str] = []

    class Counting(io.StringIO):
        def write(self, text: str, /) -> int:
            writes.append(text)
            return len(text)

    graph, _, story = story_of_the_worked_example()
    view = PlainLines(Counting())
    run = WatchedRun(graph, view)
    writes.clear()
    for event in story:
        run.state.apply(event)
    view.on_events(story)
    assert len(writes) == 1
    assert writes[0].count("\n") == 2 * len(graph) + 1


def test_each_event_is_one_json_object_with_names_for_numbers() -> None:
    out = io.StringIO()
    run = started(graph_of_troubles(), JsonLines(out, owned=False))
    a_run_in_which_much_goes_wrong(run)
    run.close()
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert out.getvalue().isascii()
    assert records[:2] == [
        {"at": 0.0, "event": "RunStarted"},
        {
            "at": 0.0,
            "event": "AttemptStarted",
            "task": "a",
            "attempt": 1,
            "number": 1,
            "pool": "sim",
            "endpoint": 0,
            "worker": 0,
            "candidate": 0,
        },
    ]
    assert [r for r in records if r["event"] in ("TimerSet", "TaskBlocked", "RunFinished")] == [
        {"at": 1.5, "event": "TimerSet", "timer": 1, "task": "b", "due": 3.5, "cause": "retry"},
        {"at": 4.0, "event": "TaskBlocked", "task": "c", "cause": "b"},
        {"at": 6.25, "event": "RunFinished", "status": "failed"},
    ]
    assert all(list(r)[:2] == ["at", "event"] and r["event"] in ev.EVENTS for r in records)


def test_a_step_without_a_worker_has_no_pool_and_no_plain_line_for_its_start() -> None:
    lines, records = io.StringIO(), io.StringIO()
    run = started(Graph.of({"v": []}), PlainLines(lines), JsonLines(records, owned=False))
    run.tell(ev.AttemptStarted(0.5, 0, 1, 1, -1, 0, 0), ev.AttemptSucceeded(0.5, 0, 1), ev.TaskSucceeded(0.5, 0))
    assert json.loads(records.getvalue().splitlines()[1])["pool"] is None
    assert lines.getvalue().splitlines()[1:] == ["     0.50  v  succeeded after 0.00 s"]


def test_json_lines_close_the_file_they_own_and_only_that() -> None:
    for owned in (True, False):
        out = io.StringIO()
        view = JsonLines(out, owned=owned)
        view.close()
        view.close()
        assert out.closed is owned


@pytest.mark.parametrize(
    ("environ", "plain", "expected"),
    [
        ({"TERM": "xterm-256color"}, False, LiveTable),
        ({"TERM": "xterm-256color"}, True, PlainLines),
        ({"TERM": "dumb"}, False, PlainLines),
        ({"TERM": "xterm", "CI": "true"}, False, PlainLines),
        ({"TERM": "xterm", "CI": "false"}, False, LiveTable),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, LiveTable),
    ],
)
def test_a_terminal_gets_the_live_table_unless_something_speaks_against_it(
    environ: dict[str, str], plain: bool, expected: type
) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        assert type(view_for(stream, environ, plain=plain)) is expected
    os.close(master)


def test_a_pipe_gets_plain_lines_even_when_colour_is_forced() -> None:
    assert type(view_for(io.StringIO(), {"TERM": "xterm", "FORCE_COLOR": "1"})) is PlainLines


@pytest.mark.parametrize(
    ("environ", "on_terminal", "off_terminal"),
    [
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, False, False),
    ],
)
def test_colour_follows_the_environment(environ: dict[str, str], on_terminal: bool, off_terminal: bool) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        assert terminal.shows_colour(stream, environ) is on_terminal
    os.close(master)
    assert terminal.shows_colour(io.StringIO(), environ) is off_terminal


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (80, 24)),
        ({"COLUMNS": "120", "LINES": "50"}, (120, 50)),
        ({"COLUMNS": "-3", "LINES": "x"}, (80, 24)),
        ({"COLUMNS": "0"}, (80, 24)),
    ],
)
def test_the_size_comes_from_the_environment_or_a_default_where_there_is_no_terminal(
    environ: dict[str, str], expected: tuple[int, int]
) -> None:
    assert terminal.size(io.StringIO(), environ) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (-1e-9, "0.00 s"),
        (9.994, "9.99 s"),
        (9.999, "10.0 s"),
        (99.96, "1m40s"),
        (245.0, "4m05s"),
        (11220.0, "3h07m"),
        (float("nan"), "?"),
    ],
)
def test_a_duration_is_written_in_at_most_seven_characters(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
