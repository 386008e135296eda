"""One line per change with the run's time stamp: for files, pipes, CI and terminals that cannot redraw.

         0.00  S1  started on sim/0
         1.00  S1  succeeded after 1.00 s, 12 + 34 tokens

It is on in every benchmark of the engine: the two frequent lines are formatted in place and a batch
is one write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TextIO

from llmflow.quantities import plural, tokens_text
from llmflow.sanitise import one_line, printable
from llmflow.scheduling import events as ev
from llmflow.scheduling.events import Event
from llmflow.scheduling.idling import KEPT
from llmflow.views.view import RunContext


class PlainLines:
    """Writes to `stream`, one write per batch; never closes it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._context: RunContext
        self._names: Sequence[str] = ()
        self._pools: list[str] = []
        self._others: dict[type[Any], Callable[[Any], str]] = {
            ev.RunResumed: lambda e: "the run goes on",
            ev.AttemptFailed: self._attempt_failed,
            ev.AttemptCancelled: self._attempt_cancelled,
            ev.TimerSet: self._timer_set,
            ev.TaskFailed: self._task_failed,
            ev.TaskSkipped: lambda e: f"{self._names[e.task]}  skipped",
            ev.TaskBlocked: lambda e: f"{self._names[e.task]}  blocked: {self._names[e.cause]} did not succeed",
            ev.TaskCancelled: lambda e: f"{self._names[e.task]}  cancelled: {one_line(e.reason)}",
            ev.StopRequested: lambda e: f"stopping: {one_line(e.reason)}",
            ev.RunPaused: lambda e: f"paused: {one_line(e.reason)}",
            ev.RunFinished: lambda e: f"run {e.status}",
        }

    def start(self, context: RunContext) -> None:
        self._context = context
        self._names = _Shown(context.state.graph.names)
        self._pools = [one_line(pool.name) for pool in context.pools]
        tasks = plural(len(context.state.graph), "task")
        self._write(f"{context.state.now:9.2f}  run {one_line(context.run_id)} of {one_line(context.name)}: {tasks}\n")

    def on_events(self, events: Sequence[Event]) -> None:
        names, pools = self._names, self._pools
        first_started_at, usage = self._context.state.first_started_at, self._context.usage
        others, copies = self._others, self._context.state.copies
        lines: list[str] = []
        stamped, stamp = -1.0, ""
        for event in events:
            if type(event) is ev.AttemptSucceeded:
                continue  # its task's own end says more
            if (at := event.at) != stamped:
                stamped, stamp = at, f"{at:9.2f}"  # many events of a batch share their time
            if type(event) is ev.AttemptStarted:
                _, task, attempt, number, pool, _, worker, _ = event
                if pool >= 0:
                    again = f" again, attempt {number}," if number > 1 else ""
                    if attempt in copies:
                        again = " a second call"
                    lines.append(f"{stamp}  {names[task]}  started{again} on {pools[pool]}/{worker}\n")
            elif type(event) is ev.TaskSucceeded:
                task = event.task
                tokens = f", {tokens_text(usage[task])}" if task in usage else ""
                took = at - first_started_at[task]
                # NaN: no attempt was made, an earlier answer served
                how = f"after {took:.2f} s" if took == took else "with an earlier answer"
                lines.append(f"{stamp}  {names[task]}  succeeded {how}{tokens}\n")
            elif (sentence := others.get(type(event))) is not None:
                lines.append(f"{stamp}  {sentence(event)}\n")
        if lines:
            self._write("".join(lines))

    def tick(self) -> None:
        """Nothing changes between events."""

    def note(self, text: str) -> None:
        self._write(f"{self._context.clock():9.2f}  {printable(text)}\n")

    def close(self) -> None:
        """The stream is not ours to close, and every batch was flushed."""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _attempt_failed(self, event: ev.AttemptFailed) -> str:
        number = self._context.state.attempts[event.task]
        return f"{self._names[event.task]}  attempt {number} failed: {reason(event.kind, event.detail)}"

    def _attempt_cancelled(self, event: ev.AttemptCancelled) -> str:
        name = self._names[event.task]
        if event.reason == "outrun":
            return f"{name}  the slower call was cancelled and may be billed"
        return f"{name}  attempt cancelled ({one_line(event.reason).replace('_', ' ')})"

    def _timer_set(self, event: ev.TimerSet) -> str:
        wait = max(0.0, event.due - event.at)
        if event.cause == KEPT:
            return f"{self._names[event.task]}  is held back, {wait:.2f} s at most: a worker is kept free"
        return f"{self._names[event.task]}  waits {wait:.2f} s ({one_line(event.cause).replace('_', ' ')})"

    def _task_failed(self, event: ev.TaskFailed) -> str:
        accepted = " (accepted)" if event.accepted else ""
        return f"{self._names[event.task]}  failed{accepted}: {reason(event.kind, event.detail)}"


class _Shown(Sequence[str]):
    """The names of tasks as they are written out; those of items are made when they are asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._known = list(map(one_line, names))

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, task: Any) -> Any:
        known = self._known
        return known[task] if task < len(known) else one_line(self._names[task])


def reason(kind: str, detail: str) -> str:
    """A failure in one line."""
    return f"{kind}: {one_line(detail)}" if detail else f"{kind}"
