"""A plan for people: the graph, its tasks by rank, the critical path, the policies, who runs when."""

from __future__ import annotations

from llmflow.quantities import plural, ratio_text, share_text
from llmflow.reports.chain_text import chain_text
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.gantt_text import Block, render_gantt
from llmflow.reports.graph_text import render_graph
from llmflow.reports.plan import NO_HISTORY, UNKNOWN_SOURCE, Plan, PlannedTask
from llmflow.reports.time_limit_text import limit_text
from llmflow.sanitise import clip, one_line

TIMEOUTS = 8
"""How many different time limits are written out."""


def render_plan(plan: Plan, *, columns: int = 100, most: int = 40) -> str:
    """Text without a line end behind the last line, at most `most` tasks and about `columns` wide; safe to print."""
    unit = "units" if plan.knows_nothing else "s"
    parts = [_heading(plan)]
    if plan.knows_nothing and plan.tasks:
        parts[0] += f"\n{NO_HISTORY}"
    parts[0] += "".join(f"\nnote: {one_line(note)}" for note in plan.notes)
    parts += [render_graph(plan.graph, columns=columns), _table(plan, columns, most), _totals(plan, unit)]
    parts.append(_variations(plan, unit))
    blocks = (Block((t.pool, t.worker), t.name, t.start, t.finish) for t in plan.tasks if t.pool)
    parts.append(render_gantt(blocks, plan.makespan, unit=unit, columns=columns))
    return "\n\n".join(part for part in parts if part)


def _heading(plan: Plan) -> str:
    pools = ", ".join(f"{one_line(pool.name)} × {pool.size or 'unlimited'}" for pool in plan.pools)
    cap = f", {plural(plan.workers, 'worker')} in all" if plan.workers and len(plan.pools) > 1 else ""
    return f"{one_line(plan.name)}: {plural(len(plan.tasks), 'task')}; workers: {pools or 'none'}{cap}"


def _table(plan: Plan, columns: int, most: int) -> str:
    """Tasks by falling rank (ties: file order), critical ones marked."""
    ranked = sorted(plan.tasks, key=lambda task: -task.rank)
    critical = set(plan.critical_path)
    shares = _criticality(plan)
    rows = [
        [
            "*" if task.name in critical else "",
            one_line(task.name),
            f"{task.rank:.2f}",
            f"{task.slack:.2f}",
            *([shares[task.name]] if shares else []),
            f"{task.start:.2f}",
            f"{task.finish:.2f}",
            f"{one_line(task.pool)}/{task.worker}" if task.pool else "-",
            *_belief(task),
        ]
        for task in ranked[:most]
    ]
    heads = (
        Column(""),
        Column("TASK", most=32),
        Column("RANK", right=True),
        Column("SLACK", right=True),
        *([Column("CRITICAL", right=True)] if shares else []),
        Column("START", right=True),
        Column("FINISH", right=True),
        Column("WORKER", most=20),
        Column("ESTIMATE", right=True),
        Column("FROM"),
    )
    text = render_columns(heads, rows, columns)
    left = len(ranked) - most
    return f"{text}\n… {plural(left, 'more task')} of lower rank" if left > 0 else text


_WORDS = {
    UNKNOWN_SOURCE: "nobody: 1 unit",
    "other prompt": "task, other prompt",
    "other model": "task, other model",
}
"""Sources of estimates that are not their own word."""


def _belief(task: PlannedTask) -> list[str]:
    if not task.pool:
        return ["", "holds no worker"]
    source = _WORDS.get(task.source, task.source)
    samples = f" ({plural(task.samples, 'sample')})" if task.samples else ""
    spread = f" ± {task.sd:.2f}" if task.sd else ""
    return [f"{task.mean:.2f}{spread}", f"{source}{samples}"]


def _criticality(plan: Plan) -> dict[str, str]:
    """Task → the share of sampled runs in which it was on a longest chain; empty where nothing was sampled."""
    if plan.outlook is None or plan.outlook.samples < 2:
        return {}
    return {task.name: share_text(share) for task, share in zip(plan.tasks, plan.outlook.criticality, strict=True)}


def _totals(plan: Plan, unit: str) -> str:
    sampled = plan.outlook if plan.outlook is not None and plan.outlook.samples > 1 else None
    rows = [(policy, seconds, policy == plan.policy) for policy, seconds in plan.policies.items()]
    rows += [("one worker", plan.one_worker, False), ("unlimited workers", plan.unlimited, False)]
    places = max(len(f"{seconds:.2f}") for _, seconds, _ in rows)
    lines = [f"{'critical path':<15}{chain_text(plan.critical_path)} = {plan.unlimited:.2f} {unit}"]
    for i, (name, seconds, chosen) in enumerate(rows):
        label = "makespan" if not i else ""
        q = sampled.makespans.get(name) if sampled is not None else None
        spread = f"  mean {q.mean:.2f}, P50 {q.p50:.2f}, P90 {q.p90:.2f}" if q is not None else ""
        lines.append(f"{label:<15}{name:<18}{seconds:>{places}.2f} {unit}{spread}{'  (chosen)' if chosen else ''}")
    if sampled is not None:
        q = sampled.makespans[plan.policy]
        text = f"P10 {q.p10:.2f}, P50 {q.p50:.2f}, P90 {q.p90:.2f} {unit} over {sampled.samples} sampled runs"
        lines.append(f"{'forecast':<15}{text}")
    if plan.decision.reason:
        lines.append(f"{'order':<15}{plan.decision.order}: {plan.decision.reason}")
    lines += _timeouts(plan)
    ratio = f"ratio of makespan to lower bound {ratio_text(plan.ratio)}"
    lines.append(f"{'lower bound':<15}{plan.lower_bound:.2f} {unit} ({plan.bound_kind}); {ratio}")
    return "\n".join(lines)


def _timeouts(plan: Plan) -> list[str]:
    """One line per limit, with the tasks that it is of; nothing where all go by the default."""
    of: dict[str, list[str]] = {}
    for name, limit in plan.timeouts.items():
        of.setdefault(limit_text(limit), []).append(one_line(name))
    lines = [f"{clip(', '.join(names), 60)}: {text}" for text, names in of.items()]
    if len(lines) > TIMEOUTS:
        lines[TIMEOUTS:] = [f"… {plural(len(lines) - TIMEOUTS, 'more')} with --json"]
    return [f"{'' if i else 'timeouts':<15}{line}" for i, line in enumerate(lines)]


def _variations(plan: Plan, unit: str) -> str:
    """One line per changed condition, each beside the plan as it is."""
    lines = []
    for label, variations in (("one more", plan.one_more), ("what if", plan.what_ifs)):
        for i, variation in enumerate(variations):
            text = (
                f"{one_line(variation.change)}: {variation.makespan:.2f} {unit} ({change_text(plan.change(variation))})"
            )
            if variation.mean is not None and variation.p50 is not None and variation.p90 is not None:
                text += f"; sampled: mean {variation.mean:.2f} ({change_text(plan.mean_change(variation))})"
                text += f", P50 {variation.p50:.2f}, P90 {variation.p90:.2f}"
            if label == "what if":
                text += f"; lower bound {variation.lower_bound:.2f}"
            lines.append(f"{'' if i else label:<15}{text}")
    return "\n".join(lines)


def change_text(share: float | None) -> str:
    """How much longer or shorter, in whole percent: `−18 %`."""
    change = round(100 * (share or 0.0))
    return "±0 %" if not change else f"{'+' if change > 0 else '−'}{abs(change)} %"
