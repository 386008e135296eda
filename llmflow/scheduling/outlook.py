"""What a run may take: the same schedule on many sampled durations, as quantiles and as a share per task.

All policies meet the same draws, so their difference is not luck. A task counts as critical in a
sample if it lies on a longest chain of that sample's durations; the share of samples in which it
does is its criticality (the criticality index of PERT; Van Slyke 1963).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.statistics import quantile

if TYPE_CHECKING:
    from llmflow.scheduling.idling import Hold
    from llmflow.scheduling.lean_schedule import LeanSchedules

SAMPLES = 200
"""How many sampled runs an outlook rests on where they can be afforded."""

FEWEST = 20
"""Below so many samples a quantile such as P90 says nothing."""

VISITS = 400_000
"""How many tasks all samples together may schedule."""

PROBE = 4
"""After how many samples it is judged how many will fit into the time."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Makespans in seconds over the sampled runs."""

    mean: float
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """`makespans` by policy; the rest is per task and of the first policy. Seconds."""

    samples: int
    makespans: Mapping[str, Quantiles]
    criticality: list[float]
    starts: list[float]
    """Expected starts: means over the samples."""
    durations: list[float]
    """Means of what was drawn."""


class SampledRun(NamedTuple):
    """Seconds; `took`: of each task."""

    makespan: float
    starts: Sequence[float]
    took: Sequence[float]


class Runs(Protocol):
    """How one graph is run on what is drawn: a column of rows per task, made into runs one row at a time."""

    def keys(self, priorities: Sequence[float]) -> Any: ...
    def drawn(self, estimates: Sequence[Estimate], dice: Random, count: int) -> Sequence[Sequence[Any]]: ...
    def run(self, row: Sequence[Any], keys: Any, holds: Sequence[Hold]) -> SampledRun: ...


class LeanRuns:
    """Each task is one call, and rows are durations."""

    def __init__(self, schedules: LeanSchedules) -> None:
        self._schedules = schedules

    def keys(self, priorities: Sequence[float]) -> Any:
        return self._schedules.keys(priorities)

    def drawn(self, estimates: Sequence[Estimate], dice: Random, count: int) -> list[list[float]]:
        """What was learned is drawn together, for it is doubted together."""
        if not any(e.doubt for e in estimates):
            return [e.draws(dice, count) for e in estimates]
        from llmflow.scheduling.worlds import drawn_together

        return drawn_together(estimates, dice, count)

    def run(self, row: Sequence[float], keys: Any, holds: Sequence[Hold]) -> SampledRun:
        return SampledRun(*self._schedules.schedule(keys, row, holds=holds), row)


def affordable(tasks: int, policies: int, wanted: int = SAMPLES) -> int:
    """How many samples may be taken of so many tasks under so many policies; 0 where too few would be left."""
    samples = min(wanted, VISITS // max(1, tasks * (policies + 1)))
    return samples if samples >= min(FEWEST, wanted) else 0


def look_out(
    graph: Graph,
    estimates: Sequence[Estimate],
    schedules: LeanSchedules,
    policies: Mapping[str, Sequence[float]],
    *,
    holds: Mapping[str, Sequence[Hold]] | None = None,
    hedged: Runs | None = None,
    samples: int,
    seed: int,
    budget_s: float | None = None,
    clock: Callable[[], float] | None = None,
) -> Outlook | None:
    """Sample `samples` runs under each of `policies` (name → priorities), the first of which is the chosen one.

    `holds`: policy → what it holds back (see `idling`). `hedged`: how a run with second calls goes, where
    there may be any; then nothing is held back.

    With a budget, fewer where they do not fit; None where there are none or even `FEWEST` do not fit.
    Reproducible by seed.
    """
    if not samples:
        return None
    begins = clock() if clock is not None else 0.0
    dice = Random(f"{seed} outlook")
    count = len(graph)
    order = graph.order()
    runs: Runs = hedged if hedged is not None else LeanRuns(schedules)
    keys = {name: runs.keys(priorities) for name, priorities in policies.items()}
    makespans: dict[str, list[float]] = {name: [] for name in keys}
    critical, starts, held = [0] * count, [0.0] * count, [0.0] * count
    chosen = next(iter(keys))
    done, started = 0, clock() if clock is not None else 0.0
    while done < samples:
        size = min(PROBE, samples) if budget_s is not None and not done else samples - done
        for row in zip(*runs.drawn(estimates, dice, size), strict=True) if count else [()] * size:
            for name, wanted in keys.items():
                found = runs.run(row, wanted, holds.get(name, ()) if holds else ())
                makespans[name].append(found.makespan)
                if name == chosen:
                    starts = [a + b for a, b in zip(starts, found.starts, strict=True)]
                    held = [a + b for a, b in zip(held, found.took, strict=True)]
                    for task in longest_chains(graph, found.took, order):
                        critical[task] += 1
        done += size
        if budget_s is not None and clock is not None and done == PROBE:
            now = clock()
            samples = min(samples, PROBE + int(PROBE * (begins + budget_s - now) / max(1e-9, now - started)))
            if samples < FEWEST:
                return None
    samples = len(makespans[chosen])
    return Outlook(
        samples,
        {name: quantiles(values) for name, values in makespans.items()},
        [n / samples for n in critical],
        [s / samples for s in starts],
        [h / samples for h in held],
    )


def certain(
    graph: Graph, durations: Sequence[float], makespans: Mapping[str, float], starts: Sequence[float]
) -> Outlook:
    """Where every duration is certain, one plan says it all: `makespans` by policy, `starts` of the first."""
    critical = set(longest_chains(graph, durations, graph.order()))
    return Outlook(
        1,
        {policy: Quantiles(length, length, length, length) for policy, length in makespans.items()},
        [float(task in critical) for task in range(len(graph))],
        list(starts),
        list(durations),
    )


def longest_chains(graph: Graph, durations: Sequence[float], order: Sequence[int]) -> list[int]:
    """The tasks that lie on any longest chain. O(tasks + edges)."""
    dependents = graph.dependents
    below = [0.0] * len(graph)
    upward = list(durations)
    for task in reversed(order):
        longest = 0.0
        for d in dependents[task]:
            if upward[d] > longest:
                longest = upward[d]
        below[task] = longest
        upward[task] += longest
    length = max(upward, default=0.0)
    found = [t for t in order if upward[t] == length and not graph.dependencies[t]]
    seen = set(found)
    for task in found:
        rest = below[task]
        for d in dependents[task]:
            if upward[d] == rest and d not in seen:
                seen.add(d)
                found.append(d)
    return found


def quantiles(values: Sequence[float]) -> Quantiles:
    """Of at least one value; quantiles are interpolated linearly."""
    ordered = sorted(values)
    return Quantiles(fsum(ordered) / len(ordered), *(quantile(ordered, p) for p in (0.1, 0.5, 0.9)))
