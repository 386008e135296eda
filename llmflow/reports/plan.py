"""A simulated run before the real one: who runs when, what is critical, what each policy would take.

Pure arithmetic over a graph and expected durations; nothing is asked, imported or started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, nan
from typing import TYPE_CHECKING, NamedTuple

from llmflow.reports.lower_bound import lower_bound_of
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.fallback import COMPARED
from llmflow.scheduling.graph import Graph, Timing, timing
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.setting import Decision, Setting
from llmflow.scheduling.tasks import TaskSpec

if TYPE_CHECKING:
    from llmflow.scheduling.hedged_runs import HedgedRuns
    from llmflow.scheduling.idling import Hold
    from llmflow.scheduling.outlook import Outlook
    from llmflow.scheduling.time_limits import TimeLimit

NO_HISTORY = "no history: every task counts as 1 unit"

UNKNOWN_SOURCE = "default"
"""The source of an estimate that nobody made: 1 unit."""

RUN_AFTER_SUCCESS = frozenset({"all_success", "all_done", "none_failed"})
"""Trigger rules under which a task runs, whatever its dependencies are, as long as all of them succeed."""


class PlannedTask(NamedTuple):
    """`worker` counts from 0 inside `pool`; -1 and an empty pool for a step that holds none. Seconds."""

    name: str
    pool: str
    worker: int
    start: float
    finish: float
    rank: float
    slack: float
    mean: float
    sd: float
    source: str
    samples: int


@dataclass(frozen=True, slots=True)
class Variation:
    """The same plan with one thing changed; mean, P50 and P90 are None where nothing was sampled. Seconds."""

    change: str
    makespan: float
    lower_bound: float
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan under one policy. Seconds; `ratio` is makespan ÷ lower bound, NaN where the bound is 0."""

    name: str
    policy: str
    graph: Graph
    tasks: tuple[PlannedTask, ...]
    """By task id."""
    pools: tuple[PoolSpec, ...]
    workers: int
    """Cap of the whole run, 0 = none."""
    makespan: float
    policies: Mapping[str, float]
    """Makespan under each policy that was compared, the chosen one included."""
    one_worker: float
    unlimited: float
    lower_bound: float
    bound_kind: str
    ratio: float
    critical_path: tuple[str, ...]
    decision: Decision
    outlook: Outlook | None
    """Under each policy that was compared; None where nobody knows any duration, or nothing was sampled.

    Where all durations are certain it rests on one sample, the plan itself.
    """
    notes: tuple[str, ...] = ()
    """One sentence per assumption behind the graph."""
    one_more: tuple[Variation, ...] = ()
    """With a worker more."""
    what_ifs: tuple[Variation, ...] = ()
    timeouts: Mapping[str, TimeLimit] = field(default_factory=dict)
    """Task → how long its attempts may take, of those that do not go by the default."""

    def change(self, variation: Variation) -> float | None:
        """By which share its makespan is longer (or shorter: negative)."""
        return variation.makespan / self.makespan - 1 if self.makespan else None

    def mean_change(self, variation: Variation) -> float | None:
        """The same of the mean over sampled runs, on common draws; None where nothing was sampled."""
        if self.outlook is None or variation.mean is None:
            return None
        before = self.outlook.makespans[self.policy].mean
        return variation.mean / before - 1 if before else None

    @property
    def knows_nothing(self) -> bool:
        """No task that holds a worker has history or an author's estimate."""
        return all(task.source == UNKNOWN_SOURCE for task in self.tasks if task.pool)


def make_plan(
    graph: Graph,
    specs: Sequence[TaskSpec],
    pools: Sequence[PoolSpec],
    estimates: Sequence[Estimate],
    *,
    policy: str,
    name: str = "",
    compare: Sequence[str] | None = None,
    workers: int = 0,
    seed: int = 0,
    notes: Sequence[str] = (),
    decide: Callable[[str], Decision] | None = None,
    samples: int = 0,
    timeouts: Mapping[str, TimeLimit] | None = None,
    hedged: HedgedRuns | None = None,
) -> Plan:
    """Simulate `graph` under `policy`; `compare` names further policies (None: all, on graphs of a sane size).

    Sequences are indexed by task and pool; `workers` caps the whole run, 0 = no cap. `decide` says how
    a policy ranks the tasks, by default from `graph` itself; `samples` sampled runs give the outlook,
    0 = none; where there may be second calls, `hedged` knows how they go. Raises KeyError for a policy
    that does not exist.
    """
    if decide is None:
        decide = _decider(graph, specs, pools, estimates, workers, seed)
    pool_of = [spec.pools[0] for spec in specs]
    durations = [e.mean if pool != CONTROL else 0.0 for e, pool in zip(estimates, pool_of, strict=True)]
    times = timing(graph, durations)
    if compare is None:
        compare = list(POLICIES) if len(graph) <= COMPARED else []
    decisions = {p: decide(p) for p in dict.fromkeys([policy, *compare])}
    schedules = _schedules(graph, specs, pools, workers)
    made = {p: schedules(durations, decision.priorities, decision.holds) for p, decision in decisions.items()}
    chosen, policies = made[policy], {p: schedule.makespan for p, schedule in made.items()}
    bound = lower_bound_of(graph, durations, pool_of, pools, workers)
    return Plan(
        name=name,
        policy=policy,
        graph=graph,
        tasks=_planned(graph, times, estimates, pools, pool_of, chosen),
        pools=tuple(pools),
        workers=workers,
        makespan=chosen.makespan,
        policies=policies,
        one_worker=fsum(durations),
        unlimited=times.length,
        lower_bound=bound.value,
        bound_kind=bound.kind,
        ratio=chosen.makespan / bound.value if bound.value else nan,
        critical_path=tuple(graph.names[task] for task in times.path),
        decision=decisions[policy],
        outlook=_outlook(
            graph, specs, pools, estimates, decisions, policies, chosen.starts, workers, samples, seed, hedged
        ),
        notes=tuple(notes),
        timeouts=timeouts or {},
    )


def _decider(
    graph: Graph,
    specs: Sequence[TaskSpec],
    pools: Sequence[PoolSpec],
    estimates: Sequence[Estimate],
    workers: int,
    seed: int,
) -> Callable[[str], Decision]:
    nothing = Estimate(0.0)
    setting = Setting(
        graph,
        [nothing if spec.pools[0] == CONTROL else e for e, spec in zip(estimates, specs, strict=True)],
        workers=[pool.size for pool in pools],
        pool_of=[spec.pools[0] for spec in specs],
        cap=workers,
        urgencies=[spec.priority for spec in specs],
        conditional=[spec.conditional for spec in specs],
        seed=seed,
        may_idle=True,
    )
    return lambda policy: POLICIES[policy].decide(setting)


def _outlook(
    graph: Graph,
    specs: Sequence[TaskSpec],
    pools: Sequence[PoolSpec],
    estimates: Sequence[Estimate],
    decisions: Mapping[str, Decision],
    makespans: Mapping[str, float],
    starts: Sequence[float],
    workers: int,
    samples: int,
    seed: int,
    hedged: HedgedRuns | None,
) -> Outlook | None:
    from llmflow.scheduling.outlook import affordable, certain, look_out
    from llmflow.scheduling.spread import with_spread

    holding = [spec.pools[0] != CONTROL for spec in specs]
    if all(e.source == UNKNOWN_SOURCE for e, holds in zip(estimates, holding, strict=True) if holds):
        return None
    nothing = Estimate(0.0)
    beliefs = with_spread([e if holds else nothing for e, holds in zip(estimates, holding, strict=True)])
    if not any(e.sd for e in beliefs):
        return certain(graph, [e.mean for e in beliefs], makespans, starts)
    costs = len(graph) * (hedged.dearer if hedged is not None else 1)
    wanted = affordable(costs, len(decisions), samples)
    if not wanted:
        chosen = next(iter(decisions))
        decisions = {chosen: decisions[chosen]}
        wanted = affordable(costs, 1, samples)
    if not wanted:
        return None
    from llmflow.scheduling.lean_schedule import LeanSchedules

    schedules = LeanSchedules(graph, specs, pools, workers=workers)
    priorities = {p: decision.priorities for p, decision in decisions.items()}
    holds = {p: decision.holds for p, decision in decisions.items()}
    return look_out(graph, beliefs, schedules, priorities, holds=holds, hedged=hedged, samples=wanted, seed=seed)


class _Schedule(NamedTuple):
    """Seconds from the start of the run; `workers[t]` is -1 for steps without a worker."""

    makespan: float
    starts: Sequence[float]
    finishes: Sequence[float]
    workers: Sequence[int]


def _schedules(
    graph: Graph, specs: Sequence[TaskSpec], pools: Sequence[PoolSpec], workers: int
) -> Callable[[Sequence[float], Sequence[float], Sequence[Hold]], _Schedule]:
    """(durations, priorities, holds) → a schedule: lean where every task runs if all go well, else by the simulator."""
    if any(spec.final or spec.rule not in RUN_AFTER_SUCCESS for spec in {id(spec): spec for spec in specs}.values()):
        from llmflow.scheduling.simulate import simulate

        def simulated(durations: Sequence[float], priorities: Sequence[float], holds: Sequence[Hold]) -> _Schedule:
            run = simulate(graph, specs, pools, durations, priorities, workers=workers, holds=holds, keep_story=False)
            return _Schedule(run.makespan, run.starts, run.finishes, run.workers)

        return simulated
    from llmflow.scheduling.lean_schedule import LeanSchedules

    schedules = LeanSchedules(graph, specs, pools, workers=workers)

    def lean(durations: Sequence[float], priorities: Sequence[float], holds: Sequence[Hold]) -> _Schedule:
        log: list[int] = []
        makespan, starts = schedules.schedule(schedules.keys(priorities), durations, log, holds=holds)
        finishes = [start + duration for start, duration in zip(starts, durations, strict=True)]
        return _Schedule(makespan, starts, finishes, schedules.workers(log))

    return lean


def _planned(
    graph: Graph,
    times: Timing,
    estimates: Sequence[Estimate],
    pools: Sequence[PoolSpec],
    pool_of: Sequence[int],
    schedule: _Schedule,
) -> tuple[PlannedTask, ...]:
    columns = zip(
        graph.names,
        estimates,
        pool_of,
        schedule.workers,
        schedule.starts,
        schedule.finishes,
        times.upward,
        times.slacks(),
        strict=True,
    )
    return tuple(
        [
            PlannedTask(name, pools[pool].name, worker, start, finish, rank, slack, e.mean, e.sd, e.source, e.samples)
            if pool != CONTROL
            else PlannedTask(name, "", worker, start, finish, rank, slack, 0.0, 0.0, "", 0)
            for name, e, pool, worker, start, finish, rank, slack in columns
        ]
    )
