"""Which of some given orders is best, tried on sampled runs of the very dispatcher: pools, cap, one priority per stage.

It goes where the search of `portfolio` cannot: graphs that grow, whose items all have the priority of their
stage, tried with the items that are expected; and authors' priorities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from random import Random

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.portfolio import MARGIN, RACED, REFERENCE, SAMPLES, Choice, best_of, compare, hopeless
from llmflow.scheduling.risk_ranks import risk_ranks

PROBE = 3
"""After how many schedules it is judged what a trial will cost."""


def stage_orders(
    graph: Graph, estimates: Sequence[Estimate], sizes: Sequence[int], counts: Sequence[int]
) -> dict[str, list[float]]:
    """Candidates of a graph of stages, the critical path first; higher goes first.

    `sizes[s]`: how many workers the pool of stage s has, 0 = unlimited or none; `counts[s]`: how many tasks it
    is expected to have. `stage-work` counts a stage with all its work spread over its workers.
    """
    means = [e.mean for e in estimates]
    spread = [m * max(1.0, n / size) if size else m for m, size, n in zip(means, sizes, counts, strict=True)]
    return {
        REFERENCE: upward_ranks(graph, means),
        "stage-work": upward_ranks(graph, spread),
        **risk_ranks(graph, estimates, max(1, sum(sizes))),
    }


def try_out(
    schedules: LeanSchedules,
    candidates: Mapping[str, Sequence[float]],
    estimates: Sequence[Estimate],
    *,
    seed: int,
    budget_s: float,
    clock: Callable[[], float],
    samples: int = SAMPLES,
) -> Choice:
    """The best of `candidates` (name → priorities per task), the first of which is the critical path.

    Tried as in `portfolio`, on one sample where all is certain; without evidence where the budget does not
    even allow two of them. Candidates for which there is no time are left out from the end.
    """
    ends = clock() + budget_s
    reference = list(candidates[REFERENCE])
    distinct: dict[tuple[int, ...], str] = {}
    for name, priorities in candidates.items():
        distinct.setdefault(tuple(schedules.keys(priorities)), name)
    keys = {name: own for own, name in distinct.items()}
    samples = samples if any(e.sd for e in estimates) else 1
    dice = Random(f"{seed} trial")
    draws = list(zip(*(e.draws(dice, samples) for e in estimates), strict=True))
    began = clock()
    for durations in draws[:PROBE]:
        schedules.schedule(keys[REFERENCE], durations)
    once = (clock() - began) / min(PROBE, samples) * MARGIN
    first_heat = max(1, samples * RACED[0][0] // RACED[0][1])
    left = ends - clock()
    if left < 2 * samples * once:
        return Choice(REFERENCE, reference, (), 0)
    if once:
        room = 2 + int((left / once - 2 * samples) / first_heat)
        keys = dict(list(keys.items())[:room])
    found: dict[str, list[float]] = {name: [] for name in keys}
    running = list(keys)
    done = 0
    for share, of in (*RACED, (1, 1)):
        until = samples * share // of
        for name in running:
            found[name] += [schedules.schedule(keys[name], durations)[0] for durations in draws[done:until]]
        done = max(done, until)
        if not 1 < done < samples:
            continue
        by_mean = sorted(running, key=lambda name: fsum(found[name]))
        if once:
            by_mean = by_mean[: max(1, int((ends - clock()) / once / (samples - done)) - 1)]
        leader = found[by_mean[0]]
        running = [REFERENCE, *(n for n in by_mean if n != REFERENCE and not hopeless(found[n], leader))]
    evidence = tuple(compare(name, found[name], found[REFERENCE]) for name in keys)
    best = best_of([e for e in evidence if len(found[e.policy]) == samples])
    return Choice(best, list(candidates[best]), evidence, samples)
