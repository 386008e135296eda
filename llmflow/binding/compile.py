"""A checked pipeline → what the scheduler runs: a graph of integers, a spec per stage, a pool per provider."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmflow.binding.models import ModelChoice, provider_config, resolve
from llmflow.binding.stages import Role, Stage, Stages, shadow_edges
from llmflow.errors import UsageError
from llmflow.language.models import sampling_not_taken
from llmflow.language.pipeline import UNLIMITED, Pipeline
from llmflow.language.pipeline import Retry as RetrySpec
from llmflow.providers.registry import KINDS, ProviderConfig, default_workers
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import inherited_priorities
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.tasks import RetryPolicy, TaskSpec

HOST, HTTP = "host", "http"
"""The pools of `python` and `command` tasks (as many workers as processors), and of `http` tasks (unlimited)."""

CODE_POOLS = {"python": HOST, "command": HOST, "http": HTTP}


@dataclass(frozen=True, slots=True)
class Compiled:
    """Sequences are indexed by stage or by pool.

    `graph` holds the nodes that are there from the start: node t is stage t. `shadow` holds every
    stage as if each `foreach` had one item; ranks are computed on it. `models[s]`: the candidates
    `provider/model`, empty where the stage calls none. `providers[p]` is None for the pools of code.
    `workers`: the cap of the whole run, 0 = none (a pool is never larger than the cap).
    """

    pipeline: Pipeline
    stages: Stages
    graph: Graph
    shadow: Graph
    specs: Sequence[TaskSpec]
    models: Sequence[tuple[str, ...]]
    pools: Sequence[PoolSpec]
    providers: Sequence[ProviderConfig | None]
    workers: int
    speed: float

    @property
    def pool_of(self) -> list[int]:
        """Stage → the pool of its first candidate, -1 where it holds no worker."""
        return [spec.pools[0] for spec in self.specs]


def compile_pipeline(
    pipeline: Pipeline,
    *,
    choice: ModelChoice,
    fallback_model: Callable[[], str],
    workers: int | None = None,
    seed: int = 0,
    recalled: Container[str] = (),
) -> Compiled:
    """Bind tasks to models and pools. `fallback_model` gives the model of tasks that name none.

    `recalled`: tasks (by name) for which an answer may be at hand, to be looked at before they queue.
    Raises UsageError for a model that cannot be resolved.
    """
    cap = workers if workers is not None else pipeline.scheduling.workers or UNLIMITED
    stages = Stages(pipeline)
    nodes = stages.rows[: stages.static]
    graph = Graph.numbered([stage.name for stage in nodes], [stage.dependencies for stage in nodes])
    graph.flows = {s.index: s.source for s in nodes if s.streams}
    shadow = graph if len(stages) == len(nodes) else _numbered(shadow_edges(stages))
    chosen = resolve(choice.model, pipeline) if choice.model else ()
    models = _models(stages, chosen, fallback_model, pipeline)
    held = _pools_held(stages, models)
    names = list(dict.fromkeys(name for pools in held for name in pools))
    providers = [None if name in (HOST, HTTP) else provider_config(name, pipeline, seed=seed) for name in names]
    pools = [_pool(name, provider, pipeline, cap) for name, provider in zip(names, providers, strict=True)]
    providers = [p and replace(p, slots=pool.size) for p, pool in zip(providers, pools, strict=True)]
    index = {name: i for i, name in enumerate(names)}
    priorities = inherited_priorities(shadow, [stage.task.priority for stage in stages])
    specs = _specs(stages, [tuple(index[name] for name in pools) or (CONTROL,) for pools in held], priorities, recalled)
    return Compiled(
        pipeline, stages, graph, shadow, specs, models, pools, providers, cap, _speed([p for p in providers if p])
    )


def _specs(
    stages: Stages, pools: Sequence[tuple[int, ...]], priorities: Sequence[int], recalled: Container[str]
) -> list[TaskSpec]:
    """A spec per stage; equal ones are one object, which most stages of a large pipeline share."""
    shared: dict[tuple[Any, ...], TaskSpec] = {}
    policies: dict[RetrySpec, RetryPolicy] = {}
    at_hand: dict[int, RetryPolicy] = {}
    """The same by identity: most tasks share a default's, and hashing it costs more than all else here."""
    specs = []
    for stage, holds, priority in zip(stages, pools, priorities, strict=True):
        written = stage.task.retry
        retry = at_hand.get(id(written))
        if retry is None:
            retry = at_hand[id(written)] = policies.setdefault(written, _policy(written))
        own = _own(stage, holds == (CONTROL,), stage.name in recalled or stage.task.cache is not None)
        key = (holds, _rule(stage), priority, id(retry), own)
        if key not in shared:
            shared[key] = TaskSpec(holds, key[1], priority, retry, *own)
        specs.append(shared[key])
    return specs


def _policy(retry: RetrySpec) -> RetryPolicy:
    return RetryPolicy(retry.max_attempts, frozenset(retry.on), retry.initial, retry.factor, retry.max, retry.jitter)


def _own(stage: Stage, control: bool, recalled: bool) -> tuple[bool, bool, bool, bool, bool, int, tuple[int, float]]:
    """The fields of a TaskSpec from `conditional` on."""
    task = stage.task
    foreach = task.foreach
    if stage.is_item:
        conditional = (foreach is not None and foreach.when is not None) or recalled
        accepts = stage.role is Role.PLAIN and task.on_error.action != "fail" and foreach is not None
    else:
        conditional = task.when is not None or recalled
        accepts = task.on_error.action != "fail" and foreach is None and stage.role is not Role.ENTRY
    item_workers, tolerate = 0, (0, 0.0)
    if foreach is not None and stage.role is Role.GROUP:
        item_workers, tolerate = foreach.workers or 0, foreach.tolerate
    return (
        conditional and not control,
        accepts,
        stage.inner,
        stage.gated,
        stage.final,
        item_workers,
        tolerate,
    )


def _rule(stage: Stage) -> str:
    """The author's rule stands where the task begins, not at the exit of a sub-pipeline. An item comes when it may."""
    if stage.role is Role.EXIT:
        return "all_done"
    return "all_done" if stage.is_item or stage.group_entry else stage.task.trigger_rule


def _numbered(edges: Sequence[tuple[int, ...]]) -> Graph:
    """A graph of the stages by number (their names are not unique: an item has its group's)."""
    return Graph.numbered(map(str, range(len(edges))), list(edges))


def _models(
    stages: Stages, chosen: tuple[str, ...], fallback: Callable[[], str], pipeline: Pipeline
) -> list[tuple[str, ...]]:
    """The candidates of every stage: the person's choice, else the task's own, else the fallback."""
    default: tuple[str, ...] = ()
    found: list[tuple[str, ...]] = []
    for stage in stages:
        task = stage.task
        if task.action != "model" or stage.role in (Role.GROUP, Role.TREE):
            found.append(())
            continue
        if not chosen and not task.models and not default:
            default = resolve(fallback(), pipeline)
        candidates = chosen or task.models or default
        if candidates is not task.models:
            _check_sampling(stage, candidates, pipeline)
        found.append(candidates)
    return found


def _check_sampling(stage: Stage, models: tuple[str, ...], pipeline: Pipeline) -> None:
    """What the loader checks of models that stand in the file, for those that do not."""
    written = stage.task.params.data if stage.task.params is not None else {}
    for model in models:
        provider = model.partition("/")[0]
        kind = pipeline.providers[provider].kind if provider in pipeline.providers else provider
        refused = sampling_not_taken(kind, written)
        if refused:
            raise UsageError(
                f"task {stage.name}: {model} does not take {', '.join(refused)}",
                "leave it out for this model, or choose another one",
            )


def _pools_held(stages: Stages, models: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The pools a stage's nodes hold a worker of, one per candidate; none for steps of our own."""
    of_models: dict[tuple[str, ...], tuple[str, ...]] = {(): ()}
    held: list[tuple[str, ...]] = []
    for stage, candidates in zip(stages, models, strict=True):
        action = stage.task.action
        if action in CODE_POOLS and stage.role not in (Role.GROUP, Role.TREE):
            held.append((CODE_POOLS[action],))
            continue
        if candidates not in of_models:
            of_models[candidates] = tuple(model.partition("/")[0] for model in candidates)
        held.append(of_models[candidates])
    return held


def _pool(name: str, provider: ProviderConfig | None, pipeline: Pipeline, cap: int) -> PoolSpec:
    spec = pipeline.providers.get(name)
    if spec is not None and spec.workers is not None:
        workers = spec.workers
    elif provider is not None:
        workers = default_workers(provider)
    else:
        workers = _processors() if name == HOST else UNLIMITED
    if cap and (not workers or cap < workers):
        workers = cap
    return PoolSpec(name, workers, max(1, len(provider.endpoints)) if provider is not None else 1)


def _processors() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
