"""`llmflow show`: one past run, one task of it, one item, with every prompt and every answer."""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length
from llmflow.commands.past_runs import attempts, facts_of, find, opened, read, unheard_of
from llmflow.errors import UsageError
from llmflow.history.records import StoredRun
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
    run = read(history, one)
    tasks = _choose(run.rows, name, key)
    names = [task.facts.shown for task in run.tasks]
    facts = facts_of(one)
    if len(tasks) > 1:
        if as_json:
            return to_json(task_json(facts, [(task, None) for task in tasks], names))
        items: list[PastTask] = [task for task in tasks if task.facts.item is not None]
        return render_items(facts, tasks[0].facts.name, items, columns=line_length())
    tries = attempts(history, one, tasks[0])
    if as_json:
        return to_json(task_json(facts, [(tasks[0], tries)], names))
    return render_task(facts, tasks[0], tries, names)


def _choose(rows: Sequence[PastTask], name: str, key: str | None) -> list[PastTask]:
    """The task, its one item that is asked for, or all its items. Raises UsageError with what there is."""
    if key is None and name.endswith("]") and "[" in name and not any(task.facts.name == name for task in rows):
        name, _, key = name[:-1].partition("[")
    named = [task for task in rows if task.facts.name == name]
    if not named:
        raise unheard_of(f"the run has no task {name!r}", name, list(dict.fromkeys(task.facts.name for task in rows)))
    if key is None:
        return named
    chosen = [task for task in named if task.facts.item == key]
    if not chosen:
        keys = [task.facts.item for task in named if task.facts.item is not None]
        told = ", ".join(keys[:20]) + (" …" if len(keys) > 20 else "")
        raise UsageError(
            f"task {name} has no item {key!r}", f"its keys are {told}" if keys else "it ran once, without items"
        )
    return chosen
