"""A plan for people: the graph, its tasks by rank, the critical path, the policies, who runs when."""

from __future__ import annotations

from llmflow.quantities import plural, ratio_text
from llmflow.reports.chain_text import chain_text
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.gantt_text import Block, render_gantt
from llmflow.reports.graph_text import render_graph
from llmflow.reports.plan import UNKNOWN_SOURCE, Plan, PlannedTask
from llmflow.sanitise import one_line

NO_HISTORY = "no history: every task counts as 1 unit"


def render_plan(plan: Plan, *, columns: int = 100, most: int = 40) -> str:
    """Text without a line end behind the last line, at most `most` tasks and about `columns` wide; safe to print."""
    unit = "units" if plan.knows_nothing else "s"
    parts = [_heading(plan)]
    if plan.knows_nothing and plan.tasks:
        parts[0] += f"\n{NO_HISTORY}"
    parts += [render_graph(plan.graph, columns=columns), _table(plan, columns, most), _totals(plan, unit)]
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
    rows = [
        [
            "*" if task.name in critical else "",
            one_line(task.name),
            f"{task.rank:.2f}",
            f"{task.slack:.2f}",
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
        Column("START", right=True),
        Column("FINISH", right=True),
        Column("WORKER", most=20),
        Column("ESTIMATE", right=True),
        Column("FROM"),
    )
    text = render_columns(heads, rows, columns)
    left = len(ranked) - most
    return f"{text}\n… {plural(left, 'more task')} of lower rank" if left > 0 else text


def _belief(task: PlannedTask) -> list[str]:
    if not task.pool:
        return ["", "holds no worker"]
    source = "nobody: 1 unit" if task.source == UNKNOWN_SOURCE else task.source
    samples = f" ({plural(task.samples, 'sample')})" if task.samples else ""
    spread = f" ± {task.sd:.2f}" if task.sd else ""
    return [f"{task.mean:.2f}{spread}", f"{source}{samples}"]


def _totals(plan: Plan, unit: str) -> str:
    rows = [(policy, seconds, policy == plan.policy) for policy, seconds in plan.policies.items()]
    rows += [("one worker", plan.one_worker, False), ("unlimited workers", plan.unlimited, False)]
    places = max(len(f"{seconds:.2f}") for _, seconds, _ in rows)
    lines = [f"{'critical path':<15}{chain_text(plan.critical_path)} = {plan.unlimited:.2f} {unit}"]
    for i, (name, seconds, chosen) in enumerate(rows):
        label = "makespan" if not i else ""
        lines.append(f"{label:<15}{name:<18}{seconds:>{places}.2f} {unit}{'  (chosen)' if chosen else ''}")
    ratio = f"ratio of makespan to lower bound {ratio_text(plan.ratio)}"
    lines.append(f"{'lower bound':<15}{plan.lower_bound:.2f} {unit} ({plan.bound_kind}); {ratio}")
    return "\n".join(lines)
