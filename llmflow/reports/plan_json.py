"""A plan as data: `llmflow.plan/1`. Seconds as numbers; keys are only ever added."""

from __future__ import annotations

from math import isnan
from typing import Any

from llmflow.reports.plan import NO_HISTORY, Plan, Variation
from llmflow.reports.time_limit_text import limits_json
from llmflow.scheduling.setting import Decision


def plan_json(plan: Plan) -> dict[str, Any]:
    """Everything the plan knows; `schedule` in the order of starts, null where nothing was sampled."""
    by_start = sorted(plan.tasks, key=lambda task: task.start)
    outlook = plan.outlook
    quantiles = outlook.makespans[plan.policy] if outlook is not None else None
    return {
        "schema": "llmflow.plan/1",
        "name": plan.name,
        "policy": plan.policy,
        "decision": decision_json(plan.decision),
        "makespan": plan.makespan,
        "p10": quantiles and quantiles.p10,
        "p50": quantiles and quantiles.p50,
        "p90": quantiles and quantiles.p90,
        "samples": outlook.samples if outlook is not None else 0,
        "lower_bound": plan.lower_bound,
        "lower_bound_kind": plan.bound_kind,
        "ratio": None if isnan(plan.ratio) else plan.ratio,
        "policies": dict(plan.policies),
        "forecasts": outlook
        and {
            policy: {"mean": q.mean, "p10": q.p10, "p50": q.p50, "p90": q.p90}
            for policy, q in outlook.makespans.items()
        },
        "one_worker": plan.one_worker,
        "unlimited": plan.unlimited,
        "workers": plan.workers or None,
        "pools": [{"name": pool.name, "workers": pool.size or None} for pool in plan.pools],
        "one_more_worker": [_variation(plan, variation) for variation in plan.one_more],
        "what_if": [_variation(plan, variation) for variation in plan.what_ifs],
        "critical_path": list(plan.critical_path),
        "criticality": outlook
        and {task.name: share for task, share in zip(plan.tasks, outlook.criticality, strict=True)},
        "notes": [NO_HISTORY, *plan.notes] if plan.knows_nothing and plan.tasks else list(plan.notes),
        "timeouts": limits_json(plan.timeouts),
        "held_back": [
            {"task": plan.graph.names[h.task], "until": plan.graph.names[h.until], "patience": h.patience}
            for h in plan.decision.holds
        ],
        "estimated": not plan.knows_nothing,
        "schedule": [
            {
                "task": task.name,
                "pool": task.pool or None,
                "worker": task.worker if task.pool else None,
                "start": task.start,
                "finish": task.finish,
            }
            for task in by_start
        ],
        "tasks": {
            task.name: {
                "depends_on": [plan.graph.names[d] for d in plan.graph.dependencies[i]],
                "rank": task.rank,
                "slack": task.slack,
                "estimate": task.mean,
                "sd": task.sd,
                "source": task.source or None,
                "samples": task.samples,
                "expected_start": outlook and outlook.starts[i],
                "expected_finish": outlook and outlook.starts[i] + outlook.durations[i],
            }
            for i, task in enumerate(plan.tasks)
        },
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """Which order was chosen, why, and on what evidence; without the priorities themselves."""
    return {
        "order": decision.order,
        "reason": decision.reason,
        "samples": decision.samples,
        "evidence": [
            {"order": e.policy, "mean": e.mean, "difference": e.difference, "error": e.error} for e in decision.evidence
        ],
    }


def _variation(plan: Plan, variation: Variation) -> dict[str, Any]:
    """`change` is of `makespan`, `mean_change` of `mean`, which is over the sampled runs: shares of the plan's own."""
    return {
        "what": variation.change,
        "makespan": variation.makespan,
        "change": plan.change(variation),
        "lower_bound": variation.lower_bound,
        "mean": variation.mean,
        "mean_change": plan.mean_change(variation),
        "p50": variation.p50,
        "p90": variation.p90,
    }
