"""What each policy is worth when durations are random and only their distribution is known.

    python -m bench.random_durations FOLDER [--every K] [--draws D] [--regimes "CVs differ,CV 0.05"]

Graphs and means are the Standard Task Graphs of up to 100 tasks below FOLDER on 4 and 8 workers, where
the order matters. Each regime gives every task a log-normal distribution whose mean is the task's
duration there (stragglers: 200 samples); which CV a task has is drawn independently of its mean and
its place in the graph. Policies see the distributions, then all meet the same D draws, fresh ones.

`clairvoyant` plans the first of these draws, knowing each, by critical path, forward-backward
improvement and iterated greedy within 20 ms of CPU; its ratio to the critical path there stands for
all. It may idle on purpose, which what is chosen may only near certainty: a part of the gap is not to be
had by any order.

Printed relative to the critical path on means: the mean over the instances, twice the standard error
of what is chosen, its worst instance, and the share of the gap to the clairvoyant that is closed, with
twice its standard error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from random import Random
from statistics import stdev
from time import process_time

from bench.instances import Instance, stg
from bench.measuring import say_machine
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.list_schedule import ranked
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.setting import Setting
from llmflow.scheduling.ticks import TickSchedules

CHOOSER_S, CLAIRVOYANT_S = 0.3, 0.02
"""CPU seconds for choosing, once per instance, and for the clairvoyant, once per draw."""

SEEN = 30
"""How many draws the clairvoyant plans: its ratio varies little, the difference of two orders much."""


def _everywhere(cv: float) -> Callable[[float, Random], Estimate]:
    return lambda mean, dice: Estimate(mean, mean * cv, "task")


def _differing(mean: float, dice: Random) -> Estimate:
    return Estimate(mean, mean * dice.choice((0.05, 0.2, 0.5, 1.0)), "task")


def _far_apart(mean: float, dice: Random) -> Estimate:
    return Estimate(mean, mean * dice.choice((0.05, 2.0)), "task")


def _few_risky(mean: float, dice: Random) -> Estimate:
    return Estimate(mean, mean * (2.0 if dice.random() < 0.1 else 0.1), "task")


def _stragglers(mean: float, dice: Random) -> Estimate:
    """One call in twenty takes six times as long; known from 200 samples."""
    usual = mean / 1.25
    drawn = Estimate(usual, usual * 0.2).draws(dice, 200)
    return Estimate.of([d * 6 if i % 20 == 0 else d for i, d in enumerate(drawn)])


REGIMES: dict[str, Callable[[float, Random], Estimate]] = {
    "CV 0.02": _everywhere(0.02),
    "CV 0.05": _everywhere(0.05),
    "CV 0.3": _everywhere(0.3),
    "CV 0.5": _everywhere(0.5),
    "CV 1.0": _everywhere(1.0),
    "CVs differ": _differing,
    "far apart": _far_apart,
    "few risky": _few_risky,
    "stragglers": _stragglers,
}


def relative(case: Instance, regime: Callable[[float, Random], Estimate], draws: int, seed: int) -> dict[str, float]:
    """Mean makespan of each policy by that of the critical path on means, on common draws."""
    graph, dice = case.graph, Random(seed)
    estimates = [regime(d, dice) if d else Estimate(0.0) for d in case.durations]
    means = [e.mean for e in estimates]
    chosen = POLICIES["stochastic"].decide(
        Setting(
            graph,
            estimates,
            [case.workers],
            seed=seed,
            budget_s=CHOOSER_S,
            clock=process_time,
            iterations=10_000,
            may_idle=True,
        )
    )
    orders = {
        "critical-path": ranked(upward_ranks(graph, means)),
        "fifo-ids": list(range(len(graph))),
        "mean-plus-sd": ranked(upward_ranks(graph, [e.mean + e.sd for e in estimates])),
        "iterated-greedy": ranked(plan(graph, means, case.workers, budget_s=0.1, seed=seed, clock=process_time).greedy),
        "chosen": ranked(chosen.priorities),
    }
    totals = dict.fromkeys(orders, 0.0)
    known = without = 0.0
    kernel = TickSchedules(graph, means, [0] * len(graph), [case.workers])
    dispatcher = machine_of(graph, [case.workers], [0] * len(graph))
    keys = dispatcher.keys(chosen.priorities)
    fresh = Random(seed + 1_000_003)
    for i, durations in enumerate(zip(*(e.draws(fresh, draws) for e in estimates), strict=True)):
        kernel.retime(durations)
        makespans = {name: kernel.schedule(0, order)[0] / kernel.scale for name, order in orders.items()}
        if chosen.holds:
            makespans["chosen"] = dispatcher.schedule(keys, durations, holds=chosen.holds)[0]
        for name, makespan in makespans.items():
            totals[name] += makespan
        if i < SEEN:
            without += makespans["critical-path"]
            known += plan(
                graph, durations, case.workers, budget_s=CLAIRVOYANT_S, seed=seed, clock=process_time
            ).makespan
    return {name: total / totals["critical-path"] for name, total in totals.items()} | {"clairvoyant": known / without}


def two_errors(values: Sequence[float]) -> float:
    """Twice the standard error of the mean."""
    return 2 * stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--every", type=int, default=8, help="take every K-th instance of up to 100 tasks")
    arguments.add_argument("--draws", type=int, default=400)
    arguments.add_argument("--regimes", default=",".join(REGIMES))
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    say_machine()
    cases = [c for c in stg(given.folder, (4, 8)) if len(c.graph) <= 102][:: given.every]
    print(f"{len(cases)} instances, {given.draws} draws each; relative to the critical path on means")
    result: dict[str, dict[str, float]] = {}
    for regime in given.regimes.split(","):
        ratios = [relative(c, REGIMES[regime], given.draws, given.seed * 1000 + i) for i, c in enumerate(cases)]
        mean = {name: sum(r[name] for r in ratios) / len(ratios) for name in ratios[0]}
        gap = 1 - mean["clairvoyant"]
        closed = (1 - mean["chosen"]) / gap if gap else 1.0
        figures = {
            **mean,
            "two_errors": two_errors([r["chosen"] for r in ratios]),
            "worst": max(r["chosen"] for r in ratios),
            "gap_closed": closed,
            "of_gap": two_errors([1 - r["chosen"] - closed * (1 - r["clairvoyant"]) for r in ratios]) / gap
            if gap
            else 0.0,
        }
        if not result:
            print(f"{'regime':12s} " + " ".join(f"{name[:14]:>14s}" for name in figures))
        result[regime] = figures
        print(f"{regime:12s} " + " ".join(f"{value:14.4f}" for value in figures.values()), flush=True)
    print(json.dumps({"bench": "random_durations", "cases": len(cases), "draws": given.draws, "regimes": result}))


if __name__ == "__main__":
    main()
