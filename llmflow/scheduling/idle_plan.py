"""Where a plan that keeps workers free is worth following, and which holds make a dispatcher follow it.

A plan that idles becomes an order and the holds (`idling`) without which that order takes longer. It is
followed only if each duration is all but certain and the simulated runs, holds and patience included, are
shorter than those of the best order alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import fsum, sqrt
from random import Random

from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.idling import Hold
from llmflow.scheduling.improve import Plan
from llmflow.scheduling.lean_schedule import LeanSchedules, machine_of
from llmflow.scheduling.list_schedule import ranked
from llmflow.scheduling.portfolio import CONFIDENCE, Evidence
from llmflow.scheduling.setting import Decision, Setting

NEAR_CERTAIN = 0.05
"""Up to this CV of every task a worker may be kept free for one that is to come."""

PAYS = 0.001
"""The share by which keeping workers free must shorten the run."""

SAMPLES, FEWEST = 200, 30
"""On how many sampled runs it is tried where durations are not quite certain, and on how many at least."""

MOST = 30
"""A plan that needs more holds than this is not followed: too much would have to come true."""

ROUNDING = 1e-9
"""Two makespans that differ by no larger share are the same."""

IDLE = "idle-plan"
"""What the order is called that goes with holds."""


def near_certain(estimates: Sequence[Estimate]) -> bool:
    """Every duration is so certain that a worker may wait for its end."""
    return all(e.cv <= NEAR_CERTAIN for e in estimates)


def where_it_pays(
    decision: Decision,
    plan: Plan,
    setting: Setting,
    workers: Sequence[int],
    pool_of: Sequence[int],
    cap: int,
    beliefs: Sequence[Estimate],
    in_time: Callable[[], bool],
) -> Decision:
    """`plan` with its holds if it is shorter than `decision`, else `decision`; both on these workers and beliefs."""
    if not plan.idles or not near_certain(beliefs):
        return decision
    lean = machine_of(setting.graph, workers, pool_of, cap=cap)
    means = [e.mean for e in beliefs]
    alone = lean.keys(decision.priorities)
    shortest = lean.schedule(alone, means)[0]
    if plan.makespan > shortest * (1 - PAYS):
        return decision
    holds = find_holds(
        lean, plan.priorities, means, makespan=plan.makespan, shortest=shortest, in_time=in_time, capped=cap > 0
    )
    if not holds:
        return decision
    own = lean.keys(plan.priorities)
    gaps: list[float] = []
    without: list[float] = []
    for durations in _durations(beliefs, setting.seed):
        if len(gaps) > FEWEST and not in_time():
            break
        without.append(lean.schedule(alone, durations)[0])
        gaps.append(lean.schedule(own, durations, holds=holds)[0] - without[-1])
    n = len(gaps)
    mean, difference = fsum(without) / n, fsum(gaps) / n
    error = sqrt(fsum((g - difference) ** 2 for g in gaps) / (n - 1) / n) if n > 1 else 0.0
    evidence = Evidence(IDLE, mean + difference, difference, error)
    if difference + CONFIDENCE * error > -PAYS * mean:
        return replace(decision, evidence=(*decision.evidence, evidence))
    kept = f"a worker is kept free {len(holds)} times" if len(holds) > 1 else "a worker is kept free once"
    runs = f"over {n} sampled runs" if n > 1 else "as planned"
    reason = f"{kept}: {-100 * difference / mean:.2g} % shorter than any order that was found, {runs}"
    return replace(
        decision,
        order=IDLE,
        priorities=plan.priorities,
        reason=reason,
        evidence=(*decision.evidence, evidence),
        holds=holds,
    )


def _durations(beliefs: Sequence[Estimate], seed: int) -> Iterable[Sequence[float]]:
    """Sampled runs, one alone where all is certain."""
    if not any(e.sd for e in beliefs):
        return [[e.mean for e in beliefs]]
    dice = Random(f"{seed} idling")
    return zip(*(e.draws(dice, SAMPLES) for e in beliefs), strict=True)


def find_holds(
    schedules: LeanSchedules,
    priorities: Sequence[float],
    durations: Sequence[float],
    *,
    makespan: float,
    shortest: float,
    in_time: Callable[[], bool],
    capped: bool = False,
) -> tuple[Hold, ...]:
    """The holds with which a plan takes `makespan`; empty where that takes too many of them, or too long to find.

    `priorities` are in the order in which the plan starts its tasks. `shortest`: what greed alone reaches.
    Where the run is `capped`, tasks of one pool stand in the way of those of another.
    The difference is divided among the holds as their patience beyond what the plan lets each of them wait.
    """
    keys = schedules.keys(priorities)
    order = [task for task in ranked(priorities) if schedules.pool_of[task] >= 0]
    length, began = schedules.schedule(keys, durations)
    rivals = [min(pool, 0) for pool in schedules.pool_of] if capped else schedules.pool_of
    untils: dict[int, int] = {}
    while length > makespan * (1 + ROUNDING):
        found = _overtaking(order, began, rivals)
        if found is None or found[0] in untils or len(untils) == MOST or not in_time():
            return ()
        untils[found[0]] = found[1]
        length, began = schedules.schedule(keys, durations, holds=_patiently(untils, length))
    for task in reversed(list(untils)):
        fewer = {t: u for t, u in untils.items() if t != task}
        if in_time() and schedules.schedule(keys, durations, holds=_patiently(fewer, length))[0] <= length:
            untils = fewer
    waits: dict[int, float] = {}
    schedules.schedule(keys, durations, holds=_patiently(untils, length), waits=waits)
    spare = (shortest - length) / max(1, len(untils))
    return tuple(Hold(t, u, waits.get(t, 0.0) + spare) for t, u in untils.items())


def _patiently(untils: dict[int, int], long: float) -> list[Hold]:
    """Holds that outlast the whole run."""
    return [Hold(t, u, 2 * long + 1) for t, u in untils.items()]


def _overtaking(order: Sequence[int], began: Sequence[float], pool_of: Sequence[int]) -> tuple[int, int] | None:
    """The first task that started ahead of one before it in the order of its pool, and the last of those."""
    first: tuple[int, int] | None = None
    latest: dict[int, int] = {}
    for task in order:
        pool = pool_of[task]
        before = latest.get(pool, -1)
        if before >= 0 and began[before] > began[task] and (first is None or began[task] < began[first[0]]):
            first = task, before
        if before < 0 or began[task] >= began[before]:
            latest[pool] = task
    return first
