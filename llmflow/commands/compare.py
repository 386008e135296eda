"""`llmflow compare`: the same pipeline under several policies and numbers of workers, simulated or really run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from math import fsum
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import choose_policy, load_file, model_choice, parse_budget, parse_workers
from llmflow.binding.planning import Case, Question, plan_of
from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length, say
from llmflow.errors import UsageError
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.reports.comparison import Comparison, Configuration, planned_path, structure_of
from llmflow.reports.comparison_text import comparison_json, render_comparison
from llmflow.reports.plan import Plan
from llmflow.scheduling.pools import PoolSpec

WORKERS, POLICIES = "1,4,unlimited", "fifo,critical-path,stochastic"

SIMULATED = ("simulated", "mock")
"""Kinds of providers whose calls cost nothing."""


def compare(
    file: str,
    *,
    inputs: Sequence[str] = (),
    workers: str = WORKERS,
    policies: str = POLICIES,
    really: bool = False,
    models: Sequence[str] = (),
    samples: int = 200,
    plan_budget: str | None = None,
    seed: int = 0,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the comparison; `output` saves it as JSON. `workers` and `policies` are lists with commas."""
    pipeline = load_file(file, model_choice(models))
    given = check_inputs(pipeline, parse_given(inputs)) if inputs or really else None
    sizes = [str(parse_workers(word) or "unlimited") for word in _words(workers, "--workers")]
    names = [choose_policy(pipeline, word) for word in _words(policies, "--policy")]
    case = Case(pipeline, file, models=tuple(models), seed=seed)
    if really:
        _refuse_what_costs(case.bound())
    history = Store.open_if_there(store_dir(store, os.environ))
    found: list[Configuration] = []
    try:
        for size in sizes:
            compiled = replace(case, workers=size).bound()
            for name in names:
                question = Question(
                    name, compare=[], samples=samples, budget_s=parse_budget(plan_budget), seed=seed, inputs=given
                )
                plan = plan_of(compiled, history, question)
                if really:
                    options = RunOptions(
                        inputs=given or {},
                        policy=name,
                        beliefs=believed(compiled, history),
                        environment=os.environ,
                        plan_budget=question.budget_s,
                        seed=seed,
                    )
                    say(f"running {name} with -j {size}")
                    found.append(_executed(name, compiled, asyncio.run(execute(compiled, options)), plan))
                else:
                    found.append(_simulated(name, compiled, plan))
    finally:
        if history is not None:
            history.close()
    holding = [bool(task.pool) for task in plan.tasks]
    durations = [task.mean for task in plan.tasks]
    comparison = Comparison(
        pipeline.name,
        structure_of(plan.graph, durations, holding, plan.critical_path, plan.unlimited),
        tuple(found),
        really,
        not plan.knows_nothing or really,
        tuple((pool.name, pool.size) for pool in replace(case, workers="unlimited").bound().pools if pool.size),
    )
    document: Any = comparison_json(comparison)
    if output is not None:
        deliver(to_json(document), output)
    deliver(to_json(document) if as_json else render_comparison(comparison, columns=line_length()))
    return 0


def _words(text: str, option: str) -> list[str]:
    words = list(dict.fromkeys(word.strip() for word in text.split(",")))
    if "" in words:
        hint = "write a list such as 1,4,unlimited or fifo,critical-path"
        raise UsageError(f"{option} has an empty place in {text!r}", hint)
    return words


def _refuse_what_costs(compiled: Compiled) -> None:
    real = [p.name for p in compiled.providers if p is not None and p.kind not in SIMULATED]
    if real:
        raise UsageError(
            f"--execute runs every configuration, and calls of {', '.join(real)} cost money or time",
            "leave --execute out, or bind the tasks to a simulated provider with --model",
        )


def _simulated(policy: str, compiled: Compiled, plan: Plan) -> Configuration:
    outlook = plan.outlook
    quantiles = outlook.makespans[plan.policy] if outlook is not None and outlook.samples > 1 else None
    used = {(task.pool, task.worker) for task in plan.tasks if task.pool}
    busy = fsum(task.finish - task.start for task in plan.tasks if task.pool)
    return Configuration(
        compiled.workers,
        policy,
        plan.decision.order,
        plan.makespan,
        plan.lower_bound,
        _share(busy, _places(compiled.pools, compiled.workers, len(used)), plan.makespan),
        *planned_path(plan),
        quantiles.mean if quantiles is not None else None,
        quantiles.p50 if quantiles is not None else None,
        quantiles.p90 if quantiles is not None else None,
    )


def _executed(policy: str, compiled: Compiled, result: RunResult, plan: Plan) -> Configuration:
    """What really happened. Raises UsageError for a run that did not succeed: its time would mean nothing."""
    summary = result.summary
    if result.status != "succeeded":
        failed = "; ".join(f"{f.task}: {f.kind}" for f in summary.failures[:3])
        raise UsageError(f"the run with {policy} ended as {result.status}: {failed or 'see llmflow run'}")
    used = sum(len(pool.used) for pool in summary.pools)
    return Configuration(
        compiled.workers,
        policy,
        plan.decision.order,
        summary.makespan,
        summary.lower_bound,
        _share(summary.work, _places(compiled.pools, compiled.workers, used), summary.makespan),
        summary.critical_path,
        summary.causes,
    )


def _places(pools: Sequence[PoolSpec], cap: int, used: int) -> int:
    """How many workers there were; as many as were used where nothing limits them."""
    sizes = [pool.size for pool in pools]
    limits = [n for n in (cap, sum(sizes) if all(sizes) else 0) if n]
    return min(limits, default=used)


def _share(busy: float, places: int, makespan: float) -> float:
    return busy / (places * makespan) if places and makespan else 0.0
