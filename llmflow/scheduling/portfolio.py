"""Which order is best when durations are uncertain: a few candidates, tried on the same sampled beliefs.

No single rule wins everywhere. A plan for the means wins where durations are near certain; the
longest path on mean + one standard deviation wins where some tasks are riskier than others; a plan
rehearsed on samples lies between them; elsewhere the critical path on means is hard to beat. So
each candidate order is simulated on common random durations, and it replaces the critical path only
where it is shorter by more than two standard errors of the paired difference: what cannot be told
from luck is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from random import Random

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.list_schedule import ranked
from llmflow.scheduling.rehearsal import rehearse
from llmflow.scheduling.ticks import TickSchedules, timed

SAMPLES = 200
"""How many vectors of durations every candidate is tried on."""

CONFIDENCE = 2.0
"""How many standard errors of the difference a candidate must be ahead."""

PLANNED = 0.1
"""The share of the budget after which planning must be done; rehearsing takes what the trial leaves."""

REHEARSALS = 40
"""How many samples a plan is made robust on; the trial's are others."""

PROBE = 8
"""On how many samples it is judged which candidate to rehearse and what the trial will cost."""

MARGIN = 1.15
"""How much dearer than the probe the trial may turn out to be."""

REFERENCE = "critical-path"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How one candidate did. `difference` is its mean makespan less that of the critical path, on common samples."""

    policy: str
    mean: float
    difference: float
    error: float
    """Standard error of `difference`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate, its priorities (higher first), and what each one gave; seconds.

    `samples` is 0 and `evidence` empty where the budget did not allow a comparison: then it is the critical path.
    """

    policy: str
    priorities: list[float]
    evidence: tuple[Evidence, ...]
    samples: int


def choose(
    graph: Graph,
    estimates: Sequence[Estimate],
    workers: int | Sequence[int],
    *,
    seed: int,
    budget_s: float,
    clock: Callable[[], float],
    pool_of: Sequence[int] | None = None,
    samples: int = SAMPLES,
    iterations: int = 10_000,
) -> Choice:
    """The best of the portfolio on `samples` common draws, or the critical path if they do not fit `budget_s`.

    `workers` and `pool_of` as in `list_schedule`; `iterations` bounds each search. The same for the
    same seed unless the budget cuts in.
    """
    begins = clock()
    means = [e.mean for e in estimates]
    reference = upward_ranks(graph, means)
    if not len(graph) or budget_s <= 0:
        return Choice(REFERENCE, reference, (), 0)
    problem = _Problem(graph, estimates, workers, pool_of, seed, clock)
    candidates = problem.portfolio(reference, begins + budget_s * PLANNED, iterations)
    now = clock()
    start = problem.promising(candidates, PROBE)
    # What a sample costs is known now: keep back what the trial of one candidate more will take.
    trial_s = (clock() - now) / PROBE * (1 + 1 / len(candidates)) * samples * MARGIN
    by = begins + budget_s - trial_s
    if clock() > by:
        return Choice(REFERENCE, reference, (), 0)
    if any(e.sd for e in estimates):
        first = ranked(candidates[start])
        order = rehearse(
            problem.kernel,
            means,
            problem.draws(REHEARSALS, "rehearsal"),
            first,
            seed=seed,
            in_time=lambda: clock() < by,
            iterations=iterations,
        )
        if order != first:
            candidates["rehearsed"] = in_order(order)
    makespans = problem.trial(candidates, samples)
    evidence = tuple(_compare(name, makespans[name], makespans[REFERENCE]) for name in candidates)
    ahead = [e for e in evidence if e.difference < -CONFIDENCE * e.error - 1e-9 * e.mean]
    best = min(ahead, key=lambda e: e.mean).policy if ahead else REFERENCE
    return Choice(best, candidates[best], evidence, samples)


class _Problem:
    """One graph with its beliefs on its workers, and the candidates tried on common draws."""

    def __init__(
        self,
        graph: Graph,
        estimates: Sequence[Estimate],
        workers: int | Sequence[int],
        pool_of: Sequence[int] | None,
        seed: int,
        clock: Callable[[], float],
    ) -> None:
        self.graph, self.estimates, self.seed, self.clock = graph, estimates, seed, clock
        self.means = [e.mean for e in estimates]
        self.sizes = [workers] if isinstance(workers, int) else list(workers)
        self.pools = [0] * len(graph) if pool_of is None else pool_of
        self.kernel = TickSchedules(graph, self.means, self.pools, self.sizes)

    def draws(self, count: int, purpose: str) -> list[tuple[list[int], float]]:
        """`count` timed vectors of durations; each purpose has its own: nothing is judged on what selected it."""
        dice = Random(f"{self.seed} {purpose}")
        return [timed(durations) for durations in zip(*(e.draws(dice, count) for e in self.estimates), strict=True)]

    def portfolio(self, reference: list[float], ends: float, iterations: int) -> dict[str, list[float]]:
        """The candidates' priorities by name, the reference first; candidates that agree appear once."""
        risky = upward_ranks(self.graph, [e.mean + e.sd for e in self.estimates])
        passes, search = (
            plan(
                self.graph,
                self.means,
                self.sizes,
                budget_s=ends - self.clock(),
                seed=self.seed,
                clock=self.clock,
                pool_of=self.pools,
                iterations=tries,
            )
            for tries in (0, iterations)
        )
        found = {
            REFERENCE: reference,
            "mean-plus-sd": risky,
            "forward-backward": passes.priorities,
            "iterated-greedy": search.priorities,
            "blend": _blend(search.priorities, risky),
        }
        distinct: dict[tuple[int, ...], str] = {}
        for name, priorities in found.items():
            distinct.setdefault(tuple(ranked(priorities)), name)
        return {name: found[name] for name in distinct.values()}

    def trial(self, candidates: dict[str, list[float]], samples: int, purpose: str = "trial") -> dict[str, list[float]]:
        """Each candidate's makespan on each of the common samples."""
        draws = self.draws(samples, purpose)
        return {name: list(self.kernel.makespans(ranked(p), draws)) for name, p in candidates.items()}

    def promising(self, candidates: dict[str, list[float]], samples: int) -> str:
        """The candidate with the shortest mean over a few samples."""
        found = self.trial(candidates, samples, "promise")
        return min(candidates, key=lambda name: fsum(found[name]))


def in_order(order: Sequence[int]) -> list[float]:
    """Priorities that rank the tasks as they stand in `order`."""
    priorities = [0.0] * len(order)
    for position, task in enumerate(order):
        priorities[task] = float(-position)
    return priorities


def _blend(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The mean of two vectors of priorities, each scaled to 0 … 1."""
    scaled = []
    for vector in (a, b):
        low, high = min(vector), max(vector)
        scaled.append([(x - low) / (high - low) if high > low else 0.0 for x in vector])
    return [(x + y) / 2 for x, y in zip(*scaled, strict=True)]


def _compare(name: str, makespans: Sequence[float], reference: Sequence[float]) -> Evidence:
    n = len(makespans)
    gaps = [a - b for a, b in zip(makespans, reference, strict=True)]
    difference = fsum(gaps) / n
    error = sqrt(fsum((g - difference) ** 2 for g in gaps) / (n - 1) / n) if n > 1 else 0.0
    return Evidence(name, fsum(makespans) / n, difference, error)
