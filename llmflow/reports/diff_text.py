"""The comparison of two runs, for people and as data (`llmflow.diff/1`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from llmflow.quantities import plural
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.diff import RunDiff, Side, TaskDiff
from llmflow.reports.past_run import RunFacts
from llmflow.reports.runs_text import clock_text, iso_text, pipeline_text, shorter_ids
from llmflow.reports.time_booking import COLUMNS
from llmflow.sanitise import clip, one_line

ROWS, PROMPTS, PROMPT_LINES = 20, 3, 12
"""How many tasks, changed prompts and lines of each are written out."""

ALIKE, BEFORE = 80, 40
"""Of two lines that begin with more than so many characters alike, only so many before the difference are shown."""

NOTICEABLE = 0.01
"""Seconds, and the share of a duration, below which a change is not spoken of."""

_COLUMNS = (Column("SECONDS OF THE MAKESPAN"), *(Column(h, right=True) for h in ("FIRST", "SECOND", "CHANGE")))
_TASKS = (
    Column("TASK", most=28),
    Column("EFFECT", right=True),
    Column("HELD", right=True),
    Column("WAITED FOR", most=40),
    Column("TOKENS", right=True),
    Column("CHANGED", most=60),
)


def render_diff(diff: RunDiff, *, columns: int = 100) -> str:
    """From the makespans to the prompts that changed, without a line end behind the last line; safe to print."""
    before, after = diff.makespans
    ids = shorter_ids([diff.first.id, diff.second.id])
    lines = [
        *(_head(label, i, facts) for label, i, facts in zip("12", ids, (diff.first, diff.second), strict=True)),
        f"makespan {before:.2f} s → {after:.2f} s: {_verdict(before, after)}",
        *(f"{name}: {_setting(a)} → {_setting(b)}" for name, a, b in diff.settings),
    ]
    rows = [[COLUMNS[c], f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}"] for c, a, b in diff.columns]
    parts = ["\n".join(lines), render_columns(_COLUMNS, rows, columns), _table(diff, columns)]
    changed = [task for task in diff.tasks if task.asked is not None]
    parts += [_prompt(task) for task in changed[:PROMPTS]]
    return "\n\n".join(part for part in parts if part)


def diff_json(diff: RunDiff) -> dict[str, Any]:
    """`llmflow.diff/1`: seconds; the effects of all tasks and `rest` add up to the change of the makespan."""
    before, after = diff.makespans
    return {
        "schema": "llmflow.diff/1",
        "first": _facts(diff.first),
        "second": _facts(diff.second),
        "makespan": {"first": before, "second": after, "change": after - before},
        "columns": {column: {"first": a, "second": b, "change": b - a} for column, a, b in diff.columns},
        "settings": {name: {"first": a, "second": b} for name, a, b in diff.settings},
        "rest": diff.rest,
        "tasks": [
            {
                "task": task.name,
                "effect": task.effect,
                "first": _side(task.first),
                "second": _side(task.second),
                "prompt": task.prompt or None,
                "asked": _asked(task),
                "items_asked_differently": task.differing,
            }
            for task in diff.tasks
        ],
    }


# ---- the parts ------------------------------------------------------------------------------------


def _head(label: str, shown: str, facts: RunFacts) -> str:
    name = pipeline_text(facts.pipeline, facts.path)
    return f"run {label}  {one_line(shown)}  {name}, {clock_text(facts.started_at)}, {one_line(facts.status)}"


def _verdict(before: float, after: float) -> str:
    change = after - before
    if abs(change) < 0.005:
        return "the same"
    share = f" ({100 * change / before:+.0f} %)" if before else ""
    return f"{abs(change):.2f} s {'slower' if change > 0 else 'faster'}{share}"


def _setting(text: str) -> str:
    return clip(one_line(text), 60)


def _table(diff: RunDiff, columns: int) -> str:
    told = [task for task in diff.tasks if _is_told(task)]
    quiet = len(diff.tasks) - len(told)
    notes = []
    if len(told) > ROWS:
        notes.append(f"… {plural(len(told) - ROWS, 'more task')} with smaller effects")
    if quiet:
        notes.append(f"{plural(quiet, 'task')} as before")
    if not told:
        return "\n".join(notes)
    return "\n".join([render_columns(_TASKS, [_cells(task) for task in told[:ROWS]], columns), *notes])


def _is_told(task: TaskDiff) -> bool:
    held = (task.first or Side()).held
    return (
        abs(task.effect) >= NOTICEABLE
        or abs(task.held_change) >= max(NOTICEABLE, NOTICEABLE * held)
        or bool(_changes(task))
    )


def _cells(task: TaskDiff) -> list[str]:
    first, second = task.first or Side(), task.second or Side()
    return [
        one_line(task.name),
        f"{task.effect:+.2f}" if abs(task.effect) >= 0.005 else "-",
        _arrow(f"{first.held:.2f}", f"{second.held:.2f}"),
        _waits(first.waits, second.waits),
        _arrow(f"{first.tokens:,}", f"{second.tokens:,}") if first.tokens or second.tokens else "-",
        "; ".join(_changes(task)) or "-",
    ]


def _arrow(first: str, second: str) -> str:
    return first if first == second else f"{first} → {second}"


def _waits(first: Mapping[str, float], second: Mapping[str, float]) -> str:
    """What it waited for differently, the largest change first; waiting for dependencies follows from the others."""
    changes = [
        (second.get(cause, 0.0) - first.get(cause, 0.0), cause)
        for cause in dict.fromkeys([*first, *second])
        if cause != "dependency"
    ]
    changes.sort(key=lambda change: -abs(change[0]))
    return (
        ", ".join(
            f"{cause.replace('_', ' ')} {first.get(cause, 0.0):.2f} → {second.get(cause, 0.0):.2f}"
            for change, cause in changes
            if abs(change) >= NOTICEABLE
        )
        or "-"
    )


def _changes(task: TaskDiff) -> list[str]:
    """What is different about the task, in words."""
    if task.first is None or task.second is None:
        return ["added" if task.first is None else "removed"]
    first, second = task.first, task.second
    words = []
    if task.prompt == "template":
        words.append("prompt changed")
    elif task.prompt == "values":
        words.append(f"{task.differing:,} asked with other values" if second.items else "asked with other values")
    if first.models != second.models and first.models and second.models:
        words.append(f"model {one_line('|'.join(first.models))} → {one_line('|'.join(second.models))}")
    if first.items != second.items:
        words.append(f"items {first.items:,} → {second.items:,}")
    if first.attempts != second.attempts and first.items == second.items:
        words.append(f"attempts {first.attempts:,} → {second.attempts:,}")
    if first.failed != second.failed:
        words.append(f"failed {first.failed:,} → {second.failed:,}")
    return words


def _prompt(task: TaskDiff) -> str:
    """The lines of the prompt that changed, as `diff -u` would show them."""
    import difflib

    assert task.asked is not None
    before, after = (_turns(text) for text in task.asked)
    lines = _from_where_they_differ(list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:])
    shown = [f"  {clip(one_line(line) or line[:1], 160)}" for line in lines[:PROMPT_LINES]]
    more = [f"  … {plural(len(lines) - PROMPT_LINES, 'more line')}"] if len(lines) > PROMPT_LINES else []
    return "\n".join([f"what {one_line(task.name)} was asked", *shown, *more])


def _from_where_they_differ(lines: Sequence[str]) -> list[str]:
    """Long lines that begin alike are cut in front, so that what changed in them is seen."""
    blocks = [list(block) for _, block in groupby(lines, key=lambda line: line[:1])]
    for gone, come in pairwise(blocks):
        if gone[0][:1] == "-" and come[0][:1] == "+":
            for n, pair in enumerate(zip(gone, come, strict=False)):
                first, second = (line[1:] for line in pair)
                alike = next((at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
                if alike > ALIKE:
                    gone[n], come[n] = (f"{line[0]}…{line[1 + alike - BEFORE :]}" for line in pair)
    return [line for block in blocks for line in block]


def _turns(asked: str) -> list[str]:
    turns = json.loads(asked) or []
    lines: list[str] = []
    for turn in turns:
        content = turn.get("content", "")
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        lines += [f"{turn.get('role', '')}: {line}" for line in text.splitlines() or [""]]
    return lines


def _facts(facts: RunFacts) -> dict[str, Any]:
    return {
        "run": facts.id,
        "pipeline": facts.pipeline,
        "path": facts.path,
        "status": facts.status,
        "started_at": iso_text(facts.started_at),
    }


def _asked(task: TaskDiff) -> dict[str, Any] | None:
    """For a changed prompt the messages of both runs."""
    if task.asked is None:
        return None
    first, second = map(json.loads, task.asked)
    return {"first": first, "second": second}


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "items": side.items,
        "duration": side.held,
        "on_path": side.booked,
        "waits": dict(side.waits),
        "attempts": side.attempts,
        "failed": side.failed,
        "input_tokens": side.input_tokens,
        "output_tokens": side.output_tokens,
        "models": list(side.models),
    }
