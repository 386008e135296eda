"""The same pipeline under several policies and numbers of workers: the numbers, before anybody writes them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

from llmflow.reports.plan import Plan
from llmflow.scheduling.graph import Graph


@dataclass(frozen=True, slots=True)
class Configuration:
    """One way to run it. `workers` is the cap of the run, 0 = unlimited. Seconds of the run's own clock.

    `utilisation`: the busy share of the workers there were (of those that were used, where unlimited).
    `ratio` is makespan ÷ lower bound; `mean`, `p50` and `p90` are None where nothing was sampled. `order` is
    what the policy settled on.
    """

    workers: int
    policy: str
    order: str
    makespan: float
    lower_bound: float
    utilisation: float
    critical_path: tuple[str, ...]
    """The chain of tasks that kept the run: each began when the one before it had ended."""
    causes: tuple[str, ...] = ()
    """Per step what it waited for: `dependency` or `worker`."""
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None

    @property
    def expected(self) -> float:
        """By what it is judged: the mean over sampled runs, or the makespan where nothing was sampled."""
        return self.makespan if self.mean is None else self.mean

    @property
    def ratio(self) -> float:
        return self.makespan / self.lower_bound if self.lower_bound else nan


@dataclass(frozen=True, slots=True)
class Structure:
    """The shape of the graph: tasks that hold a worker, edges, levels, and how many tasks could ever run at once."""

    tasks: int
    edges: int
    levels: int
    widest: int
    work: float
    length: float
    critical_path: tuple[str, ...]

    @property
    def parallelism(self) -> float:
        """Work ÷ critical path: no schedule can keep more workers busy on average."""
        return self.work / self.length if self.length else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`configurations` in the order asked for. `executed`: really run, not simulated."""

    name: str
    structure: Structure
    configurations: tuple[Configuration, ...]
    executed: bool
    estimated: bool
    """Somebody knows a duration; else every task counts as 1 unit."""
    limits: tuple[tuple[str, int], ...] = ()
    """(provider, its own workers) of those that allow only so many calls at once, whatever the run allows."""

    @property
    def slowest_single(self) -> Configuration:
        """What speed-ups are measured against: the first configuration with the fewest workers."""
        return min(self.configurations, key=lambda c: c.workers or float("inf"))

    def speed_up(self, configuration: Configuration) -> float:
        """How many times as fast as `slowest_single`."""
        return self.slowest_single.expected / configuration.expected if configuration.expected else nan

    def by_workers(self) -> Mapping[int, Sequence[Configuration]]:
        groups: dict[int, list[Configuration]] = {}
        for configuration in self.configurations:
            groups.setdefault(configuration.workers, []).append(configuration)
        return groups


def planned_path(plan: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, causes) of the chain that makes a planned run as long as it is, walked back from its end.

    A task whose start nothing explains but the end of some other task waited for the cap of the run.
    """
    tasks = plan.tasks
    ended: dict[float, list[int]] = {}
    for t, task in enumerate(tasks):
        ended.setdefault(task.finish, []).append(t)
    steps: list[tuple[str, str]] = []
    seen: set[int] = set()
    at = max(range(len(tasks)), key=lambda t: (tasks[t].finish, -t), default=-1)
    while at >= 0:
        seen.add(at)
        start, place = tasks[at].start, (tasks[at].pool, tasks[at].worker)
        above = [d for d in plan.graph.dependencies[at] if tasks[d].finish == start and d not in seen]
        beside = [t for t in ended.get(start, ()) if tasks[t].pool and t not in seen] if start else []
        same = [t for t in beside if (tasks[t].pool, tasks[t].worker) == place]
        steps.append((tasks[at].name, "dependency" if above or not beside else "worker"))
        at = next(iter(above or same or beside), -1)
    steps.reverse()
    return tuple(name for name, _ in steps), tuple(cause for _, cause in steps)


def structure_of(
    graph: Graph, durations: Sequence[float], holding: Sequence[bool], path: tuple[str, ...], length: float
) -> Structure:
    """`holding[t]`: t holds a worker. `widest` counts tasks of one level: they depend on nothing of their own."""
    level = [0] * len(graph)
    for task in graph.order():
        for d in graph.dependents[task]:
            level[d] = max(level[d], level[task] + holding[task])
    sizes: dict[int, int] = {}
    for task, depth in enumerate(level):
        if holding[task]:
            sizes[depth] = sizes.get(depth, 0) + 1
    return Structure(
        tasks=sum(holding),
        edges=sum(map(len, graph.dependencies)),
        levels=len(sizes),
        widest=max(sizes.values(), default=0),
        work=sum(durations),
        length=length,
        critical_path=path,
    )


SAME, SAME_EXECUTED = 0.005, 0.02
"""Up to which share two makespans count as the same; clocks and loops add some of their own to a real run."""


def findings(comparison: Comparison) -> list[str]:
    """What the numbers say, each sentence with the numbers behind it."""
    unit = "s" if comparison.estimated else "units"
    said: list[str] = []
    groups = comparison.by_workers()
    same = 1 + (SAME_EXECUTED if comparison.executed else SAME)
    for workers, group in groups.items():
        said += _of_policies(workers, group, unit, same)
    best = {workers: min(group, key=lambda c: c.expected) for workers, group in groups.items()}
    for c in best.values():
        if c.workers > 1 and c.ratio <= 1 + 1e-9:
            said.append(
                f"with {_workers(c.workers)}, {c.policy} meets the lower bound of {c.lower_bound:.2f} {unit}: "
                "no schedule is shorter"
            )
    said += _of_workers(comparison, best, unit, same)
    return said


def _of_policies(workers: int, group: Sequence[Configuration], unit: str, same: float) -> list[str]:
    if len(group) < 2:
        return []
    fast, slow = min(group, key=lambda c: c.expected), max(group, key=lambda c: c.expected)
    if slow.expected <= fast.expected * same:
        return [f"with {_workers(workers)} the policy makes no difference"]
    saved = 100 * (1 - fast.expected / slow.expected)
    return [
        f"with {_workers(workers)}, {fast.policy} takes {fast.expected:.2f} {unit} where {slow.policy} takes "
        f"{slow.expected:.2f}{_sampled(fast)}: {saved:.0f} % less"
    ]


def _of_workers(comparison: Comparison, best: Mapping[int, Configuration], unit: str, same: float) -> list[str]:
    ordered = sorted(best.values(), key=lambda c: c.workers or float("inf"))
    if len(ordered) < 2:
        return []
    said = []
    shortest = min(c.expected for c in ordered)
    enough = next(c for c in ordered if c.expected <= shortest * same)
    if enough is not ordered[-1]:
        until = f" up to {ordered[-1].workers:,}" if ordered[-1].workers else ""
        if enough.makespan <= comparison.structure.length * same:
            why = "is as fast as it gets"
        elif comparison.limits:
            kept = ", ".join(f"{name} takes {size:,} at once" for name, size in comparison.limits)
            why = f"is what the providers allow ({kept})"
        else:
            why = f"where the critical path is {comparison.structure.length:.2f}"
        said.append(
            f"beyond {_workers(enough.workers)} nothing is gained{until}: "
            f"{enough.expected:.2f} {unit}{_sampled(enough)} {why}"
        )
    first = ordered[0]
    if enough is not first and enough.expected:
        said.append(
            f"{_workers(enough.workers)} {'are' if enough.workers != 1 else 'is'} "
            f"{first.expected / enough.expected:.2f} times as fast as {_workers(first.workers)}, "
            f"{100 * enough.utilisation:.0f} % busy"
        )
    structure = comparison.structure
    if structure.length:
        said.append(
            f"work ÷ critical path = {structure.parallelism:.2f}: so many workers could be busy on average at best"
        )
    return said


def _sampled(configuration: Configuration) -> str:
    return " on average" if configuration.mean is not None else ""


def _workers(count: int) -> str:
    return "unlimited workers" if not count else f"{count} worker{'' if count == 1 else 's'}"
