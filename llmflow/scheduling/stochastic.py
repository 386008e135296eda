"""The policy `stochastic`: think only where thinking can pay, and say what came of it.

Where every duration is certain, the critical path's order is improved by search (`improve`); where
durations are uncertain, a portfolio of orders is tried on common sampled durations (`portfolio`).
Where that search cannot go (items still to come, authors' priorities, a cap over unlike pools) some ranks
are tried on the dispatcher itself (`trial`).
Each has a budget of CPU time, by default a share of the run that no one notices. Where the budget
does not suffice, or there is nothing to go by, the critical path on expected durations stands.

A plan may let a worker idle on purpose, which no order of priorities can express. It is followed (see
`idling`) only where every duration is all but certain and the simulated runs say that it pays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmflow.scheduling.bounds import pooled_lower_bound
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.idle_plan import near_certain, where_it_pays
from llmflow.scheduling.improve import Plan, in_order, plan
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.list_schedule import list_schedule, ranked
from llmflow.scheduling.pools import CONTROL
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
    """The best order that the budget finds; see `Setting` for what bounds it."""
    graph, means = setting.graph, setting.means
    reference = upward_ranks(graph, means)

    def critical_path(reason: str) -> Decision:
        return Decision(STOCHASTIC, CRITICAL_PATH, reference, reason)

    machine = _machine(setting)
    if not _contested(setting):
        return critical_path("there is a worker for every task: the order does not matter")
    if setting.budget_s is not None and setting.budget_s <= 0:
        return critical_path("no time to search was given")
    holding = [e for e, pool in zip(setting.estimates, setting.pools, strict=True) if pool >= 0 and e.mean]
    if all(e.source == "default" for e in holding):
        return critical_path("no history: the shape of the graph decides")
    beliefs = with_spread(setting.estimates)
    if setting.grows or machine is None or len(set(setting.urgencies)) > 1:
        return _tried(setting, beliefs, reference)
    workers, pool_of = machine
    if any(e.sd for e in beliefs):
        chosen = _chosen(setting, beliefs, workers, pool_of)
        if chosen is not None:
            return chosen
    if predicted_cv(beliefs) < PREDICTABLE:
        planned = _planned(setting, reference, workers, pool_of)
        if planned is not None:
            return planned
    return critical_path("a search would cost more than it can save")


def _machine(setting: Setting) -> tuple[list[int], list[int]] | None:
    """Workers per pool and the pool of each task with the run's cap worked in; None if they cannot express it."""
    workers, pool_of, cap = list(setting.workers), list(setting.pools), setting.cap
    if not cap:
        return workers, pool_of
    used = {pool for pool in pool_of if pool >= 0}
    if len(used) <= 1:
        return [min(w or cap, cap) for w in workers], pool_of
    if any(0 < workers[pool] < cap for pool in used):
        return None
    return [cap], [0 if pool >= 0 else CONTROL for pool in pool_of]


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


def _length(setting: Setting, workers: Sequence[int], pool_of: Sequence[int]) -> float:
    return pooled_lower_bound(setting.graph, setting.means, pool_of, workers, interval=False).value


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
            pooled_lower_bound(
                expansion.graph, [e.mean for e in expected], pool_of, setting.workers, interval=False
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


def _chosen(
    setting: Setting, beliefs: Sequence[Estimate], workers: Sequence[int], pool_of: Sequence[int]
) -> Decision | None:
    budget = _budget(setting, CHOOSER, lambda: _length(setting, workers, pool_of))
    if budget < 2 * SAMPLES * PACE * len(setting.graph):
        return None
    began = setting.clock()
    near = setting.may_idle and near_certain(beliefs)
    choice = choose(
        setting.graph,
        beliefs,
        workers,
        seed=setting.seed,
        budget_s=budget * (1 - FOR_IDLING) if near else budget,
        clock=setting.clock,
        pool_of=pool_of,
        iterations=setting.iterations,
    )
    if not choice.samples:
        return None
    priorities = _without_ties(choice.priorities)
    decision = Decision(STOCHASTIC, choice.policy, priorities, _verdict(choice), choice.evidence, choice.samples)
    if near and choice.plan is not None:
        ends = began + budget
        return where_it_pays(decision, choice.plan, setting, workers, pool_of, beliefs, lambda: setting.clock() < ends)
    return decision


def _planned(
    setting: Setting, reference: list[float], workers: Sequence[int], pool_of: Sequence[int]
) -> Decision | None:
    graph, means = setting.graph, setting.means
    budget = _budget(setting, PLANNER, lambda: _length(setting, workers, pool_of))
    if budget < FIRST_PLAN * len(graph):
        return None
    began = setting.clock()
    first = list_schedule(graph, means, reference, workers, pool_of).makespan
    found = plan(
        graph,
        means,
        workers,
        budget_s=budget * (1 - FOR_IDLING) if setting.may_idle else budget,
        seed=setting.seed,
        clock=setting.clock,
        pool_of=pool_of,
        iterations=setting.iterations,
    )
    decision = _in_words(found, first, reference)
    if not setting.may_idle:
        return decision
    ends = began + budget
    return where_it_pays(decision, found, setting, workers, pool_of, setting.estimates, lambda: setting.clock() < ends)


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
