"""`llmflow cache`: which answers may serve again, why one did not, and forgetting them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from llmflow.binding.loading import load_file
from llmflow.binding.recall import what_changed
from llmflow.commands.console import as_json, deliver, say
from llmflow.commands.past_runs import opened, seconds_of
from llmflow.errors import UsageError
from llmflow.history import stories
from llmflow.history.cached import cached_tasks, forget
from llmflow.history.records import StoredAnswer
from llmflow.history.store import Store
from llmflow.quantities import plural
from llmflow.sanitise import printable


def listing(pipeline: str | None, *, store: str | None = None, json: bool = False) -> int:
    """The tasks whose answers may serve again."""
    with opened(store) as history:
        found = cached_tasks(history, _key(pipeline))
    if json:
        deliver(as_json([task._asdict() for task in found]))
    elif not found:
        say("no answers that could serve again")
    else:
        rows = [(t.pipeline, t.task, plural(t.answers, "answer"), f"youngest {_day(t.youngest)}") for t in found]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        deliver(printable("\n".join(line.rstrip() for line in lines)))
    return 0


def why(pipeline: str, task: str, item: str | None, *, store: str | None = None) -> int:
    """Which part of a task's question changed between its last answer and the one before."""
    with opened(store) as history:
        last, before = _last_two(history, _key(pipeline), task, item)
    if last.answer.key == before.answer.key:
        deliver("nothing changed: the last answer is to the same question as the one before")
    else:
        changed = what_changed(before.answer.parts, last.answer.parts)
        deliver(f"{changed} since {_day(before.answer.created_at)}: the last answer is to another question")
    return 0


def prune(pipeline: str | None, *, older_than: str, store: str | None = None) -> int:
    """Let old answers serve no more; they stay in the history of their runs."""
    with opened(store) as history:
        counts = forget(history, before=time.time() - seconds_of(older_than), pipeline=_key(pipeline))
    _say_forgotten(*counts)
    return 0


def clear(pipeline: str | None, *, store: str | None = None) -> int:
    """Let no answer serve any more; those of runs that can still be resumed serve these."""
    with opened(store) as history:
        counts = forget(history, before=time.time() + 1.0, pipeline=_key(pipeline))
    _say_forgotten(*counts)
    return 0


def _say_forgotten(answers: int, questions: int) -> None:
    """`cache ls` counts questions; that some were answered by several runs has to be said."""
    several = f" to {plural(questions, 'question')}" if questions != answers else ""
    say(f"{plural(answers, 'answer')}{several} will not serve again")


def _last_two(history: Store, pipeline: str | None, task: str, item: str | None) -> tuple[StoredAnswer, StoredAnswer]:
    """The last answer of the task, and the last of an earlier run. Raises UsageError where there are not two."""
    found: list[StoredAnswer] = []
    for run in stories.runs(history, pipeline=pipeline):
        answers = [a for a in stories.answers(history, run.record.id, name=task, item=item) if a.answer.key]
        found += answers[-1:]
        if len(found) == 2:
            return found[0], found[1]
    raise UsageError(f"{task} has {plural(len(found), 'answer')} in the history: there is nothing to compare")


def _key(pipeline: str | None) -> str | None:
    """What the history files a pipeline under: its file's, else the name as it was said."""
    if pipeline is not None and os.path.isfile(pipeline):
        return load_file(str(Path(pipeline))).key
    return pipeline


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
