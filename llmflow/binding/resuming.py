"""Going on with a run that did not end well: which one is meant, what it asked for, which answers it has already.

Nothing is replayed. The run begins once more under its own id, and every task for which there is an
answer to exactly what would be asked now has it at once; so a changed prompt, file or policy needs
no special case, and an answer that was paid for is not asked for again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from llmflow.binding.answered import WITHHELD, Key, Reply
from llmflow.binding.execution import Earlier, Held
from llmflow.binding.recall import Known, Place
from llmflow.binding.recording import NO_CONTENT
from llmflow.errors import UsageError
from llmflow.history import stories
from llmflow.history.records import StoredAnswer, StoredRun
from llmflow.history.samples import mean_tokens
from llmflow.history.store import Store
from llmflow.protocol import Usage
from llmflow.quantities import plural
from llmflow.reports.spans import Spans
from llmflow.scheduling.events import AttemptCancelled, AttemptFailed, AttemptStarted, AttemptSucceeded

LISTED = 10
"""So many calls are named in one sentence."""

GOING_ON = ("failed", "stopped", "paused", "interrupted", "running")
"""Statuses of runs that can be resumed; a run that still has its process is refused by its lock."""


def find_run(store: Store, wanted: str | None, pipeline: str | None) -> StoredRun:
    """The run to resume: `wanted` is (the beginning of) an id; else the last of `pipeline`; else the last of all.

    One that has succeeded is meant by its id, or where its process died before it could say so. Raises UsageError.
    """
    if wanted is not None:
        found = [run for run in stories.runs(store) if run.record.id.startswith(wanted.upper())]
        if not found:
            raise UsageError(f"no run {wanted!r} in {store.directory}", "`llmflow runs` lists them")
        if len(found) > 1:
            raise UsageError(f"{wanted!r} means {len(found)} runs", "write more of the id")
        run = found[0]
    else:
        of = f" of {pipeline}" if pipeline is not None else ""
        found = stories.runs(store, pipeline=pipeline)
        latest = next((r for r in found if r.status in GOING_ON or store.was_cut_off(r.record.id)), None)
        if latest is None:
            raise UsageError(f"no run{of} can go on: none failed, stopped or paused", "run it without --resume")
        run = latest
    if run.record.options.get(NO_CONTENT):
        raise UsageError(
            f"run {run.record.id} kept no content (--no-content), so nobody can go on with it", "run it anew"
        )
    return run


def take_up(store: Store, run: StoredRun, *, rerun_interrupted: bool = False) -> Earlier:
    """What the run has done so far. Its answers serve again in the order in which they came."""
    answers = list(stories.answers(store, run.record.id))
    not_kept = [(a.name, a.item) for a in answers if a.answer.accepted and WITHHELD in a.answer.parts]
    return Earlier(
        run=run.record.id,
        known=[Known(a.name, a.item, _reply(a)) for a in answers],
        held=_held(store, run),
        at=stories.last_at(store, run.record.id),
        started_at=run.record.started_at,
        in_doubt=() if rerun_interrupted else [*interrupted(store, run), *not_kept],
        in_flight=_in_flight(store, run),
    )


def _held(store: Store, run: StoredRun) -> list[Held]:
    """What held which worker; calls of which no end is told, to the last thing that is."""
    spans, names = Spans(), [(task.name, task.item) for task in stories.tasks(store, run.record.id)]
    spans.on_events(stories.story(store, run.record.id))
    at = stories.last_at(store, run.record.id)
    spans.on_events(AttemptCancelled(at, s.task, s.attempt) for s in stories.in_flight(store, run.record.id))
    pools = [pool.name for pool in run.record.pools]
    return [Held(names[s.task], pools[s.pool], *s[2:]) for s in spans.spans if s.task < len(names)]


def _in_flight(store: Store, run: StoredRun) -> str:
    """Which calls have no known end, and what they may have cost by what the same tasks took before."""
    calls = cut_off(store, run)
    if not calls:
        return ""
    known = mean_tokens(store, run.record.pipeline)
    tokens = [known[name] for name in (call.partition("[")[0] for call in calls) if name in known]
    entered, left = (sum(part) for part in zip(*tokens, strict=True)) if tokens else (0, 0)
    cost = f", for about {entered:,.0f} + {left:,.0f} tokens by earlier calls" if tokens else ""
    if tokens and len(tokens) < len(calls):
        cost += f" of {len(tokens)} of them"
    named = ", ".join(calls[:LISTED]) + (f" and {len(calls) - LISTED:,} more" if len(calls) > LISTED else "")
    return f"{plural(len(calls), 'call')} had no known end and may have been paid for{cost}: {named}"


def cut_off(store: Store, run: StoredRun) -> list[str]:
    """The calls that were under way when the run's process died: they may have been paid for, and run again.

    One whose answer is in the store already is none of them.
    """
    names = {task.task: task for task in stories.tasks(store, run.record.id)}
    answered = stories.answered_attempts(store, run.record.id)
    calls = []
    for started in stories.in_flight(store, run.record.id):
        task = names.get(started.task)
        if task is not None and started.pool >= 0 and started.attempt not in answered:
            calls.append(task.name if task.item is None else f"{task.name}[{task.item}]")
    return calls


def interrupted(store: Store, run: StoredRun) -> list[Place]:
    """The tasks and items whose last attempt in any part of the run has neither answered nor failed."""
    names = {task.task: (task.name, task.item) for task in stories.tasks(store, run.record.id)}
    answered = stories.answered_attempts(store, run.record.id)
    latest: dict[Place, int] = {}
    under_way: set[int] = set()
    for event in stories.story(store, run.record.id):
        if isinstance(event, AttemptStarted) and event.pool >= 0 and event.task in names:
            latest[names[event.task]] = event.attempt
            under_way.add(event.attempt)
        elif isinstance(event, AttemptSucceeded | AttemptFailed):
            under_way.discard(event.attempt)
    under_way -= answered
    return [place for place, attempt in latest.items() if attempt in under_way]


def last_outputs(store: Store, pipeline: str, tasks: frozenset[str]) -> Iterator[Known]:
    """The last good answer of each of `tasks`, whatever it was asked: for the parts of a pipeline that do not run."""
    missing = set(tasks)
    for run in stories.runs(store, pipeline=pipeline):
        if not missing:
            return
        found: dict[tuple[str, str | None], StoredAnswer] = {}
        for answer in stories.answers(store, run.record.id):
            if answer.name in missing and answer.answer.accepted and WITHHELD not in answer.answer.parts:
                found[answer.name, answer.item] = answer
        for stored in found.values():
            yield Known(stored.name, stored.item, _reply(stored, keyed=False))
        missing -= {name for name, _ in found}


def file_of(run: StoredRun) -> str:
    """The pipeline's file, as it is now. Raises UsageError where it is gone."""
    path = run.record.path
    if not os.path.isfile(path):
        raise UsageError(f"run {run.record.id} was started from {path or 'standard input'}, which is not there")
    return path


def _reply(stored: StoredAnswer, *, keyed: bool = True) -> Reply:
    answer = stored.answer
    return Reply(
        value=answer.text if answer.text is not None else answer.output,
        asked=answer.messages,
        key=Key(answer.key, answer.parts) if keyed else None,
        usage=answer.usage if keyed and answer.usage != Usage() else None,
        finish_reason=answer.finish_reason,
    )
