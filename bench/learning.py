"""How soon a run is scheduled as well as if all mean durations were known.

    python -m bench.learning FOLDER [--sets stg traces] [--every K] [--histories H] [--regimes …] [--quick]

Graphs and true means are the Standard Task Graphs and the WfInstances traces below FOLDER, on 2, 4,
8 and 16 workers. A history of up to 50 runs is drawn around the means, each learner sees its first
k runs, and the critical path on what it then believes schedules the same newly drawn durations as
the critical path on the true means. Figures are mean makespans relative to the latter.

Every task has samples of its own in every run, and no author's word. In "WfInstances, by program"
the tasks of one program are items of one task, as a `foreach` would have them: that needs a learner
that knows items, so the others learn by item.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from time import process_time

from bench.instances import Instance, stg, wfinstances
from bench.measuring import print_table, say_machine
from llmflow.history.records import SampleRecord
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.list_schedule import list_schedule

RUNS = (0, 1, 3, 5, 10, 20, 50)
EVALUATIONS = 6
"""Runs that are scheduled after each history."""

REACH = {1: 1.02, 5: 1.004}


@dataclass(frozen=True, slots=True)
class Regime:
    """Log-normal durations of this CV, a share of which are stragglers that take six times as long."""

    cv: float
    stragglers: float = 0.0

    def draw(self, mean: float, dice: Random) -> float:
        variance = log(1 + self.cv**2)
        usual = mean / (1 + 5 * self.stragglers) * exp(dice.gauss(-variance / 2, sqrt(variance)))
        return usual * 6 if self.stragglers and dice.random() < self.stragglers else usual


REGIMES = {
    "CV 0.3": Regime(0.3),
    "CV 0.5": Regime(0.5),
    "CV 1.0": Regime(1.0),
    "heavy tail": Regime(0.5, 0.05),
}

Names = Sequence[tuple[str, str | None]]
"""(task, item) of every task of the graph."""

History = Sequence[Sequence[float]]
"""Per run, the duration of every task."""

Believe = Callable[[Names, History, Sequence[int]], dict[int, list[float]]]
"""k → what is believed of each task after the first k runs."""


def shrinkage(names: Names, history: History, runs: Sequence[int]) -> dict[int, list[float]]:
    return _learned(names, history, runs, 0.0)


def shrinkage_and_sd(names: Names, history: History, runs: Sequence[int]) -> dict[int, list[float]]:
    return _learned(names, history, runs, 1.0)


def _learned(names: Names, history: History, runs: Sequence[int], sds: float) -> dict[int, list[float]]:
    learner, beliefs = Learner(), {}
    for k in range(max(runs) + 1):
        if k:
            for (task, item), duration in zip(names, history[k - 1], strict=True):
                if duration:
                    learner.update(SampleRecord(task, duration, float(k), item))
        if k in runs:
            estimates = [learner.estimate(Subject(task, item)) for task, item in names]
            beliefs[k] = [e.mean + sds * e.sd for e in estimates]
    return beliefs


def averaged(names: Names, history: History, runs: Sequence[int]) -> dict[int, list[float]]:
    return {k: [fmean(past) for past in zip(*history[:k], strict=True)] or [1.0] * len(names) for k in runs}


def last_value(names: Names, history: History, runs: Sequence[int]) -> dict[int, list[float]]:
    return {k: list(history[k - 1]) if k else [1.0] * len(names) for k in runs}


def moving_average(names: Names, history: History, runs: Sequence[int]) -> dict[int, list[float]]:
    """Exponentially weighted with α = 0.5, as Dask learns."""
    beliefs, current = {0: [1.0] * len(names)}, list(history[0])
    for k, run in enumerate(history, 1):
        current = [0.5 * c + 0.5 * d for c, d in zip(current, run, strict=True)]
        beliefs[k] = current
    return beliefs


LEARNERS: dict[str, Believe] = {
    "llmflow": shrinkage,
    "llmflow, mean + sd": shrinkage_and_sd,
    "plain mean": averaged,
    "EWMA(0.5)": moving_average,
    "last value": last_value,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One graph on several numbers of workers."""

    name: str
    instances: list[Instance]
    names: Names


@dataclass(frozen=True, slots=True)
class Outcome:
    """Makespan relative to known means on one instance, and twice its standard error over histories."""

    ratio: float
    doubt: float


def measure(case: Case, regime: Regime, histories: int) -> dict[tuple[str, int], list[Outcome]]:
    """(learner, k) → one outcome per number of workers."""
    graph, means = case.instances[0].graph, case.instances[0].durations
    order = graph.order()
    dice = Random(f"{case.name} {regime}")
    makespans: dict[tuple[str, int], list[list[float]]] = {}
    known: list[list[float]] = []
    ideal = upward_ranks(graph, means, order)
    for _ in range(histories):
        history = [[regime.draw(m, dice) if m else 0.0 for m in means] for _ in range(max(RUNS))]
        futures = [[regime.draw(m, dice) if m else 0.0 for m in means] for _ in range(EVALUATIONS)]

        def met(ranks: Sequence[float], futures: History = futures) -> list[float]:
            """The mean makespan on each number of workers."""
            return [fmean(list_schedule(graph, f, ranks, i.workers).makespan for f in futures) for i in case.instances]

        known.append(met(ideal))
        done: dict[tuple[float, ...], list[float]] = {}
        for learner, believe in LEARNERS.items():
            beliefs = believe(case.names, history, RUNS)
            for k in RUNS:
                real = tuple(b if m else 0.0 for b, m in zip(beliefs[k], means, strict=True))
                if real not in done:
                    done[real] = met(upward_ranks(graph, real, order))
                makespans.setdefault((learner, k), []).append(done[real])
    known_by_workers = list(zip(*known, strict=True))
    return {
        key: [_outcome(a, b) for a, b in zip(zip(*rows, strict=True), known_by_workers, strict=True)]
        for key, rows in makespans.items()
    }


def _outcome(makespans: Sequence[float], known: Sequence[float]) -> Outcome:
    ratio = fmean(makespans) / fmean(known)
    scatter = [m - ratio * b for m, b in zip(makespans, known, strict=True)]
    return Outcome(ratio, 2 * stdev(scatter) / sqrt(len(scatter)) / fmean(known) if len(scatter) > 1 else 0.0)


def _grouped(instances: Sequence[Instance], every: int, programs: dict[str, str] | None = None) -> list[Case]:
    by_name: dict[str, list[Instance]] = {}
    for instance in instances:
        by_name.setdefault(instance.name, []).append(instance)
    cases = []
    for name in sorted(by_name)[::every]:
        tasks = by_name[name][0].graph.names
        names: Names = [(programs[t], t) for t in tasks] if programs is not None else [(t, None) for t in tasks]
        cases.append(Case(name, by_name[name], names))
    return cases


def _programs(folder: Path) -> dict[str, str]:
    """Task → the program it ran."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        for task in json.loads(path.read_text())["workflow"]["execution"]["tasks"]:
            found[task["id"]] = re.sub(r"\W", "_", task["command"]["program"])
    return found


def _rows(outcomes: dict[tuple[str, int], list[Outcome]], what: Callable[[Sequence[Outcome]], str]) -> list[list[str]]:
    return [[learner, *(what(outcomes[learner, k]) for k in RUNS)] for learner in LEARNERS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", choices=["stg", "traces"], default=["stg", "traces"])
    parser.add_argument("--every", type=int, default=6, help="take every K-th Standard Task Graph (default 6)")
    parser.add_argument("--histories", type=int, default=12, help="histories per graph, three times that for a trace")
    parser.add_argument("--regimes", nargs="+", choices=list(REGIMES), default=list(REGIMES))
    parser.add_argument("--quick", action="store_true", help="few graphs, two histories: to see that it works")
    options = parser.parse_args()
    every, of_stg, of_traces = (
        (40, 2, 2) if options.quick else (options.every, options.histories, 3 * options.histories)
    )
    say_machine()
    traces = options.folder / "wfinstances"
    sets: dict[str, list[Case]] = {}
    if "stg" in options.sets:
        sets["STG"] = _grouped(list(stg(options.folder / "stg")), every)
    if "traces" in options.sets:
        recorded, some = list(wfinstances(traces)), 3 if options.quick else 1
        sets["WfInstances"] = _grouped(recorded, some)
        sets["WfInstances, by program"] = _grouped(recorded, some, _programs(traces))
    head = ["learner", *(f"k = {k}" for k in RUNS)]
    for title, cases in sets.items():
        for regime in options.regimes:
            began = process_time()
            outcomes: dict[tuple[str, int], list[Outcome]] = {}
            histories = of_stg if title == "STG" else of_traces
            for case in cases:
                for key, found in measure(case, REGIMES[regime], histories).items():
                    outcomes.setdefault(key, []).extend(found)
            spent = process_time() - began
            count = len(outcomes["llmflow", 1])
            print_table(
                f"{title}, {regime}: {count} instances, mean / worst ({spent:.0f} s CPU)",
                head,
                _rows(
                    outcomes, lambda found: f"{fmean(o.ratio for o in found):.4f} / {max(o.ratio for o in found):.3f}"
                ),
            )
            for k, bar in REACH.items():
                found = outcomes["llmflow", k]
                above = sum(o.ratio > 1.02 for o in found)
                sure = sum(o.ratio - o.doubt > 1.02 for o in found)
                worst = max(found, key=lambda o: o.ratio)
                print(
                    f"after {k}: mean {fmean(o.ratio for o in found):.4f} (reach {bar}); {above} of {count} instances "
                    f"above 1.02, {sure} beyond 2 standard errors; worst {worst.ratio:.3f} ± {worst.doubt:.3f}"
                )


if __name__ == "__main__":
    main()
