"""Drives a scheduler with all that can go wrong, for tests: failures, retries, stops, stale reports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from random_graphs import Scenario, random_scenario

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.hedging import HedgeRule, Hedging
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.rules import RULES
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.state import RunState
from llmflow.scheduling.tasks import RetryPolicy

KINDS = list(FailureKind)
NONSENSE = (None, None, None, 0.0, -1.0, 2.0, 299.0, 1e9, float("nan"), float("inf"))
"""What the other side may say in `Retry-After`."""


def snapshot(state: RunState) -> dict[str, Any]:
    """Everything a state holds, comparable; NaN equals NaN."""
    skipped = {"_apply", "graph", "released"}
    values = {name: getattr(state, name) for name in RunState.__slots__ if name not in skipped}
    return {name: value.tobytes() if hasattr(value, "tobytes") else value for name, value in values.items()}


def fold(scenario: Scenario, story: list[ev.Event]) -> RunState:
    state = RunState(scenario.graph)
    for event in story:
        state.apply(event)
    return state


@dataclass(slots=True)
class ChaosRun:
    scenario: Scenario
    scheduler: Scheduler
    story: list[ev.Event]
    stale: int
    """How many reports about things that were over were made."""


def difficult(seed: int) -> Scenario:
    """A random scenario with every rule, model lists, accepted failures and short tempers."""
    dice = Random(-seed - 1)
    scenario = random_scenario(seed)
    pools = range(len(scenario.pools))
    retries = [
        RetryPolicy(dice.randint(1, 3), initial=dice.choice((0.0, 1.0)), jitter=dice.random() < 0.5) for _ in "ab"
    ]
    specs = []
    for spec in scenario.specs:
        models = tuple(dice.choice(pools) for _ in range(dice.randint(1, 3)))
        specs.append(
            replace(
                spec,
                pools=spec.pools if spec.pools[0] == CONTROL else models,
                rule=dice.choice(("all_success", *RULES)),
                retry=dice.choice(retries),
                priority=dice.choice((0, 0, 3)),
                accepts_failure=dice.random() < 0.2,
            )
        )
    return replace(scenario, specs=specs)


def generous(scenario: Scenario, seed: int) -> Hedging:
    """Every call may be doubled after a while, some more than once; now and then nothing bounds it."""
    dice = Random(f"{seed} hedging")
    rules = {
        stage: HedgeRule(dice.choice((0.25, 0.25, 7.0)), dice.randint(1, 2))
        for stage, spec in enumerate(scenario.specs)
        if spec.pools[0] != CONTROL and dice.random() < 0.9
    }
    counted = [spec.pools[0] != CONTROL for spec in scenario.specs]
    ranks = [dice.random() for _ in counted]
    return Hedging(rules, ranks, [0.0] * len(counted), counted, dice.choice((0.5, 9.0, 9.0)))


def chaotic_run(seed: int, *, hedged: bool = False) -> ChaosRun:
    """Reports that could really come, in an order that could really be, with stale ones thrown in."""
    dice = Random(seed)
    scenario = difficult(seed)
    scheduler = Scheduler(
        scenario.graph,
        scenario.specs,
        scenario.pools,
        scenario.priorities,
        workers=scenario.workers,
        fail_fast=dice.random() < 0.1,
        seed=seed,
        hedging=generous(scenario, seed) if hedged else None,
    )
    run = ChaosRun(scenario, scheduler, [], 0)
    mood = dice.choice((0.05, 0.3, 0.8))
    stop_after = dice.choice((None, None, dice.randint(0, 60)))
    started: dict[int, ev.AttemptStarted] = {}
    timers: dict[int, ev.TimerSet] = {}
    over: list[ev.Reported] = []
    at = 0.0
    reports: list[ev.Reported] = [ev.RunStarted(0.0)]
    for step in range(100_000):
        decided = scheduler.handle(*reports)
        run.story += decided
        started |= {e.attempt: e for e in decided if isinstance(e, ev.AttemptStarted)}
        timers |= {e.timer: e for e in decided if isinstance(e, ev.TimerSet)}
        if scheduler.state.finished:
            return run
        at += dice.choice((0.0, 0.25, 7.0))
        if not started and timers:
            at = max(at, min(timer.due for timer in timers.values()))
        reports = []
        ending = 0 if hedged and dice.random() < 0.5 else dice.randint(1, 4)
        for attempt in dice.sample(sorted(started), min(len(started), ending)):
            reports.append(_end(dice, mood, at, started.pop(attempt), scenario))
        for timer in [t for t, event in timers.items() if event.due <= at]:
            reports.append(ev.TimerFired(at, timer))
            del timers[timer]
        if scheduler.state.alarm <= at:
            reports.append(ev.AlarmRang(at))
        if stop_after is not None and step >= stop_after and dice.random() < 0.5:
            reports.append(ev.StopRequested(at, "SIGINT", dice.choice(("drain", "cancel"))))
        if over and dice.random() < 0.3:
            run.stale += 1
            reports.append(dice.choice(over)._replace(at=at))
        dice.shuffle(reports)
        over += [report for report in reports if not isinstance(report, ev.StopRequested)]
        if not reports:
            reports = [ev.TimerFired(at, -1)]
    raise AssertionError(f"{scenario.name} does not end")


def _end(dice: Random, mood: float, at: float, started: ev.AttemptStarted, scenario: Scenario) -> ev.Reported:
    task, attempt = started.task, started.attempt
    if dice.random() < mood:
        if dice.random() < 0.1:
            return ev.AttemptCancelled(at, task, attempt)
        kind = dice.choice(KINDS)
        return ev.AttemptFailed(at, task, attempt, kind, "no", dice.choice(NONSENSE), dice.random() < 0.9)
    if not started.number:
        return ev.AttemptSucceeded(at, task, attempt, dice.choice(("proceed", "proceed", "skip")))
    return ev.AttemptSucceeded(at, task, attempt, "again" if dice.random() < 0.1 else "done")
