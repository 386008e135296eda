"""Which order is best when durations are uncertain: a few candidates, tried on the same sampled beliefs.

No single rule wins everywhere. A plan for the means wins where durations are near certain; the
longest path on mean + one standard deviation wins where some tasks are riskier than others;
elsewhere the critical path on means is hard to beat. So each candidate order is simulated on common
random durations, and it replaces the critical path only where it is shorter by more than two
standard errors of the paired difference: what cannot be told from luck is left alone.
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
from llmflow.scheduling.ticks import TickSchedules

SAMPLES = 200
"""How many vectors of durations every candidate is tried on."""

CONFIDENCE = 2.0
"""How many standard errors of the difference a candidate must be ahead."""

PLANNING = 0.4
"""The share of the budget that finding a plan may take."""

PROBE = 8
"""After how many samples it is judged whether all of them fit into the budget."""

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
    iterations: int = 100,
) -> Choice:
    """The best of the portfolio on `samples` common draws, or the critical path if they do not fit `budget_s`.

    `workers` and `pool_of` as in `list_schedule`; `iterations` bounds the search for a plan. The same
    for the same seed unless the budget cuts in.
    """
    ends = clock() + budget_s
    means = [e.mean for e in estimates]
    reference = upward_ranks(graph, means)
    if not len(graph) or budget_s <= 0:
        return Choice(REFERENCE, reference, (), 0)
    candidates = portfolio(
        graph,
        estimates,
        workers,
        seed=seed,
        budget_s=budget_s * PLANNING,
        clock=clock,
        pool_of=pool_of,
        iterations=iterations,
    )
    makespans = _trial(graph, estimates, workers, pool_of, candidates, Random(seed), samples, clock, ends)
    if makespans is None:
        return Choice(REFERENCE, reference, (), 0)
    evidence = tuple(_compare(name, makespans[name], makespans[REFERENCE]) for name in candidates)
    ahead = [e for e in evidence if e.difference < -CONFIDENCE * e.error - 1e-9 * e.mean]
    best = min(ahead, key=lambda e: e.mean).policy if ahead else REFERENCE
    return Choice(best, candidates[best], evidence, samples)


def portfolio(
    graph: Graph,
    estimates: Sequence[Estimate],
    workers: int | Sequence[int],
    *,
    seed: int,
    budget_s: float,
    clock: Callable[[], float],
    pool_of: Sequence[int] | None = None,
    iterations: int = 100,
) -> dict[str, list[float]]:
    """The candidates' priorities by name, the critical path on means first; candidates that agree appear once."""
    means = [e.mean for e in estimates]
    risky = upward_ranks(graph, [e.mean + e.sd for e in estimates])
    ends = clock() + budget_s
    passes = plan(graph, means, workers, budget_s=budget_s, seed=seed, clock=clock, pool_of=pool_of, iterations=0)
    search = plan(
        graph, means, workers, budget_s=ends - clock(), seed=seed, clock=clock, pool_of=pool_of, iterations=iterations
    )
    found = {
        REFERENCE: upward_ranks(graph, means),
        "mean-plus-sd": risky,
        "forward-backward": passes.priorities,
        "iterated-greedy": search.priorities,
        "blend": _blend(search.priorities, risky),
    }
    distinct: dict[tuple[int, ...], str] = {}
    for name, priorities in found.items():
        distinct.setdefault(tuple(ranked(priorities)), name)
    return {name: found[name] for name in distinct.values()}


def _blend(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The mean of two vectors of priorities, each scaled to 0 … 1."""
    scaled = []
    for vector in (a, b):
        low, high = min(vector), max(vector)
        scaled.append([(x - low) / (high - low) if high > low else 0.0 for x in vector])
    return [(x + y) / 2 for x, y in zip(*scaled, strict=True)]


def _trial(
    graph: Graph,
    estimates: Sequence[Estimate],
    workers: int | Sequence[int],
    pool_of: Sequence[int] | None,
    candidates: dict[str, list[float]],
    dice: Random,
    samples: int,
    clock: Callable[[], float],
    ends: float,
) -> dict[str, list[float]] | None:
    """Each candidate's makespan on each sample; None if they do not fit until `ends`."""
    sizes = [workers] if isinstance(workers, int) else workers
    kernel = TickSchedules(graph, [e.mean for e in estimates], pool_of or [0] * len(graph), sizes)
    orders = {name: ranked(priorities) for name, priorities in candidates.items()}
    makespans: dict[str, list[float]] = {name: [] for name in candidates}
    begins = clock()
    for done, durations in enumerate(zip(*(e.draws(dice, samples) for e in estimates), strict=True)):
        if done and done % PROBE == 0:
            now = clock()
            if now + (now - begins) / done * (samples - done) > ends:
                return None
        kernel.retime(durations)
        for name, order in orders.items():
            makespans[name].append(kernel.schedule(0, order)[0] / kernel.scale)
    return makespans


def _compare(name: str, makespans: Sequence[float], reference: Sequence[float]) -> Evidence:
    n = len(makespans)
    gaps = [a - b for a, b in zip(makespans, reference, strict=True)]
    difference = fsum(gaps) / n
    error = sqrt(fsum((g - difference) ** 2 for g in gaps) / (n - 1) / n) if n > 1 else 0.0
    return Evidence(name, fsum(makespans) / n, difference, error)
