"""`llmflow show`: one past run, one task of it, one item, with every prompt and every answer."""

from __future__ import annotations

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver
from llmflow.commands.past_runs import attempts, facts_of, find, line_length, opened, read
from llmflow.errors import UsageError
from llmflow.history import stories
from llmflow.history.records import StoredRun, TaskRecord
from llmflow.history.store import Store
from llmflow.reports.past_run import PastTask
from llmflow.reports.show_text import render_items, render_show, render_task, show_json, task_json


def show(
    word: str,
    task: str | None = None,
    key: str | None = None,
    *,
    all_items: bool = False,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the run that `word` names, or one of its tasks; `task[key]` may be written in one word."""
    with opened(store) as history:
        one = find(history, word)
        if task is None:
            run = read(history, one)
            text = to_json(show_json(run)) if as_json else render_show(run, columns=line_length(), all_items=all_items)
        else:
            text = _task(history, one, task, key, as_json)
    deliver(text, output)
    return 0


def _task(history: Store, one: StoredRun, name: str, key: str | None, as_json: bool) -> str:
    records = stories.tasks(history, one.record.id)
    chosen = _choose(records, name, key)
    run = read(history, one)
    names = [task.facts.shown for task in run.tasks]
    facts = facts_of(one)
    tasks = [run.tasks[record.task] for record in chosen]
    if len(tasks) > 1:
        if as_json:
            return to_json(task_json(facts, [(task, None) for task in tasks], names))
        items: list[PastTask] = [task for task in tasks if task.facts.item is not None]
        return render_items(facts, chosen[0].name, items, columns=line_length())
    tries = attempts(history, one, chosen[0])
    if as_json:
        return to_json(task_json(facts, [(tasks[0], tries)], names))
    return render_task(facts, tasks[0], tries, names)


def _choose(records: list[TaskRecord], name: str, key: str | None) -> list[TaskRecord]:
    """The task, its one item that is asked for, or all its items. Raises UsageError with what there is."""
    if key is None and name.endswith("]") and "[" in name and not any(record.name == name for record in records):
        name, _, key = name[:-1].partition("[")
    named = [record for record in records if record.name == name]
    if not named:
        import difflib

        known = list(dict.fromkeys(record.name for record in records))
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"the run has no task {name!r}",
            f"did you mean {near[0]}?" if near else f"it has {', '.join(known[:20])}",
        )
    if key is None:
        return named
    chosen = [record for record in named if record.item == key]
    if not chosen:
        keys = [record.item for record in named if record.item is not None]
        told = ", ".join(keys[:20]) + (" …" if len(keys) > 20 else "")
        raise UsageError(
            f"task {name} has no item {key!r}", f"its keys are {told}" if keys else "it ran once, without items"
        )
    return chosen[:1]
