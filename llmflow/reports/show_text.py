"""One past run, and one task of it with every attempt: for people and as data (`llmflow.show/1`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llmflow.protocol import Usage
from llmflow.quantities import input_output_text, plural, ratio_text, second_calls_text, seconds_text, tokens_text
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.gantt_text import Block, render_gantt
from llmflow.reports.past_run import Answer, PastAttempt, PastRun, PastTask, RunFacts
from llmflow.reports.runs_text import clock_text, iso_text, pipeline_text
from llmflow.reports.summary_text import usage_json
from llmflow.reports.time_booking import COLUMNS, TimeBooking, booking_json
from llmflow.reports.time_limit_text import limit_of, limit_text
from llmflow.sanitise import clip, fit, one_line, printable, width

SLOWEST = 5
"""How many of the items of one task are shown, the slowest and the failed ones; the others are counted."""

STEPS = 6
"""How many tasks are named beside each part of the time."""

NOT_KEPT = object()
"""The output of an answer of which nothing was kept: null is an answer too."""

_TASKS = (
    Column("TASK", most=32),
    Column("STATUS"),
    Column("TRIES", right=True),
    Column("HELD", right=True),
    Column("START", right=True),
    Column("END", right=True),
    Column("WAITED FOR", most=44),
    Column("TOKENS", right=True),
    Column("BY", most=32),
)


def render_show(run: PastRun, *, columns: int = 100, all_items: bool = False) -> str:
    """The run from its head to its Gantt chart, without a line end behind the last line; safe to print."""
    parts = [_head(run), _time(run, columns), _task_table(run.rows, columns, all_items), _failures(run.rows)]
    blocks = [
        Block((run.pools[span.pool][0], span.worker), run.tasks[span.task].facts.shown, span.start, span.end)
        for span in run.spans
    ]
    end = max([run.booking.makespan, *(block.finish for block in blocks)])  # `finally` comes behind the makespan
    parts.append(render_gantt(blocks, end, columns=columns))
    return "\n\n".join(part for part in parts if part)


def show_json(run: PastRun) -> dict[str, Any]:
    """`llmflow.show/1` of a whole run: seconds, null where something is unknown or has not happened."""
    names = [task.facts.shown for task in run.tasks]
    return {
        "schema": "llmflow.show/1",
        **_facts_json(run.facts),
        "makespan": run.makespan,
        "usage": usage_json(run.usage),
        "cost_usd": None,
        "second_calls": {"made": run.copies, "answered_first": run.overtaken},
        "forecast": _forecast_json(run.facts),
        "decision": run.facts.forecast.get("decision"),
        "time": booking_json(run.booking, names),
        "pools": [{"name": name, "workers": workers} for name, workers in run.pools],
        "tasks": [_task_json(task, names) for task in run.rows],
    }


def render_task(facts: RunFacts, task: PastTask, attempts: Sequence[PastAttempt], names: Sequence[str]) -> str:
    """One task: how it went, then every attempt with what was asked and answered; safe to print."""
    copies = f", {plural(task.copies, 'second call')}" if task.copies else ""
    lines = [
        f"{one_line(task.facts.shown)} of run {one_line(facts.id)}, {pipeline_text(facts.pipeline, facts.path)}",
        _labelled(
            "status", f"{task.status}, {plural(task.attempts, 'attempt')}{copies}, {seconds_text(task.held)} held"
        ),
    ]
    waits = _waits(task)
    if waits:
        lines.append(_labelled("waited for", waits))
    if task.facts.model:
        lines.append(_labelled("model", one_line(task.facts.model)))
    if task.facts.name in facts.timeouts:
        lines.append(_labelled("timeout", limit_text(limit_of(facts.timeouts[task.facts.name]))))
    if task.facts.dependencies:
        lines.append(_labelled("behind", ", ".join(one_line(names[d]) for d in task.facts.dependencies)))
    if task.failure is not None:
        lines.append(_labelled("failure", _reason(*task.failure)))
    if facts.options.get("no_content"):
        lines.append(_labelled("content", "not kept (--no-content)"))
        attempts = [
            one if one.answer is None else one._replace(answer=_without_content(one.answer)) for one in attempts
        ]
    parts = ["\n".join(lines), *(_attempt_text(attempt) for attempt in attempts)]
    return "\n\n".join(parts)


def render_items(facts: RunFacts, name: str, tasks: Sequence[PastTask], *, columns: int = 100) -> str:
    """All items of one task as a table; safe to print."""
    head = f"{one_line(name)} of run {one_line(facts.id)}: {plural(len(tasks), 'item')}"
    return f"{head}\n\n{_table(tasks, columns)}"


def task_json(
    facts: RunFacts, tasks: Sequence[tuple[PastTask, Sequence[PastAttempt] | None]], names: Sequence[str]
) -> dict[str, Any]:
    """`llmflow.show/1` of one task or of its items; attempts of None are left out."""
    return {
        "schema": "llmflow.show/1",
        **_facts_json(facts),
        "tasks": [
            _task_json(task, names)
            | {"timeout": facts.timeouts.get(task.facts.name)}
            | ({} if attempts is None else {"tries": [_attempt_json(attempt) for attempt in attempts]})
            for task, attempts in tasks
        ],
    }


# ---- the parts ------------------------------------------------------------------------------------


def _head(run: PastRun) -> str:
    facts = run.facts
    workers = "unlimited" if facts.workers is None else str(facts.workers)
    lines = [
        f"run {one_line(facts.id)}",
        _labelled("pipeline", f"{pipeline_text(facts.pipeline, facts.path)} ({one_line(facts.path) or 'no file'})"),
        _labelled("started", f"{clock_text(facts.started_at)}, policy {one_line(facts.policy)}, workers {workers}"),
        _labelled("status", f"{one_line(facts.status)}: {_counts(run.rows)}"),
    ]
    bound = ""
    if facts.lower_bound is not None and facts.ratio is not None:
        bound = f" · lower bound {facts.lower_bound:.2f} s ({facts.bound_kind}), ratio {ratio_text(facts.ratio)}"
    lines.append(_labelled("makespan", f"{run.makespan:.2f} s{bound}"))
    if run.usage != Usage():
        lines.append(_labelled("tokens", input_output_text(run.usage)))
    if run.copies:
        lines.append(_labelled("hedged", second_calls_text(run.copies, run.overtaken)))
    lines += _foretold(run)
    return "\n".join(lines)


def _foretold(run: PastRun) -> list[str]:
    """What was foretold of the run, and why its order was chosen; nothing of what the history does not have."""
    told, lines = run.facts.forecast, []
    if told.get("p10") is not None and told["p10"] == told["p90"]:
        lines.append(f"{told['p50']:.2f} s, without a spread")
    elif told.get("p10") is not None:
        lines.append(f"P10 {told['p10']:.2f}, P50 {told['p50']:.2f}, P90 {told['p90']:.2f} s")
    if tokens := told.get("tokens"):
        lines.append(f"P10 {tokens['p10']:,.0f}, P50 {tokens['p50']:,.0f}, P90 {tokens['p90']:,.0f} tokens")
    lines = [_labelled("" if i else "forecast", line) for i, line in enumerate(lines)]
    decision = told.get("decision")
    if decision and decision["reason"]:
        lines.append(_labelled("order", one_line(f"{decision['order']}: {decision['reason']}")))
    return lines


def _counts(tasks: Sequence[PastTask]) -> str:
    counts: dict[str, int] = {}
    for task in tasks:
        counts[task.status] = counts.get(task.status, 0) + 1
    return ", ".join([plural(len(tasks), "task"), *(f"{n:,} {word}" for word, n in counts.items())])


def _time(run: PastRun, columns: int) -> str:
    names = [task.facts.shown for task in run.tasks]
    return "\n".join(["where the time went", *time_lines(run.booking, names, columns=columns)])


def time_lines(booking: TimeBooking, names: Sequence[str], *, columns: int = 100) -> list[str]:
    """One line per column that took time, the largest first, with the tasks that it went to."""
    lines = []
    for column in sorted(booking.nanoseconds, key=lambda name: -booking.nanoseconds[name]):
        parts = [(step.nanoseconds[column], names[step.task]) for step in booking.steps if column in step.nanoseconds]
        parts.sort(key=lambda part: -part[0])
        told = ", ".join(f"{clip(one_line(name), 32)} {ns / 1e9:.2f}" for ns, name in parts[:STEPS])
        more = f", … {len(parts) - STEPS:,} more" if len(parts) > STEPS else ""
        start = f"  {fit(COLUMNS[column], 32)}{booking.seconds(column):>9.2f} s {100 * booking.share(column):>4.0f} %  "
        lines.append(clip((start + told + more).rstrip(), max(columns, width(start))))
    return lines


def _task_table(tasks: Sequence[PastTask], columns: int, all_items: bool) -> str:
    if all_items:
        return _table(tasks, columns)
    groups: dict[str, list[PastTask]] = {}
    for task in tasks:
        groups.setdefault(task.facts.name, []).append(task)
    shown: list[PastTask] = []
    notes = []
    for name, group in groups.items():
        items = [task for task in group if task.facts.item is not None]
        if len(items) <= 2 * SLOWEST:
            shown += group
            continue
        kept = {id(task) for task in sorted(items, key=lambda task: -task.held)[:SLOWEST]}
        kept |= {id(task) for task in [task for task in items if task.status == "failed"][:SLOWEST]}
        shown += [task for task in group if task.facts.item is None or id(task) in kept]
        left = len(items) - sum(1 for task in items if id(task) in kept)
        notes.append(
            f"{one_line(name)}: the slowest and the failed of {len(items):,} items, {left:,} not shown (--all)"
        )
    return "\n".join([_table(shown, columns), *notes])


def _table(tasks: Sequence[PastTask], columns: int) -> str:
    return render_columns(_TASKS, [_cells(task) for task in tasks], columns)


def _cells(task: PastTask) -> list[str]:
    return [
        one_line(task.facts.shown),
        task.status,
        f"{task.attempts}+{task.copies}" if task.copies else str(task.attempts),
        f"{task.held:.2f}" if task.held else "-",
        "-" if task.started is None else f"{task.started:.2f}",
        "-" if task.finished is None else f"{task.finished:.2f}",
        _waits(task) or "-",
        "-" if task.usage in (None, Usage()) else tokens_text(task.usage or Usage()).removesuffix(" tokens"),
        one_line(", ".join(task.models) or task.facts.model or task.facts.kind),
    ]


def _waits(task: PastTask) -> str:
    """`worker 10.00 s, dependency 1.00 s`, longest first; waits that round to nothing are left out."""
    waits = sorted(task.waits.items(), key=lambda wait: -wait[1])
    return ", ".join(f"{cause.replace('_', ' ')} {seconds:.2f}" for cause, seconds in waits if seconds >= 0.005)


def _failures(tasks: Sequence[PastTask]) -> str:
    failed = [task for task in tasks if task.failure is not None]
    lines = [f"  {one_line(t.facts.shown)}: {_reason(*t.failure)}" for t in failed[:20] if t.failure is not None]
    if len(failed) > 20:
        lines.append(f"  … {len(failed) - 20:,} more")
    return "\n".join(["failures", *lines]) if lines else ""


def _reason(kind: str, detail: str) -> str:
    return clip(one_line(f"{kind}: {detail}" if detail else kind), 300)


def _attempt_text(attempt: PastAttempt) -> str:
    end = "…" if attempt.ended is None else f"{attempt.ended:.2f} s"
    where = f" on {one_line(attempt.worker)}" if attempt.worker else ""
    told = one_line(f"{attempt.outcome}: {attempt.detail}" if attempt.detail else attempt.outcome)
    call = f", call {attempt.copy + 1}" if attempt.copy else ""
    which = f"attempt {attempt.number}" if attempt.number else "no attempt"
    lines = [f"{which}{call}: {attempt.started:.2f} s → {end}{where}, {told}"]
    if attempt.answer is not None:
        lines += _answer_lines(attempt.answer)
    return "\n".join(lines)


def _without_content(answer: Answer) -> Answer:
    return answer._replace(messages=(), output=NOT_KEPT, text=None)


def _answer_lines(answer: Answer) -> list[str]:
    by = f" as {answer.answered_by}" if answer.answered_by and not answer.model.endswith(answer.answered_by) else ""
    first = "" if answer.first_token is None else f", first token after {seconds_text(answer.first_token)}"
    tokens = tokens_text(answer.usage) if answer.usage != Usage() else ""
    facts = [answer.model + by, tokens, answer.finish_reason, seconds_text(answer.seconds) + first]
    if answer.request_id:
        facts.append(f"request {answer.request_id}")
    lines = [f"  {one_line(' · '.join(fact for fact in facts if fact))}"]
    for turn in answer.messages:
        lines += _block(str(turn.get("role", "")), turn.get("content", ""))
    if answer.output is not NOT_KEPT:
        lines += _block("answer", answer.output if answer.text is None else answer.text)
    if answer.text is not None:
        lines += _block("output", answer.output)
    return lines


def _block(label: str, content: Any) -> list[str]:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
    return [f"  {one_line(label)}", *(f"    {line}".rstrip() for line in printable(text).splitlines() or [""])]


def _labelled(label: str, text: str) -> str:
    return f"{label:<12}{text}"


# ---- as data --------------------------------------------------------------------------------------


def _facts_json(facts: RunFacts) -> dict[str, Any]:
    return {
        "run": facts.id,
        "pipeline": facts.pipeline,
        "path": facts.path,
        "status": facts.status,
        "started_at": iso_text(facts.started_at),
        "policy": facts.policy,
        "workers": facts.workers,
        "seed": facts.seed,
        "version": facts.version,
        "lower_bound": facts.lower_bound,
        "ratio": facts.ratio,
        "inputs": dict(facts.inputs),
        "outputs": facts.outputs,
    }


def _forecast_json(facts: RunFacts) -> dict[str, Any] | None:
    """Of the makespan in seconds, and under `tokens` of those; null where nothing was foretold."""
    told = {name: facts.forecast.get(name) for name in ("makespan", "samples", "p10", "p50", "p90", "tokens")}
    return None if told["makespan"] is None and told["tokens"] is None else told


def _task_json(task: PastTask, names: Sequence[str]) -> dict[str, Any]:
    failure = None if task.failure is None else {"kind": task.failure[0], "detail": task.failure[1]}
    return {
        "task": task.facts.name,
        "item": task.facts.item,
        "kind": task.facts.kind,
        "model": task.facts.model or None,
        "answered_by": list(task.models),
        "depends_on": [names[d] for d in task.facts.dependencies],
        "status": task.status,
        "attempts": task.attempts,
        "second_calls": task.copies,
        "duration": task.held,
        "started": task.started,
        "finished": task.finished,
        "time": dict(task.times),
        "usage": None if task.usage is None else usage_json(task.usage),
        "error": failure,
    }


def _attempt_json(attempt: PastAttempt) -> dict[str, Any]:
    answer = attempt.answer
    return {
        "number": attempt.number,
        "copy": attempt.copy,
        "worker": attempt.worker or None,
        "started": attempt.started,
        "ended": attempt.ended,
        "outcome": attempt.outcome,
        "detail": attempt.detail,
        "answer": None
        if answer is None
        else {
            "messages": list(answer.messages),
            "output": answer.output,
            "text": answer.text,
            "model": answer.model,
            "answered_by": answer.answered_by,
            "endpoint": answer.endpoint,
            "finish_reason": answer.finish_reason,
            "request_id": answer.request_id,
            "usage": usage_json(answer.usage),
            "duration": answer.seconds,
            "first_token": answer.first_token,
        },
    }
