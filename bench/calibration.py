"""How often reality falls within the P10–P90 that was foretold, if durations are not what the estimator assumes.

    python -m bench.calibration [--pipelines P] [--runs K] [--tides SD | --program | --hedged] [--quick]

Simulated pipelines: random graphs of 10 to 60 tasks on 2 to 8 workers, mean durations from 0.5 to 30
seconds. The truth of each pipeline is one of FAMILIES, none of them log-normal. Every run is foretold
from the runs before it (makespan by simulating sampled durations), then carried out, then learned.
*corrected* applies what the pipeline's own past forecasts teach; *pooled* those of all pipelines.

With --program the very same pipelines are written as YAML files and run by the program on virtual time,
each with a history of its own; what is printed is what `llmflow stats --calibration` reads there.

With --tides all durations of a run are off by a common factor, whose logarithm has this standard deviation.

With --hedged every call may be made a second time from the third run on, on 4 to 16 workers.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
from collections import defaultdict
from collections.abc import Callable, Sequence
from math import exp, gamma, log
from pathlib import Path
from random import Random
from statistics import fmean
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from bench.hedging import doubles_of
from bench.measuring import print_table, say_machine
from llmflow.binding import execution
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, execute
from llmflow.binding.hedging import LIKELY
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.history.forecasts import Foretold, foretold
from llmflow.history.records import SampleRecord
from llmflow.history.store import Store
from llmflow.reports.forecast_scores import render_scores, scores
from llmflow.runtime.clock import VirtualTimeLoop
from llmflow.scheduling.calibration import Calibration, Correction, Interval, calibration
from llmflow.scheduling.doubles import TOO_ALIKE, Double, Durations, Took, correlation, evidence, together
from llmflow.scheduling.estimates import MANY, Estimate
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.hedged_runs import HedgedRuns
from llmflow.scheduling.hedging import CARRIED_AT_MOST, EXTRA, HedgeRule, Hedging
from llmflow.scheduling.lean_schedule import LeanSchedules
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.list_schedule import list_schedule
from llmflow.scheduling.outlook import look_out
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.statistics import quantile
from llmflow.scheduling.tasks import TaskSpec
from llmflow.scheduling.worlds import drawn_together

DRAWS = 200

PATIENCE = 0.005
"""Real seconds in which the journal's thread has surely committed what is queued."""

SHOWN = (1, 2, 3, 5, 10, 15, 20)

NOBODY_WATCHES, LONGEST = 1e6, 3600.0
"""Seconds between two frames, and above which a loop waits for nothing but the journal."""

Family = Callable[[Random], float]
"""One duration of mean 1."""


def _two_modes(dice: Random) -> float:
    """Three in ten are answered from somewhere near, in a fifth of the time."""
    centre = 0.2 if dice.random() < 0.3 else 1.0
    return centre * dice.uniform(0.85, 1.15) / 0.76


def _weibull(dice: Random) -> float:
    return dice.weibullvariate(1 / gamma(1 + 1 / 1.5), 1.5)


def _pareto(dice: Random) -> float:
    """A floor and a heavy tail: α = 2.5."""
    return dice.paretovariate(2.5) * 0.6


def _stragglers(dice: Random) -> float:
    return dice.gammavariate(16, 1 / 16) / 1.25 * (6 if dice.random() < 0.05 else 1)


FAMILIES: dict[str, Family] = {
    "gamma, CV 0.5": lambda dice: dice.gammavariate(4, 0.25),
    "exponential": lambda dice: dice.expovariate(1.0),
    "Weibull 1.5": _weibull,
    "uniform 0.2–1.8": lambda dice: dice.uniform(0.2, 1.8),
    "two modes": _two_modes,
    "Pareto 2.5": _pareto,
    "stragglers ×6": _stragglers,
}


def random_graph(dice: Random, largest: int = 60) -> Graph:
    """10 to `largest` tasks in a row, each behind up to three of the ten before it."""
    graph = Graph()
    for task in range(dice.randint(10, largest)):
        near = range(max(0, task - 10), task)
        graph.add(f"task-{task}", dice.sample(near, min(len(near), dice.choice((0, 1, 1, 2, 3)))))
    return graph


def forecasts_of(
    number: int, family: Family, runs: int, *, draws: int = DRAWS, largest: int = 60, tides: float = 0.0
) -> list[tuple[Interval, float]]:
    """Run 2 to `runs` + 1 of one pipeline: foretold, and what came. `tides`: see the module."""
    dice = Random(number)
    graph, workers = random_graph(dice, largest), dice.choice((2, 3, 4, 8))
    means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(len(graph))]
    learner, told = Learner(), []
    for run in range(runs + 1):
        off = exp(tides * dice.gauss(0.0, 1.0)) if tides else 1.0
        actual = [off * mean * family(dice) for mean in means]
        estimates = [learner.estimate(Subject(name)) for name in graph.names]
        ranks = upward_ranks(graph, [e.mean for e in estimates])
        if run:
            columns = drawn_together(estimates, dice, draws)
            simulated = sorted(
                list_schedule(graph, durations, ranks, workers).makespan for durations in zip(*columns, strict=True)
            )
            interval = Interval(*(quantile(simulated, p) for p in (0.1, 0.5, 0.9)))
            told.append((interval, list_schedule(graph, actual, ranks, workers).makespan))
        for name, duration in zip(graph.names, actual, strict=True):
            learner.update(SampleRecord(name, duration, float(run), run=run))
    return told


def hedged_forecasts_of(
    number: int, family: Family, runs: int, *, draws: int = DRAWS, known: bool = True
) -> list[tuple[Interval, float]]:
    """As `forecasts_of`, of runs with second calls from the third on; not `known`: foretold as if there were none."""
    dice = Random(number)
    graph, workers = random_graph(dice), dice.choice((4, 8, 16))
    means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(len(graph))]
    specs, pools = [TaskSpec(pools=(0,))] * len(graph), [PoolSpec("p", workers)]
    learner, told, left = Learner(), [], 0.0
    calls: list[list[Took]] = [[] for _ in means]
    doubles: list[list[Double]] = [[] for _ in means]
    for run in range(runs + 1):
        estimates = [learner.estimate(Subject(name)) for name in graph.names]
        expected = [e.mean for e in estimates]
        ranks = upward_ranks(graph, expected)
        rules = _rules(estimates, calls, doubles) if run > 1 else {}
        carried = max(-CARRIED_AT_MOST, min(CARRIED_AT_MOST, left))
        hedging = Hedging(rules, ranks, expected, [True] * len(graph), EXTRA, carried)
        first, second = ([mean * family(dice) for mean in means] for _ in range(2))
        came = simulate(graph, specs, pools, first, ranks, workers=workers, hedging=hedging, second=second)
        if run:
            hedged = HedgedRuns(graph, specs, pools, hedging, workers=workers) if known and rules else None
            lean = LeanSchedules(graph, specs, pools, workers=workers)
            seen = look_out(graph, estimates, lean, {"": ranks}, hedged=hedged, samples=draws, seed=number)
            assert seen is not None
            q = seen.makespans[""]
            told.append((Interval(q.p10, q.p50, q.p90), came.makespan))
        found = doubles_of(came.story)
        left += EXTRA * len(graph) - sum(map(len, found.values()))
        for task, name in enumerate(graph.names):
            doubles[task] += found.get(task, [])
            took = [call for d in found.get(task, []) for call in (d.first, d.second)] or [Took(first[task])]
            calls[task] += took
            for call in took:
                if not call.cut_off:
                    learner.update(SampleRecord(name, call.seconds, float(run), run=run))
    return told


def _rules(
    estimates: Sequence[Estimate], calls: Sequence[Sequence[Took]], doubles: Sequence[Sequence[Double]]
) -> dict[int, HedgeRule]:
    """As a run makes them of its history."""
    known = [Durations.of(took) for took in calls]
    own = [evidence(each, durations) for each, durations in zip(doubles, known, strict=True)]
    everyone, rules = together(own), {}
    for task, estimate in enumerate(estimates):
        alike = correlation(own[task], everyone.without(own[task]))
        if alike > TOO_ALIKE:
            continue
        after = (known[task].quantile(0.9) if doubles[task] else None) or estimate.quantile(0.9)
        many = known[task].likely(LIKELY) if doubles[task] and len(calls[task]) >= MANY else ()
        rules[task] = HedgeRule(after, 1, alike, many)
    return rules


class _WaitsForTheJournal(VirtualTimeLoop):
    """Virtual time that stands while the journal's thread may be about to say something."""

    def __init__(self) -> None:
        super().__init__()
        selector = self._selector
        jump = selector.select

        def select(timeout: float | None = None) -> list[Any]:
            nothing_else = timeout is not None and timeout > LONGEST
            patience = None if nothing_else else PATIENCE
            ready = selectors.DefaultSelector.select(selector, patience) if timeout else []
            return ready or jump(timeout)

        selector.select = select


def through_the_program(number: int, family: Family, runs: int, folder: Path) -> list[Foretold]:
    """As `forecasts_of`, by the program itself: what its history says of run 2 to `runs` + 1."""
    dice = Random(number)
    graph, workers = random_graph(dice), dice.choice((2, 3, 4, 8))
    means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(len(graph))]
    file, choice = folder / f"pipeline-{number}.yaml", model_choice(())
    with Store.open(folder / f"store-{number}", durability="normal") as store:
        for _ in range(runs + 1):
            file.write_text(_as_yaml(graph, workers, [mean * family(dice) for mean in means]), encoding="utf-8")
            compiled = bind(load_file(str(file), choice), choice, None)
            options = RunOptions({}, "critical-path", believed(compiled, store), environment={}, store=store)
            with asyncio.Runner(loop_factory=_WaitsForTheJournal) as runner:
                runner.run(execute(compiled, options))
        return list(foretold(store))


def _as_yaml(graph: Graph, workers: int, durations: Sequence[float]) -> str:
    names = [name.replace("-", "_") for name in graph.names]
    truth = ", ".join(f"{name}: {duration:.6f}s" for name, duration in zip(names, durations, strict=True))
    tasks = [
        f"  {name}: {{prompt: x, depends_on: [{', '.join(names[d] for d in sorted(deps))}]}}"
        for name, deps in zip(names, graph.dependencies, strict=True)
    ]
    provider = f"providers: {{sim: {{kind: simulated, workers: {workers}, durations: {{{truth}}}}}}}"
    return "\n".join([provider, "defaults: {model: sim/any}", "tasks:", *tasks, ""])


def say_how_the_program_does(pipelines: int, runs: int) -> None:
    """The table of `stats --calibration` over all pipelines, by how many runs were learned from."""
    execution.TICK = NOBODY_WATCHES
    names = list(FAMILIES)
    with TemporaryDirectory() as folder:
        told = [through_the_program(i, FAMILIES[names[i % len(names)]], runs, Path(folder)) for i in range(pipelines)]
    rows = []
    for k in [k for k in SHOWN if k <= runs]:
        found = scores([t[k - 1] for t in told])
        of = {score.what: score.found for score in found if not score.pipeline}
        rows.append([f"{k}", *(f"{share:.1%}" for share in (of["time"].coverage, of["time"].below, of["time"].above))])
    print_table(f"{pipelines} pipelines run by the program", ["runs learned from", "within", "below", "above"], rows)
    print(render_scores([score for score in scores(one for t in told for one in t) if not score.pipeline]))


def say_how_hedged_runs_do(pipelines: int, runs: int) -> None:
    """Forecasts of runs with second calls: knowing of them, and as if there were none."""
    names, rows = list(FAMILIES), []
    ways = [
        [hedged_forecasts_of(i, FAMILIES[names[i % len(names)]], runs, draws=60, known=known) for i in range(pipelines)]
        for known in (True, False)
    ]
    for k in [k for k in SHOWN if 1 < k <= runs]:
        found = [calibration([each[k - 1] for each in told]) for told in ways]
        rows.append(
            [f"{k}", *(cell for c in found for cell in (f"{c.coverage:.1%}", f"{c.below:.1%}", f"{c.bias:+.3f}"))]
        )
    head = ["runs learned from", "within", "below", "off by", "not knowing: within", "below", "off by"]
    print_table(f"Runs with second calls, {pipelines} pipelines", head, rows)


def _cells(found: Calibration) -> list[str]:
    return [f"{found.coverage:.1%}", f"{found.score:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="ten pipelines, five runs: to see that it works")
    parser.add_argument("--program", action="store_true", help="run them by the program itself, on virtual time")
    parser.add_argument("--tides", type=float, default=0.0, metavar="SD", help="how far runs are off as a whole")
    parser.add_argument("--hedged", action="store_true", help="runs with second calls, foretold with and without them")
    options = parser.parse_args()
    pipelines, runs = (10, 5) if options.quick else (options.pipelines, options.runs)
    say_machine()
    if options.hedged:
        say_how_hedged_runs_do(pipelines, runs)
        return
    if options.program:
        say_how_the_program_does(pipelines, runs)
        return
    began = process_time()
    names = list(FAMILIES)
    told = [forecasts_of(i, FAMILIES[names[i % len(names)]], runs, tides=options.tides) for i in range(pipelines)]
    rows = []
    for k in [k for k in SHOWN if k <= runs]:
        raw = [t[k - 1] for t in told]
        own = [(Correction.of(t[: k - 1]).applied(t[k - 1][0]), t[k - 1][1]) for t in told]
        past = Correction.of([t[k - 2] for t in told]) if k > 1 else Correction()
        pooled = [(past.applied(interval), truth) for interval, truth in raw]
        rows.append([f"{k}", *(cell for each in (raw, own, pooled) for cell in _cells(calibration(each)))])
    head = ["runs learned from", "as foretold", "score", "corrected", "score", "pooled", "score"]
    print_table(f"Truths within P10–P90, {pipelines} pipelines, one forecast of each", head, rows)
    by_family: dict[str, list[int]] = defaultdict(list)
    for i in range(pipelines):
        by_family[names[i % len(names)]].append(i)
    rows = []
    for family, members in by_family.items():
        raw = [pair for i in members for pair in told[i][2:]]
        own = [
            (Correction.of(told[i][:k]).applied(told[i][k][0]), told[i][k][1])
            for i in members
            for k in range(2, len(told[i]))
        ]
        rows.append([family, str(len(raw)), *_cells(calibration(raw)), *_cells(calibration(own))])
    head = ["truth", "forecasts", "as foretold", "score", "corrected", "score"]
    print_table("By family, from the third run on", head, rows)
    every = calibration([pair for t in told for pair in t[2:]])
    print(f"\nall: below P10 {every.below:.1%}, above P90 {every.above:.1%}, log(truth / P50) {every.bias:+.3f}")
    print(f"{fmean(len(t) for t in told):.0f} forecasts per pipeline; {process_time() - began:.0f} s CPU")


if __name__ == "__main__":
    main()
