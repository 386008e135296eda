"""What second calls for stragglers are worth, and what they cost: simulated, then for real over HTTP.

    python -m bench.hedging FOLDER [--every K] [--draws D] [--runs R] [--only simulated|real] [--quick]

Simulated: the Standard Task Graphs of up to 100 tasks below FOLDER on 8 and 16 workers and without a
cap, each under the critical path on means. Every task's distribution was learned from 200 samples; a
call may be doubled at its ninth decile, on a worker with nothing to do, and 8 % more calls are the most.
Both runs of a pair meet the same first calls; what one run leaves over helps the next, as in a history.
The regimes:

    stragglers   one call in twenty takes six times as long, whoever is asked; CV .2 else
    CV 1         log-normal, a second call is drawn independently
    half alike   the same, half of the logarithm's variance is common to both calls
    95 % alike   the same, 95 % of it is common; how alike they are is learned from the doubles of
                 earlier runs, as a run learns it from its history, before anything is measured

Real: one of these graphs through the whole program on 16 workers, against the fake server of the tests,
which speaks the openai protocol on loopback; each request is delayed by the task's own time and dice, one
in twenty by six times as much. Two pipelines that differ in `hedge` alone, with histories of their own
of --learning runs, take turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, sqrt
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fake_server import FakeServer, Reply, prompt_of  # noqa: E402 - from the tests, which are no package

from bench.instances import Instance, stg  # noqa: E402
from bench.measuring import say_machine  # noqa: E402
from llmflow.binding.api import run  # noqa: E402
from llmflow.scheduling import events as ev  # noqa: E402
from llmflow.scheduling.doubles import (  # noqa: E402
    TOO_ALIKE,
    Double,
    Durations,
    Took,
    correlation,
    evidence,
    together,
)
from llmflow.scheduling.estimates import Estimate  # noqa: E402
from llmflow.scheduling.graph import upward_ranks  # noqa: E402
from llmflow.scheduling.hedging import CARRIED_AT_MOST, EXTRA, HedgeRule, Hedging  # noqa: E402
from llmflow.scheduling.pools import PoolSpec  # noqa: E402
from llmflow.scheduling.simulate import Simulation, simulate  # noqa: E402
from llmflow.scheduling.statistics import quantile  # noqa: E402
from llmflow.scheduling.tasks import TaskSpec  # noqa: E402

SAMPLES = 200
"""Calls that a task's distribution was learned from."""

SIGMA = sqrt(log(2.0))
"""Of the logarithm, at a coefficient of variation of 1."""

Pair = Callable[[float, Random], tuple[float, float]]
"""(mean, dice) → how long the first call of a task takes, and a second one."""


def _straggling(mean: float, dice: Random) -> tuple[float, float]:
    usual, sigma = mean / 1.25, sqrt(log(1.04))

    def once() -> float:
        return usual * exp(sigma * dice.gauss(0.0, 1.0) - sigma**2 / 2) * (6.0 if dice.random() < 0.05 else 1.0)

    return once(), once()


def _alike(share: float) -> Pair:
    def pair(mean: float, dice: Random) -> tuple[float, float]:
        common = sqrt(share) * dice.gauss(0.0, 1.0)
        first, second = (common + sqrt(1 - share) * dice.gauss(0.0, 1.0) for _ in range(2))
        return mean * exp(SIGMA * first - SIGMA**2 / 2), mean * exp(SIGMA * second - SIGMA**2 / 2)

    return pair


REGIMES: dict[str, Pair] = {
    "stragglers": _straggling,
    "CV 1": _alike(0.0),
    "half alike": _alike(0.5),
    "95 % alike": _alike(0.95),
}
LEARNED = "95 % alike"
"""The regime in which it is learned first how alike two calls are."""


@dataclass
class Seen:
    """Pairs of runs on one instance: makespans without and with second calls."""

    plain: list[float] = field(default_factory=list)
    hedged: list[float] = field(default_factory=list)
    calls: int = 0
    extra: int = 0

    @property
    def mean(self) -> float:
        return sum(self.hedged) / sum(self.plain)

    @property
    def p95(self) -> float:
        return quantile(sorted(self.hedged), 0.95) / quantile(sorted(self.plain), 0.95)


class Case:
    """One instance in one regime. Tasks that take no time (the dummies at both ends) make no call."""

    def __init__(self, case: Instance, pair: Pair, seed: int) -> None:
        self.graph, self.pools = case.graph, [PoolSpec("p", case.workers)]
        self.pair, self.dice = pair, Random(seed)
        self.means = case.durations
        call, nothing = TaskSpec(pools=(0,)), TaskSpec()
        self.specs = [call if mean else nothing for mean in case.durations]
        self.calls = sum(1 for mean in case.durations if mean)
        self.learned = [
            Durations.of([Took(pair(mean, self.dice)[0]) for _ in range(SAMPLES)]) if mean else None
            for mean in case.durations
        ]
        believed = [Estimate.of(known.seconds).mean if known is not None else 0.0 for known in self.learned]
        self.believed = believed
        self.ranks = upward_ranks(self.graph, believed)
        self.doubles: dict[int, list[Double]] = {}

    def rules(self) -> Hedging:
        """As a run makes them of its history: none for tasks whose second calls were as slow as the first."""
        own = {
            task: evidence(self.doubles.get(task, ()), known)
            for task, known in enumerate(self.learned)
            if known is not None
        }
        everyone = together(own.values())
        rules = {}
        for task, known in enumerate(self.learned):
            if known is not None and correlation(own[task], everyone.without(own[task])) <= TOO_ALIKE:
                after = known.quantile(0.9)
                assert after is not None
                rules[task] = HedgeRule(after)
        return Hedging(rules, self.ranks, self.believed, [bool(mean) for mean in self.means], EXTRA)

    def run(self, rules: Hedging | None, first: Sequence[float], second: Sequence[float]) -> Simulation:
        return simulate(
            self.graph, self.specs, self.pools, first, self.ranks, hedging=rules, second=second if rules else ()
        )

    def drawn(self) -> tuple[list[float], list[float]]:
        pairs = [self.pair(mean, self.dice) if mean else (0.0, 0.0) for mean in self.means]
        return [first for first, _ in pairs], [second for _, second in pairs]

    def measure(self, draws: int) -> Seen:
        seen, rules, left = Seen(), self.rules(), 0.0
        for _ in range(draws):
            first, second = self.drawn()
            carried = max(-CARRIED_AT_MOST, min(CARRIED_AT_MOST, left))
            hedged = self.run(replace(rules, carried=carried), first, second)
            left += EXTRA * self.calls - copies_of(hedged.story)
            seen.plain.append(self.run(None, first, second).makespan)
            seen.hedged.append(hedged.makespan)
            seen.calls += self.calls
            seen.extra += copies_of(hedged.story)
        return seen

    def learn(self, most: int) -> tuple[int, int]:
        """Hedge until it is known that it does not help: (runs, second calls) that took, at most so many runs."""
        extra = 0
        for done in range(most):
            rules = self.rules()
            if not rules.rules:
                return done, extra
            first, second = self.drawn()
            found = doubles_of(self.run(rules, first, second).story)
            extra += sum(map(len, found.values()))
            for task, doubles in found.items():
                self.doubles.setdefault(task, []).extend(doubles)
        return most, extra


def copies_of(story: Sequence[ev.Event]) -> int:
    """How many calls were made beside another of the same attempt."""
    return sum(map(len, doubles_of(story).values()))


def doubles_of(story: Sequence[ev.Event]) -> dict[int, list[Double]]:
    """Task → its attempts that had two calls, as a history keeps them."""
    begun: dict[int, list[ev.AttemptStarted]] = {}
    ended: dict[int, Took] = {}
    started: dict[int, float] = {}
    for event in story:
        if isinstance(event, ev.AttemptStarted) and event.pool >= 0:
            begun.setdefault(event.task, []).append(event)
            started[event.attempt] = event.at
        elif isinstance(event, ev.AttemptSucceeded | ev.AttemptCancelled) and event.attempt in started:
            cut_off = isinstance(event, ev.AttemptCancelled)
            ended[event.attempt] = Took(event.at - started[event.attempt], cut_off)
    return {
        task: [Double(calls[1].at - calls[0].at, ended[calls[0].attempt], ended[calls[1].attempt])]
        for task, calls in begun.items()
        if len(calls) == 2
    }


def simulated(folder: Path, every: int, draws: int, seed: int) -> dict[str, Any]:
    chosen = [case for case in stg(folder, (8, 16, 0)) if len(case.graph) <= 102]
    results: dict[str, Any] = {}
    for name, pair in REGIMES.items():
        seen: dict[str, list[Seen]] = {"8": [], "16": [], "unlimited": []}
        learning = []
        for i, instance in enumerate(chosen[::every]):
            case = Case(instance, pair, seed * 1000 + i)
            if name == LEARNED:
                learning.append(case.learn(200))
            seen[str(instance.workers or "unlimited")].append(case.measure(draws))
        everyone = [one for group in seen.values() for one in group]
        for workers, group in {**seen, "all": everyone}.items():
            if group:
                results[f"{name}, {workers}"] = figures(group)
                tell(name, workers, group)
        if learning:
            runs, extra = (sum(column) / len(learning) for column in zip(*learning, strict=True))
            results["learning"] = {"runs": runs, "second_calls": extra, "most_runs": max(r for r, _ in learning)}
            print(f"    learned after {runs:.1f} runs and {extra:.0f} second calls on average", flush=True)
    return results


def figures(group: Sequence[Seen]) -> dict[str, float]:
    return {
        "instances": len(group),
        "mean": sum(one.mean for one in group) / len(group),
        "p95": sum(one.p95 for one in group) / len(group),
        "worst_mean": max(one.mean for one in group),
        "extra": sum(one.extra for one in group) / sum(one.calls for one in group),
        "most_extra": max(one.extra / one.calls for one in group),
    }


def tell(regime: str, workers: str, group: Sequence[Seen]) -> None:
    f = figures(group)
    print(
        f"| {regime:12} | {workers:>9} | {f['instances']:>3} | {f['mean']:.3f} | {f['p95']:.3f} | "
        f"{f['worst_mean']:.3f} | {100 * f['extra']:.1f} % | {100 * f['most_extra']:.1f} % |",
        flush=True,
    )


# ---- for real -------------------------------------------------------------------------------------

HEAD = """\
name: {name}
providers: {{fake: {{kind: openai, base_url: "{url}", workers: 16}}}}
defaults: {{model: fake/fake-large}}
inputs: {{salt: {{}}}}
tasks:
"""


class Straggling(FakeServer):
    """Delays a request by the milliseconds that its prompt begins with and dice, one in twenty by six times that."""

    def __init__(self, seed: int) -> None:
        super().__init__(log=False)
        self.dice = Random(seed)

    def reply_to(self, path: str, body: Any) -> Reply:
        usual = float(prompt_of(body).partition(" ")[0]) / 1000
        return replace(super().reply_to(path, body), latency=_straggling(usual, self.dice)[0])


def pipeline(folder: Path, case: Instance, name: str, url: str, hedge: bool, scale: float) -> Path:
    """The graph as a pipeline: each task quotes how long the answers before it were."""
    text = HEAD.format(name=name, url=url)
    for task, mean in enumerate(case.durations):
        quoted = " ".join(f"{{{{ tasks.t{d}.output | length }}}}" for d in case.graph.dependencies[task])
        if mean:
            more = ", hedge: true" if hedge else ""
            text += f'  t{task}: {{prompt: "{1000 * scale * mean:.0f} {{{{ inputs.salt }}}} {task} {quoted}"{more}}}\n'
        else:
            text += f'  t{task}: {{value: "{quoted}"}}\n'
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def really(case: Instance, runs: int, learning: int, seed: int, seconds: float) -> dict[str, Any]:
    """Pairs of runs whose longest chain takes so many seconds on means."""
    scale = seconds / max(upward_ranks(case.graph, case.durations))
    seen, won = Seen(), 0
    with tempfile.TemporaryDirectory() as scratch, Straggling(seed) as server:
        folder = Path(scratch)
        names = ("plain", "hedged")
        files = [pipeline(folder, case, name, server.openai_url, name == "hedged", scale) for name in names]
        for k in range(learning + runs):
            results = [run(file, {"salt": f"{k}"}, store=folder / "store") for file in files]
            assert all(result.status == "succeeded" for result in results)
            if k >= learning:
                plain, hedged = results
                seen.plain.append(plain.summary.makespan)
                seen.hedged.append(hedged.summary.makespan)
                seen.calls += sum(1 for mean in case.durations if mean)
                seen.extra += hedged.document["second_calls"]["made"]
                won += hedged.document["second_calls"]["answered_first"]
    f = figures([seen])
    plain, hedged = (sum(values) / runs for values in (seen.plain, seen.hedged))
    print(
        f"{runs} pairs of real runs of {case.name}, {seen.calls // runs} calls: {plain:.2f} s without, {hedged:.2f} s "
        f"with second calls: mean {f['mean']:.3f}, p95 {f['p95']:.3f}, {100 * f['extra']:.1f} % extra calls, "
        f"{won} of {seen.extra} answered first"
    )
    return {**f, "graph": case.name, "pairs": runs, "plain": plain, "hedged": hedged, "won": won}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--every", type=int, default=10, help="take every K-th instance of up to 100 tasks")
    arguments.add_argument("--draws", type=int, default=100)
    arguments.add_argument("--only", choices=("simulated", "real"))
    arguments.add_argument("--graph", default="100/rand0030", help="of the real runs")
    arguments.add_argument("--runs", type=int, default=60, help="pairs of real runs that are measured")
    arguments.add_argument("--learning", type=int, default=30, help="pairs of real runs before them")
    arguments.add_argument("--seconds", type=float, default=3.0, help="the longest chain of a real run")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--quick", action="store_true", help="a tiny run that only shows that it works")
    given = arguments.parse_args()
    say_machine()
    result: dict[str, Any] = {"bench": "hedging", "draws": 3 if given.quick else given.draws}
    if given.only != "real":
        print("with second calls ÷ without: mean and 95th percentile of the makespan, on the worst instance, calls")
        print("| regime | workers | instances | mean | p95 | worst mean | extra calls | most |")
        print("|---|---|---|---|---|---|---|---|")
        result["simulated"] = simulated(given.folder, given.every, result["draws"], given.seed)
    if given.only != "simulated":
        cases = [case for case in stg(given.folder, (16,)) if len(case.graph) <= 102]
        case = next((case for case in cases if case.name == given.graph), cases[0])
        if given.quick:
            result["real"] = really(case, 2, 3, given.seed, 0.05)
        else:
            result["real"] = really(case, given.runs, given.learning, given.seed, given.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
