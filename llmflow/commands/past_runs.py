"""Past runs for the commands that look back: finding one by what the user typed, and reading it whole."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from llmflow.errors import UsageError
from llmflow.history import learned, looking_back, stories
from llmflow.history.location import store_dir
from llmflow.history.records import AnswerRecord, StoredRun, TaskRecord
from llmflow.history.store import Store
from llmflow.protocol import Usage
from llmflow.reports.past_run import (
    Answer,
    Call,
    PastAttempt,
    PastRun,
    PastTask,
    RunFacts,
    TaskFacts,
    attempts_of,
    past_run,
)

LAST = "last"

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)


@contextmanager
def opened(store: str | None) -> Iterator[Store]:
    """The history to look into. Raises UsageError where there is none yet, StoreError where it cannot be read."""
    directory = store_dir(store, os.environ)
    history = Store.open_if_there(directory)
    if history is None:
        raise UsageError(f"there is no history in {directory}", "`llmflow run FILE` makes some")
    with history:
        yield history


def find(store: Store, word: str) -> StoredRun:
    """The run that `word` names: its id, a beginning of it that no other has, or `last`. Raises UsageError."""
    if word == LAST:
        found = looking_back.last_run(store)
        if found is None:
            raise UsageError("the history holds no runs", "`llmflow run FILE` makes one")
        return found
    ids = looking_back.matching_ids(store, word) if word else []
    if len(ids) > 1 and word.upper() in ids:
        ids = [word.upper()]
    if len(ids) > 1:
        raise UsageError(f"{word} is the beginning of several runs", f"go on typing: {', '.join(ids)}")
    one = stories.run(store, ids[0]) if ids else None
    if one is None:
        raise UsageError(f"there is no run {word!r}", "`llmflow runs` lists them; the beginning of an id is enough")
    return one


def check_known(store: Store, pipeline: str | None, key: str | None, task: str | None, model: str | None) -> None:
    """Raise UsageError for a name that the history has never heard of, with those that are near.

    `key` is what `pipeline`, the user's word, is filed under: a file that has not run yet is no mistake, and
    neither is anything while there is no history.
    """
    pipelines = learned.known(store, "pipeline")
    if not pipelines:
        return
    if pipeline is not None and key not in pipelines:
        if os.path.isfile(pipeline):
            return
        raise unheard_of(f"the history has no pipeline {pipeline!r}, and there is no such file", pipeline, pipelines)
    for column, name in (("task", task), ("model", model)):
        names = learned.known(store, column, key) if name is not None else []
        if name is not None and name not in names:
            of = f"of {pipeline} " if pipeline is not None else ""
            raise unheard_of(f"the history {of}has no {column} {name!r}", name, names)


def unheard_of(message: str, word: str, known: Sequence[str]) -> UsageError:
    """The mistake, with the name that is nearest to `word`, else some of those there are."""
    import difflib

    near = difflib.get_close_matches(word, known, 1)
    told = f"it has {', '.join(known[:20])}{' …' if len(known) > 20 else ''}" if known else ""
    return UsageError(message, f"did you mean {near[0]}?" if near else told)


def seconds_of(text: str) -> float:
    """How long ago: `7d`, `12h`, `30m`, `2w`. Raises UsageError."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no time to look back", "write one such as 7d, 12h, 30m or 2w")
    return float(found[1]) * _UNITS[found[2]]


def since(last: str | None) -> float | None:
    """The time of day that `--last` reaches back to, None where it is not given. Raises UsageError."""
    return None if last is None else time.time() - seconds_of(last)


def read(store: Store, one: StoredRun) -> PastRun:
    """The whole run, without what was asked and answered."""
    run_id = one.record.id
    return past_run(
        facts_of(one),
        [_task_facts(task) for task in stories.tasks(store, run_id)],
        [(pool.name, pool.workers) for pool in one.record.pools],
        stories.story(store, run_id),
        calls_of(looking_back.calls(store, run_id)),
    )


def calls_of(rows: Iterable[looking_back.CallRow]) -> Iterator[Call]:
    """Answered attempts as the reports want them."""
    for row in rows:
        usage = Usage(
            row.input_tokens,
            row.output_tokens,
            row.cached_input_tokens,
            row.cache_write_tokens,
            row.reasoning_tokens,
            row.estimated,
        )
        yield Call(row.task, row.attempt, row.seconds, row.invalid, row.model, usage)


def facts_of(one: StoredRun) -> RunFacts:
    """What stands in the run's own row."""
    record, outcome = one.record, one.outcome
    summary = outcome.summary if outcome is not None else {}
    return RunFacts(
        id=record.id,
        pipeline=record.pipeline,
        path=record.path,
        status=one.status,
        started_at=record.started_at,
        policy=record.policy,
        workers=record.workers,
        seed=record.seed,
        version=record.version,
        makespan=outcome.makespan if outcome is not None else None,
        lower_bound=summary.get("lower_bound"),
        bound_kind=summary.get("lower_bound_kind", ""),
        ratio=summary.get("ratio"),
        inputs=record.inputs,
        outputs=summary.get("outputs"),
        options=record.options,
        forecast=record.forecast or {},
    )


def attempts(store: Store, one: StoredRun, task: PastTask) -> list[PastAttempt]:
    """Every attempt of one task in all parts of its run, with what was asked and answered."""
    run_id = one.record.id
    invalid = {row.attempt for row in looking_back.calls(store, run_id) if row.invalid}
    answers = {
        stored.answer.attempt: (_answer(stored.answer), stored.answer.attempt in invalid)
        for stored in stories.answers(store, run_id, name=task.facts.name, item=task.facts.item)
        if stored.answer.task in task.numbers
    }
    names = [pool.name for pool in one.record.pools]
    return attempts_of(task.numbers, names, stories.story(store, run_id), answers)


def _task_facts(task: TaskRecord) -> TaskFacts:
    return TaskFacts(task.name, task.item, task.kind, task.model, task.dependencies)


def _answer(kept: AnswerRecord) -> Answer:
    return Answer(
        messages=_turns(kept.messages),
        output=kept.output,
        text=kept.text,
        model=kept.model,
        answered_by=kept.answered_by,
        endpoint=kept.endpoint,
        finish_reason=kept.finish_reason,
        request_id=kept.request_id,
        usage=kept.usage,
        seconds=kept.duration,
        first_token=kept.first_token,
    )


def _turns(asked: Any) -> Sequence[Mapping[str, Any]]:
    """What was asked as turns; what a program, a function or a server was given has a turn for each part of it."""
    if isinstance(asked, Mapping):
        return [{"role": part, "content": given} for part, given in asked.items()]
    return asked if isinstance(asked, list) else ()
