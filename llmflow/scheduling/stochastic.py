"""The policy `stochastic`: think only where thinking can pay, and say what came of it.

Where every duration is certain, the critical path's order is improved by search (`improve`); where
durations are uncertain, a portfolio of orders is tried on common sampled durations (`portfolio`).
Where that search cannot go (items still to come, authors' priorities) some ranks are tried on the
dispatcher itself (`trial`); where all is certain, nothing is chosen that a plain order beats (`fallback`).
Each has a budget of CPU time, by default a share of the run that no one notices. Where the budget
does not suffice, or there is nothing to go by, the critical path on expected durations stands.

A plan may let a worker idle on purpose, which no order of priorities can express. It is followed (see
`idling`) only where every duration is all but certain and the simulated runs say that it pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from llmflow.scheduling.bounds import capped_lower_bound
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.fallback import no_longer
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.idle_plan import near_certain, where_it_pays
from llmflow.scheduling.improve import Plan, in_order, plan
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.list_schedule import list_schedule, ranked
from llmflow.scheduling.plain_orders import PLAIN
from llmflow.scheduling.pool_ranks import pool_ranks
from llmflow.scheduling.portfolio import SAMPLES, Choice, Evidence, choose
from llmflow.scheduling.setting import CRITICAL_PATH, STOCHASTIC, Decision, Expansion, Setting
from llmflow.scheduling.spread import PREDICTABLE, predicted_cv, with_spread
from llmflow.scheduling.trial import stage_orders, try_out

MEAN_PLUS_SD = "mean-plus-sd"
"""The longest path on mean + 1 standard deviation; the portfolio knows it by the same name."""

PLANNER = (0.1, 0.001)
"""Default budget of the search for a plan: at most so many seconds, and such a share of the predicted makespan."""

CHOOSER = (0.3, 0.01)
"""Default budget of the portfolio, likewise."""

PACE = 0.5e-6
"""Seconds of one list schedule per task on a fast machine: what cannot fit even there is not begun."""

FOR_IDLING = 0.15
"""The share of a budget that is left for finding out whether keeping workers free pays."""

FIRST_PLAN = 30e-6
"""Seconds per task before the search for a plan has anything to show."""


def decide(setting: Setting) -> Decision:
    """The best order that the budget finds (see `Setting`); where all is certain no plain order beats it."""
    reference = upward_ranks(setting.graph, setting.means)

    def critical_path(reason: str) -> Decision:
        return Decision(STOCHASTIC, CRITICAL_PATH, reference, reason)

    if not _contested(setting):
        return critical_path("there is a worker for every task: the order does not matter")
    if setting.budget_s is not None and setting.budget_s <= 0:
        return critical_path("no time to search was given")
    holding = [e for e, pool in zip(setting.estimates, setting.pools, strict=True) if pool >= 0 and e.mean]
    if all(e.source == "default" for e in holding):
        return critical_path("no history: the shape of the graph decides")
    beliefs = with_spread(setting.estimates)
    if setting.grows or len(set(setting.urgencies)) > 1:
        found = _tried(setting, beliefs, reference)
    else:
        found = _searched(setting, beliefs, reference) or critical_path("a search would cost more than it can save")
    return found if any(e.sd for e in beliefs) else no_longer(found, setting)


def _searched(setting: Setting, beliefs: Sequence[Estimate], reference: list[float]) -> Decision | None:
    """What there is time for: the portfolio where anything is uncertain, the search for a plan; else None."""
    machine = _machine(setting)
    found = _chosen(setting, beliefs, machine) if any(e.sd for e in beliefs) else None
    if found is None and predicted_cv(beliefs) < PREDICTABLE:
        found = _planned(setting, reference, machine)
    return found


class _Machine(NamedTuple):
    """Workers per pool, the pool of each task, and how many may work at once, 0 = all of them."""

    workers: list[int]
    pool_of: list[int]
    cap: int

    def further(self, setting: Setting) -> list[list[float]]:
        """From where a search sets out as well: no order alone sees what the pools take from each other under a cap."""
        if not self.cap:
            return []
        plain = [rank(setting) for _, rank in PLAIN.values()]
        return [*pool_ranks(setting.graph, setting.means, self.pool_of, self.workers, self.cap).values(), *plain]


def _machine(setting: Setting) -> _Machine:
    """The run's cap is worked into the pools where they can express it."""
    workers, pool_of, cap = list(setting.workers), list(setting.pools), setting.cap
    used = {pool for pool in pool_of if pool >= 0}
    if not cap or (all(workers[pool] for pool in used) and sum(workers[pool] for pool in used) <= cap):
        return _Machine(workers, pool_of, 0)
    if len(used) <= 1:
        return _Machine([min(w or cap, cap) for w in workers], pool_of, 0)
    if any(0 < workers[pool] < cap for pool in used):
        return _Machine(workers, pool_of, cap)
    return _Machine([cap], [min(pool, 0) for pool in pool_of], 0)


def _contested(setting: Setting) -> bool:
    """Some pool, or the run as a whole, may have fewer workers than tasks; of items nobody counts there are many."""
    if setting.grows and setting.expansion is None:
        return bool(setting.cap) or any(setting.workers[pool] for pool in setting.pools if pool >= 0)
    counts = [0] * len(setting.workers)
    for stage in setting.expansion.stages if setting.expansion else range(len(setting.graph)):
        if setting.pools[stage] >= 0:
            counts[setting.pools[stage]] += 1
    short = any(0 < n < count for n, count in zip(setting.workers, counts, strict=True))
    return short or 0 < setting.cap < sum(counts)


def _budget(setting: Setting, default: tuple[float, float], bound: Callable[[], float]) -> float:
    """Real seconds; `bound` of the makespan, in seconds of the run."""
    if setting.budget_s is not None:
        return setting.budget_s
    most, share = default
    # The bound stands for the predicted makespan: no schedule is made only to find out how long one may take.
    return min(most, share * bound() / setting.speed)


def _length(setting: Setting, machine: _Machine) -> float:
    workers, pool_of, cap = machine
    return capped_lower_bound(setting.graph, setting.means, pool_of, workers, cap, interval=False).value


def _tried(setting: Setting, beliefs: Sequence[Estimate], reference: list[float]) -> Decision:
    """Where the search cannot go: the best of some ranks by stage, on sampled runs with the items that are expected."""
    risky = upward_ranks(setting.graph, [e.mean + e.sd for e in beliefs])
    expansion = setting.expansion
    if expansion is None:
        if setting.grows:
            # On its own it was never worse than the means, and better where some tasks are riskier.
            return Decision(STOCHASTIC, MEAN_PLUS_SD, risky, "too many items to try: one rank for all of a task")
        expansion = Expansion(setting.graph, range(len(setting.graph)))
    expected = [beliefs[stage] for stage in expansion.stages]
    pool_of = [setting.pools[stage] for stage in expansion.stages]
    budget = _budget(
        setting,
        CHOOSER,
        lambda: (
            capped_lower_bound(
                expansion.graph, [e.mean for e in expected], pool_of, setting.workers, setting.cap, interval=False
            ).value
        ),
    )
    counts = [0] * len(setting.graph)
    for stage in expansion.stages:
        counts[stage] += 1
    sizes = [setting.workers[pool] or setting.cap if pool >= 0 else 0 for pool in setting.pools]
    orders = stage_orders(setting.graph, beliefs, sizes, counts)
    choice = try_out(
        machine_of(
            expansion.graph,
            setting.workers,
            pool_of,
            cap=setting.cap,
            urgencies=[setting.urgencies[stage] for stage in expansion.stages] if setting.urgencies else (),
        ),
        {name: [order[stage] for stage in expansion.stages] for name, order in orders.items()},
        expected,
        seed=setting.seed,
        budget_s=budget,
        clock=setting.clock,
    )
    if not choice.samples:
        if setting.grows:
            return Decision(STOCHASTIC, MEAN_PLUS_SD, risky, "no time to try the items: one rank for all of a task")
        return Decision(STOCHASTIC, CRITICAL_PATH, reference, "a search would cost more than it can save")
    return Decision(STOCHASTIC, choice.policy, orders[choice.policy], _verdict(choice), choice.evidence, choice.samples)


def _verdict(choice: Choice) -> str:
    """What the trial has shown, in words."""
    runs = f"over {choice.samples} sampled runs" if choice.samples > 1 else "as planned"
    if choice.policy == CRITICAL_PATH:
        doubt = "by 2 standard errors " if choice.samples > 1 else ""
        return f"no order beat the critical path {doubt}{runs}"
    found = next(e for e in choice.evidence if e.policy == choice.policy)
    gain = -100 * found.difference / (found.mean - found.difference)
    return f"{gain:.2g} % shorter than the critical path {runs}"


def _chosen(setting: Setting, beliefs: Sequence[Estimate], machine: _Machine) -> Decision | None:
    budget = _budget(setting, CHOOSER, lambda: _length(setting, machine))
    if budget < 2 * SAMPLES * PACE * len(setting.graph):
        return None
    began = setting.clock()
    near = setting.may_idle and near_certain(beliefs)
    choice = choose(
        setting.graph,
        beliefs,
        machine.workers,
        seed=setting.seed,
        budget_s=budget * (1 - FOR_IDLING) if near else budget,
        clock=setting.clock,
        pool_of=machine.pool_of,
        cap=machine.cap,
        begin=machine.further(setting),
        iterations=setting.iterations,
    )
    if not choice.samples:
        return None
    priorities = _without_ties(choice.priorities)
    decision = Decision(STOCHASTIC, choice.policy, priorities, _verdict(choice), choice.evidence, choice.samples)
    if near and choice.plan is not None:
        ends = began + budget
        return where_it_pays(decision, choice.plan, setting, *machine, beliefs, lambda: setting.clock() < ends)
    return decision


def _planned(setting: Setting, reference: list[float], machine: _Machine) -> Decision | None:
    graph, means = setting.graph, setting.means
    workers, pool_of, cap = machine
    budget = _budget(setting, PLANNER, lambda: _length(setting, machine))
    if budget < FIRST_PLAN * len(graph):
        return None
    began = setting.clock()
    first = list_schedule(graph, means, reference, workers, pool_of, cap=cap).makespan
    found = plan(
        graph,
        means,
        workers,
        budget_s=budget * (1 - FOR_IDLING) if setting.may_idle else budget,
        seed=setting.seed,
        clock=setting.clock,
        pool_of=pool_of,
        cap=cap,
        begin=machine.further(setting),
        iterations=setting.iterations,
    )
    decision = _in_words(found, first, reference)
    if not setting.may_idle:
        return decision
    ends = began + budget
    return where_it_pays(decision, found, setting, *machine, setting.estimates, lambda: setting.clock() < ends)


def _in_words(found: Plan, first: float, reference: list[float]) -> Decision:
    """The plan's best order beside the critical path `reference`, which takes `first`."""
    length, name = found.greedy_makespan, found.method.replace(" ", "-")
    evidence = [Evidence(CRITICAL_PATH, first, 0.0, 0.0)]
    if name != CRITICAL_PATH:
        evidence.append(Evidence(name, length, length - first, 0.0))
    if name != CRITICAL_PATH and length < first * (1 - 1e-9):
        proved = "; no schedule is shorter" if length <= found.bound.value * (1 + 1e-9) else ""
        reason = f"{100 * (first - length) / first:.2g} % shorter than the critical path as planned{proved}"
        return Decision(STOCHASTIC, name, found.greedy, reason, tuple(evidence), 1)
    if first <= found.bound.value * (1 + 1e-9):
        reason = "the critical path meets the lower bound: no schedule is shorter"
    else:
        reason = f"no order was found that is shorter than the critical path, in {found.iterations:,} tries"
    return Decision(STOCHASTIC, CRITICAL_PATH, _without_ties(reference), reason, tuple(evidence), 1)


def _without_ties(priorities: Sequence[float]) -> list[float]:
    """The order that a search means by these: it lets ties go by id, a dispatcher by who was ready first."""
    return in_order(ranked(priorities))
