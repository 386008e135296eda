"""A plan as data: `llmflow.plan/1`. Seconds as numbers; keys are only ever added."""

from __future__ import annotations

from math import isnan
from typing import Any

from llmflow.reports.plan import Plan


def plan_json(plan: Plan) -> dict[str, Any]:
    """Everything the plan knows; `schedule` in the order of starts."""
    by_start = sorted(plan.tasks, key=lambda task: task.start)
    return {
        "schema": "llmflow.plan/1",
        "name": plan.name,
        "policy": plan.policy,
        "makespan": plan.makespan,
        "lower_bound": plan.lower_bound,
        "lower_bound_kind": plan.bound_kind,
        "ratio": None if isnan(plan.ratio) else plan.ratio,
        "policies": dict(plan.policies),
        "one_worker": plan.one_worker,
        "unlimited": plan.unlimited,
        "workers": plan.workers or None,
        "pools": [{"name": pool.name, "workers": pool.size or None} for pool in plan.pools],
        "critical_path": list(plan.critical_path),
        "notes": list(plan.notes),
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
            }
            for i, task in enumerate(plan.tasks)
        },
    }
