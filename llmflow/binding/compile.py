"""A checked pipeline → what the scheduler runs: a graph of integers, a spec per task, a pool per provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from llmflow.binding.models import ModelChoice, provider_config, resolve
from llmflow.errors import UsageError
from llmflow.language.pipeline import UNLIMITED, Pipeline, Task
from llmflow.language.pipeline import Retry as RetrySpec
from llmflow.providers.registry import KINDS, ProviderConfig, default_workers
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import inherited_priorities
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec


@dataclass(frozen=True, slots=True)
class Compiled:
    """Sequences are indexed by task id or by pool.

    `models[t]`: the candidates `provider/model`, empty where the task calls none. `workers`: the cap
    of the whole run, 0 = none (a pool is never larger than the cap, so reports need not know it).
    """

    pipeline: Pipeline
    graph: Graph
    tasks: Sequence[Task]
    specs: Sequence[TaskSpec]
    models: Sequence[tuple[str, ...]]
    pools: Sequence[PoolSpec]
    providers: Sequence[ProviderConfig]
    workers: int
    speed: float

    @property
    def pool_of(self) -> list[int]:
        """Task → the pool of its first candidate, -1 where it holds no worker."""
        return [spec.pools[0] for spec in self.specs]


def compile_pipeline(
    pipeline: Pipeline,
    *,
    choice: ModelChoice,
    fallback_model: str | None,
    workers: int | None = None,
    seed: int = 0,
) -> Compiled:
    """Bind tasks to models and pools. `fallback_model` serves tasks that name none.

    Raises UsageError for a model that cannot be resolved, KeyError never.
    """
    cap = workers if workers is not None else pipeline.scheduling.workers or UNLIMITED
    tasks = list(pipeline)
    graph = Graph.of({task.id: task.dependencies for task in tasks})
    chosen = resolve(choice.model, pipeline) if choice.model else ()
    models = [_candidates(task, chosen, fallback_model, pipeline) for task in tasks]
    names = list(dict.fromkeys(model.partition("/")[0] for candidates in models for model in candidates))
    providers = [provider_config(name, pipeline, seed=seed) for name in names]
    pools = [_pool(provider, pipeline, cap) for provider in providers]
    providers = [replace(provider, slots=pool.size) for provider, pool in zip(providers, pools, strict=True)]
    index = {name: i for i, name in enumerate(names)}
    priorities = inherited_priorities(graph, [task.priority for task in tasks])
    shared: dict[TaskSpec, TaskSpec] = {}
    retries: dict[RetrySpec, RetryPolicy] = {}
    specs = []
    for task, candidates, priority in zip(tasks, models, priorities, strict=True):
        if task.retry not in retries:
            retries[task.retry] = _retry(task.retry)
        spec = TaskSpec(
            pools=tuple(index[model.partition("/")[0]] for model in candidates) or (CONTROL,),
            rule=task.trigger_rule,
            priority=priority,
            retry=retries[task.retry],
            conditional=task.when is not None and bool(candidates),
            accepts_failure=task.on_error.action != "fail",
        )
        specs.append(shared.setdefault(spec, spec))
    speed = _speed(providers)
    return Compiled(pipeline, graph, tasks, specs, models, pools, providers, cap, speed)


def _candidates(task: Task, chosen: tuple[str, ...], fallback: str | None, pipeline: Pipeline) -> tuple[str, ...]:
    if task.action != "model":
        return ()
    if chosen:
        return chosen
    if task.models:
        return task.models
    if fallback is None:
        raise UsageError(f"task {task.id} names no model", "write `defaults: {model: provider/name}` or say --model")
    return resolve(fallback, pipeline)


def _pool(provider: ProviderConfig, pipeline: Pipeline, cap: int) -> PoolSpec:
    spec = pipeline.providers.get(provider.name)
    workers = spec.workers if spec is not None and spec.workers is not None else default_workers(provider)
    if cap and (not workers or cap < workers):
        workers = cap
    return PoolSpec(provider.name, workers, max(1, len(provider.endpoints)))


def _retry(retry: RetrySpec) -> RetryPolicy:
    return RetryPolicy(retry.max_attempts, frozenset(retry.on), retry.initial, retry.factor, retry.max, retry.jitter)


def _speed(providers: Sequence[ProviderConfig]) -> float:
    """How fast the run's clock goes: `speed` counts only where every model call is simulated."""
    speeds = {provider.speed for provider in providers}
    if speeds in (set(), {1.0}):
        return 1.0
    others = [p.name for p in providers if KINDS[p.kind].target != KINDS["simulated"].target]
    if others:
        raise UsageError(
            f"`speed` moves the clock of the whole run, and {', '.join(others)} cannot be hurried",
            "run every model call on one simulated provider, or drop `speed`",
        )
    if len(speeds) > 1:
        raise UsageError(f"the simulated providers of one run must share one speed, not {sorted(speeds)}")
    return speeds.pop()


def unit_durations(compiled: Compiled, means: Mapping[int, float] | None = None) -> list[float]:
    """One expected duration in seconds per task: 0 for steps that hold no worker, `means`, else 1 unit."""
    known = means or {}
    return [0.0 if spec.pools[0] == CONTROL else known.get(t, 1.0) for t, spec in enumerate(compiled.specs)]
