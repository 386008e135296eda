"""The live table on an emulated screen: what a person sees, at any size, whatever the text."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import struct
import termios

import pyte
import pytest
from escape_payloads import PAYLOADS
from watched_run import WatchedRun, started, story_of_the_worked_example

from llmflow.errors import FailureKind
from llmflow.protocol import Usage
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.views import terminal
from llmflow.views.choice import view_for
from llmflow.views.frame import Watched, picture
from llmflow.views.live import LiveTable


class Emulator:
    """A terminal of a given size that a live table draws on; every tick is due."""

    def __init__(self, columns: int, lines: int, *, colour: bool = True, unicode: bool = True) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.feed = pyte.Stream(self.screen).feed
        self.wall = 0.0
        emulator = self

        class Stream(io.StringIO):
            def write(self, text: str, /) -> int:
                emulator.feed(text.replace("\n", "\r\n"))
                return len(text)

        self.view = LiveTable(
            Stream(),
            size=lambda: (self.screen.columns, self.screen.lines),
            colour=colour,
            unicode=unicode,
            wall=self.tock,
        )

    def tock(self) -> float:
        self.wall += 1.0
        return self.wall

    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


def test_the_table_of_the_worked_example_in_the_middle_of_the_run() -> None:
    graph, durations, story = story_of_the_worked_example()
    emulator = Emulator(80, 24)
    run = WatchedRun(graph, emulator.view, expected=durations)
    run.context.usage[0] = Usage(100, 20)
    run.context.live_tokens[12 + 1] = 345
    for event in story:
        if event.at > 6.0:
            break
        run.tell(event)
    run.now = 7.5
    emulator.view.tick()
    assert emulator.shown() == (
        "worked_example · run 01J0\n"
        "████░░░░░░ 8/17 done · 4 running · 2 ready · 7.50 s elapsed · about 44.5 s left\n"
        "TASK    STATE        MODEL     ATTEMPT   ELAPSED    TOKENS  WAIT OR REASON\n"
        "S1      ✓ succeeded  sim/any         1    1.00 s       120  0.00 s\n"
        "S2      ✓ succeeded  sim/any         1    1.00 s            0.00 s\n"
        "S3      ✓ succeeded  sim/any         1    1.00 s            0.00 s\n"
        "S4      ✓ succeeded  sim/any         1    1.00 s            0.00 s\n"
        "M1      ✓ succeeded  sim/any         1    5.00 s            1.00 s\n"
        "M2      ✓ succeeded  sim/any         1    5.00 s            1.00 s\n"
        "M3      ✓ succeeded  sim/any         1    5.00 s            1.00 s\n"
        "M4      ● running    sim/any         1    1.50 s            6.00 s\n"
        "M5      ● running    sim/any         1    1.50 s            6.00 s\n"
        "M6      ● running    sim/any         1    1.50 s            6.00 s\n"
        "M7      ○ ready      sim/any                                7.50 s for a worker\n"
        "M8      ○ ready      sim/any                                7.50 s for a worker\n"
        "Gate    ✓ succeeded  sim/any         1    1.00 s            0.00 s\n"
        "C1      ● running    sim/any         1    5.50 s      ~345  0.00 s\n"
        "C2      · pending    sim/any                                for 1 task\n"
        "C3      · pending    sim/any                                for 1 task\n"
        "End     · pending    sim/any                                for 6 tasks"
    )


def test_what_goes_wrong_is_named_in_its_row() -> None:
    emulator = Emulator(90, 12)
    run = started(Graph.of({"a": [], "b": ["a"], "c": [], "d": []}), emulator.view)
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0), ev.AttemptStarted(0.0, 2, 2, 1, 0, 0, 1))
    run.tell(ev.AttemptFailed(1.0, 2, 2, FailureKind.RATE_LIMIT, "429 slow down"), ev.TimerSet(1.0, 1, 2, 4.0, "retry"))
    run.tell(
        ev.AttemptFailed(2.0, 0, 1, FailureKind.AUTH, "key [/refused]"),
        ev.TaskFailed(2.0, 0, FailureKind.AUTH, "key [/refused]"),
        ev.TaskBlocked(2.0, 1, 0),
    )
    assert emulator.shown() == (
        "worked_example · run 01J0\n"
        "██████████░░░░░░░░░░░ 2/4 done · 0 running · 1 ready · 1 failed · 2.00 s elapsed · ? left\n"
        "TASK    STATE        MODEL     ATTEMPT   ELAPSED  WAIT OR REASON\n"
        "a       ✗ failed     sim/any         1    2.00 s  auth: key [/refused]\n"
        "b       ⊘ blocked    sim/any                      by a\n"
        "c       ↻ waiting    sim/any         1    2.00 s  retry in 2.00 s: rate_limit: 429 slow …\n"
        "d       ○ ready      sim/any                      2.00 s for a worker"
    )


@pytest.mark.parametrize("payload", PAYLOADS, ids=[f"{i:02d}" for i in range(len(PAYLOADS))])
def test_a_payload_in_every_text_changes_nothing_but_its_own_cells(payload: str) -> None:
    emulator = Emulator(100, 12)
    modes = set(emulator.screen.mode)
    emulator.feed("before\r\n")
    run = started(Graph.of({f"a[{payload}]": [], "b": []}), emulator.view)
    run.context.name = run.context.run_id = payload
    run.context.models = [payload, payload]
    run.tell(ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0))
    run.tell(
        ev.AttemptFailed(1.0, 0, 1, FailureKind.SERVER, payload), ev.TaskFailed(1.0, 0, FailureKind.SERVER, payload)
    )
    emulator.view.note(payload)
    run.close()
    screen = emulator.screen
    assert screen.title == ""
    assert not screen.cursor.hidden
    assert screen.margins is None
    assert screen.mode == modes
    assert screen.display[0].rstrip() == "before"
    assert sum("TASK" in line for line in screen.display) == 1
    assert screen.cursor.x == 0


def test_the_cursor_is_never_hidden_and_no_screen_is_cleared() -> None:
    out = io.StringIO()
    graph, durations, story = story_of_the_worked_example()
    view = LiveTable(out, size=lambda: (80, 24))
    run = WatchedRun(graph, view, expected=durations)
    run.tell(*story)
    run.close()
    assert "\x1b[?" not in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


@pytest.mark.parametrize("columns", [1, 2, 5, 11, 19, 20, 33, 50, 80, 120, 300])
@pytest.mark.parametrize("lines", [1, 2, 3, 4, 5, 6, 10, 24, 100])
def test_a_picture_fits_any_screen(columns: int, lines: int) -> None:
    graph, durations, story = story_of_the_worked_example()
    run = WatchedRun(graph, expected=durations)
    for event in story:
        run.tell(event)
        drawn = ["".join(text for text, _ in line) for line in picture(run.context, Watched(), columns, lines)]
        assert 1 <= len(drawn) <= max(1, lines - 1)
        assert max(map(len, drawn)) <= max(1, columns - 1)


def test_a_terminal_that_changes_its_size_at_every_event_shows_a_whole_table_in_the_end() -> None:
    graph, durations, story = story_of_the_worked_example()
    emulator = Emulator(80, 24)
    run = WatchedRun(graph, emulator.view, expected=durations)
    for i, event in enumerate(story):
        emulator.screen.resize(lines=5 + i % 20, columns=20 + 7 * i % 100)
        run.tell(event)
    emulator.screen.resize(lines=30, columns=90)
    emulator.screen.reset()
    run.close()
    assert emulator.screen.display[1].startswith("█")
    assert sum("succeeded" in line for line in emulator.screen.display) == len(graph)


def test_what_does_not_fit_is_counted_and_running_and_failed_tasks_come_first() -> None:
    graph = Graph.of({f"t{i}": [] for i in range(1000)})
    run = started(graph)
    for i in range(500):
        run.tell(ev.AttemptStarted(1.0, i, i, 1, 0, 0, 0))
    for i in range(498):
        run.tell(ev.AttemptSucceeded(2.0, i, i), ev.TaskSucceeded(2.0, i))
    run.tell(ev.AttemptFailed(3.0, 498, 498, FailureKind.AUTH), ev.TaskFailed(3.0, 498, FailureKind.AUTH))
    drawn = ["".join(text for text, _ in line) for line in picture(run.context, Watched(), 60, 9)]
    assert drawn == [
        "worked_example · run 01J0",
        "499/1000 done · 1 running · 500 ready · 3.00 s elapsed",
        "TASK    STATE        ATTEMPT   ELAPSED  WAIT OR REASON",
        "t499    ● running          1    2.00 s  1.00 s",
        "t498    ✗ failed           1    2.00 s  1.00 s",
        "t500    ○ ready                         3.00 s for a worker",
        "t501    ○ ready                         3.00 s for a worker",
        "… 996 more: 498 ready, 498 done",
    ]


def test_without_unicode_and_colour_the_table_is_plain_ascii() -> None:
    out = io.StringIO()
    graph, durations, story = story_of_the_worked_example()
    view = LiveTable(out, size=lambda: (80, 24), colour=False, unicode=False)
    run = WatchedRun(graph, view, expected=durations)
    for event in story[:20]:
        run.tell(event)
    run.close()
    assert "\x1b[3" not in out.getvalue()
    assert "> running" in out.getvalue()
    assert not set(out.getvalue()) & set("█░●✓○")


def test_frames_are_paced_by_the_wall_clock_and_the_last_one_is_always_drawn() -> None:
    frames: list[str] = []
    clock = [0.0]

    class Counting(io.StringIO):
        def write(self, text: str, /) -> int:
            frames.append(text)
            return len(text)

    graph, _, story = story_of_the_worked_example()
    view = LiveTable(Counting(), size=lambda: (80, 24), wall=lambda: clock[0])
    run = WatchedRun(graph, view)
    for event in story:
        clock[0] += 0.0625
        run.tell(event)
    run.close()
    run.close()
    view.tick()
    assert len(frames) == 1 + len(story) // 2 + 1
    assert "17/17 done" in frames[-1]


def test_a_note_stands_above_the_table() -> None:
    emulator = Emulator(60, 12)
    run = started(Graph.of({"a": []}), emulator.view)
    emulator.view.note("stopping, press again to cancel 1 call")
    run.close()
    assert emulator.shown().splitlines()[:2] == ["stopping, press again to cancel 1 call", "worked_example · run 01J0"]


def everything_from(master: int) -> str:
    """What was written to the terminal before its other end was closed: it arrives in pieces, when it likes."""
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that nobody can write any more
            raise
    finally:
        os.close(master)
    return b"".join(parts).decode()


def test_on_a_real_terminal_the_table_reads_the_size_of_its_stream() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 44, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        assert terminal.size(stream, {}) == (44, 10)
        view = view_for(stream, {"TERM": "xterm"})
        run = started(Graph.of({f"task{i}": [] for i in range(20)}), view)
        run.close()
    shown = everything_from(master)
    screen = pyte.Screen(44, 10)
    pyte.Stream(screen).feed(shown)
    assert [line.rstrip() for line in screen.display] == [
        "worked_example · run 01J0",
        "░░░░░░░░░░░░░░░░░ 0/20 · 0 running · 0.00 s",
        "TASK    STATE         ELAPSED",
        "task0   ○ ready",
        "task1   ○ ready",
        "task2   ○ ready",
        "task3   ○ ready",
        "task4   ○ ready",
        "… 15 more: 15 ready",
        "",
    ]
