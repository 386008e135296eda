"""Which order is best when durations are uncertain: a few candidates, tried on the same sampled beliefs.

No single rule wins everywhere. A plan for the means wins where durations are near certain; ranks that
see risk (`risk_ranks`) win where some tasks are riskier than others, and which of them is best differs
from graph to graph; a plan rehearsed on samples lies between them; elsewhere the critical path on means
is hard to beat. So each candidate order is simulated on common random durations, and it replaces the
critical path only where it is shorter by more than two standard errors of the paired difference: what
cannot be told from luck is left alone.

Candidates that are clearly behind the leader after a few samples, and those for which there is no
time, are tried no further (racing). The time so saved is spent on rehearsing the leader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from random import Random

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.improve import Plan, in_order, plan
from llmflow.scheduling.list_schedule import ranked
from llmflow.scheduling.rehearsal import rehearse
from llmflow.scheduling.risk_ranks import risk_ranks
from llmflow.scheduling.spread import PREDICTABLE, predicted_cv
from llmflow.scheduling.ticks import TickSchedules, timed

SAMPLES = 200
"""How many vectors of durations every candidate is tried on."""

CONFIDENCE = 2.0
"""How many standard errors of the difference a candidate must be ahead."""

RACED = ((1, 5), (1, 2))
"""After which shares of the samples candidates are dropped, and …"""

HOPELESS = 3.0
"""… how many standard errors of the difference to the leader they must then be behind."""

PLANNED = 0.1
"""The share of the budget after which planning must be done; rehearsing takes what the trials leave."""

REHEARSALS = (20, 80)
"""How many samples an order is made robust on, predictable pipeline or not; the trial's are others."""

PROBE = 8
"""On how many samples it is judged what a trial will cost."""

MARGIN = 1.15
"""How much dearer than the probe the trial may turn out to be."""

REFERENCE = "critical-path"


@dataclass(frozen=True, slots=True)
class Evidence:
    """How one candidate did. `difference` is its mean makespan less that of the critical path, on common samples.

    One that was dropped early is judged on the samples it met; `mean` is what it would then be over all.
    """

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
    plan: Plan | None = None
    """The plan for the expected durations that was among the candidates."""


def choose(
    graph: Graph,
    estimates: Sequence[Estimate],
    workers: int | Sequence[int],
    *,
    seed: int,
    budget_s: float,
    clock: Callable[[], float],
    pool_of: Sequence[int] | None = None,
    cap: int = 0,
    begin: Sequence[Sequence[float]] = (),
    samples: int = SAMPLES,
    iterations: int = 10_000,
) -> Choice:
    """The best of the portfolio on `samples` common draws, or the critical path if they do not fit `budget_s`.

    `workers`, `pool_of` and `cap` as in `list_schedule`, `begin` as in `plan`; `iterations` bounds each search.
    The same for the same seed unless the budget cuts in.
    """
    begins = clock()
    means = [e.mean for e in estimates]
    reference = upward_ranks(graph, means)
    if not len(graph) or budget_s <= 0:
        return Choice(REFERENCE, reference, (), 0)
    problem = _Problem(graph, estimates, workers, pool_of, seed, clock, cap)
    candidates = problem.portfolio(reference, begin, begins + budget_s * PLANNED, iterations)
    drawing_s, sample_s = problem.cost(ranked(reference))
    # Where not even the first heat of two candidates and the rest of two more fits, nothing can be told.
    left = begins + budget_s - clock() - drawing_s * samples
    first_heat = max(1, samples * RACED[0][0] // RACED[0][1])
    if left < sample_s * (2 * first_heat + 2 * samples):
        return Choice(REFERENCE, reference, (), 0)
    if sample_s:
        room = int((left / sample_s - 2 * samples) / first_heat)
        candidates = dict(list(candidates.items())[:room])
    draws = problem.draws(samples, "trial")
    makespans = problem.race(candidates, draws, begins + budget_s, sample_s)
    if any(e.sd for e in estimates):
        leader = min((name for name in candidates if len(makespans[name]) == samples), key=lambda n: fsum(makespans[n]))
        by = begins + budget_s - samples * sample_s
        first = ranked(candidates[leader])
        order = rehearse(
            problem.kernel,
            means,
            problem.draws(REHEARSALS[predicted_cv(estimates) >= PREDICTABLE], "rehearsal"),
            first,
            seed=seed,
            in_time=lambda: clock() < by,
            iterations=iterations,
        )
        if order != first:
            candidates["rehearsed"] = in_order(order)
            makespans["rehearsed"] = list(problem.kernel.makespans(order, draws))
    evidence = tuple(compare(name, makespans[name], makespans[REFERENCE]) for name in candidates)
    best = best_of([e for e in evidence if len(makespans[e.policy]) == samples])
    return Choice(best, candidates[best], evidence, samples, problem.plan)


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
        cap: int = 0,
    ) -> None:
        self.graph, self.estimates, self.seed, self.clock = graph, estimates, seed, clock
        self.means = [e.mean for e in estimates]
        self.sizes = [workers] if isinstance(workers, int) else list(workers)
        self.pools = [0] * len(graph) if pool_of is None else pool_of
        self.cap = cap
        self.kernel = TickSchedules(graph, self.means, self.pools, self.sizes, cap)
        self.plan: Plan | None = None

    def draws(self, count: int, purpose: str) -> list[tuple[list[int], float]]:
        """`count` timed vectors of durations; each purpose has its own: nothing is judged on what selected it."""
        dice = Random(f"{self.seed} {purpose}")
        return [timed(durations) for durations in zip(*(e.draws(dice, count) for e in self.estimates), strict=True)]

    def portfolio(
        self, reference: list[float], begin: Sequence[Sequence[float]], ends: float, iterations: int
    ) -> dict[str, list[float]]:
        """The candidates' priorities by name, what most often pays first; candidates that agree appear once."""
        workers = sum(n or len(self.graph) for n in self.sizes)
        risky = risk_ranks(self.graph, self.estimates, workers)
        passes, self.plan = (
            plan(
                self.graph,
                self.means,
                self.sizes,
                budget_s=ends - self.clock(),
                seed=self.seed,
                clock=self.clock,
                pool_of=self.pools,
                cap=self.cap,
                begin=begin,
                iterations=tries,
            )
            for tries in (0, iterations)
        )
        found = {
            REFERENCE: reference,
            "mean-plus-sd": risky["mean-plus-sd"],
            "iterated-greedy": self.plan.greedy,
            **risky,
            "forward-backward": passes.greedy,
            "blend": _blend(self.plan.greedy, risky["mean-plus-sd"]),
        }
        distinct: dict[tuple[int, ...], str] = {}
        for name, priorities in found.items():
            distinct.setdefault(tuple(ranked(priorities)), name)
        return {name: found[name] for name in distinct.values()}

    def cost(self, order: Sequence[int]) -> tuple[float, float]:
        """Seconds that one draw takes, and one schedule on it, with a margin."""
        began = self.clock()
        draws = self.draws(PROBE, "cost")
        drawn = self.clock()
        for _ in self.kernel.makespans(order, draws):
            pass
        return (drawn - began) / PROBE * MARGIN, (self.clock() - drawn) / PROBE * MARGIN

    def race(
        self, candidates: dict[str, list[float]], draws: Sequence[tuple[list[int], float]], ends: float, sample_s: float
    ) -> dict[str, list[float]]:
        """Each candidate's makespans on the first of the common `draws`.

        The reference and those that are never clearly behind meet all of them, the best ones first
        as far as the time until `ends` goes, at `sample_s` for each, with one trial kept back.
        """
        found: dict[str, list[float]] = {name: [] for name in candidates}
        running = {name: ranked(priorities) for name, priorities in candidates.items()}
        done = 0
        for share, of in (*RACED, (1, 1)):
            until = len(draws) * share // of
            for name, order in running.items():
                found[name] += self.kernel.makespans(order, draws[done:until])
            done = until
            if 1 < done < len(draws):
                by_mean = sorted(running, key=lambda name: fsum(found[name]))
                if sample_s:
                    room = (ends - self.clock()) / sample_s - len(draws)
                    by_mean = by_mean[: max(1, int(room / (len(draws) - done)) - 1)]
                leader = found[by_mean[0]]
                fit = {name for name in by_mean if not hopeless(found[name], leader)} | {REFERENCE}
                running = {name: order for name, order in running.items() if name in fit}
        return found


def _blend(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """The mean of two vectors of priorities, each scaled to 0 … 1."""
    scaled = []
    for vector in (a, b):
        low, high = min(vector), max(vector)
        scaled.append([(x - low) / (high - low) if high > low else 0.0 for x in vector])
    return [(x + y) / 2 for x, y in zip(*scaled, strict=True)]


def best_of(evidence: Sequence[Evidence]) -> str:
    """Who is ahead of the critical path beyond doubt, and furthest; else the critical path."""
    ahead = [e for e in evidence if e.difference < -CONFIDENCE * e.error - 1e-9 * e.mean]
    return min(ahead, key=lambda e: e.mean).policy if ahead else REFERENCE


def hopeless(makespans: Sequence[float], leader: Sequence[float]) -> bool:
    """Clearly behind the leader on the samples that both met."""
    behind, error = _paired(makespans, leader)
    return behind > HOPELESS * error


def _paired(makespans: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Mean difference on the samples that both met, and its standard error."""
    gaps = [a - b for a, b in zip(makespans, others, strict=False)]
    n = len(gaps)
    difference = fsum(gaps) / n
    return difference, sqrt(fsum((g - difference) ** 2 for g in gaps) / (n - 1) / n) if n > 1 else 0.0


def compare(name: str, makespans: Sequence[float], reference: Sequence[float]) -> Evidence:
    """How a candidate did beside the critical path, whose `reference` are on all samples."""
    difference, error = _paired(makespans, reference)
    return Evidence(name, fsum(reference) / len(reference) + difference, difference, error)
