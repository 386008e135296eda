"""What a decision must not be longer than: every plain order, on the expected durations and on the very dispatcher.

A search may end early, know less than the dispatcher does (authors' priorities, one rank for all items of a
stage), or not be begun at all. Where durations are certain a schedule is what it is, so whichever plain order
is shorter than what was found takes its place.
"""

from __future__ import annotations

from dataclasses import replace

from llmflow.scheduling.bounds import capped_lower_bound
from llmflow.scheduling.lean_schedule import machine_of
from llmflow.scheduling.plain_orders import PLAIN
from llmflow.scheduling.portfolio import Evidence
from llmflow.scheduling.setting import CRITICAL_PATH, Decision, Expansion, Setting

COMPARED = 5_000
"""Policies are compared on graphs of up to so many tasks: of larger ones it would cost more than it tells."""

AT_ONCE = 500
"""Up to so many tasks nobody notices what the comparison takes: a few milliseconds; beyond it must be worth it."""

PACE = 5e-6
"""Seconds that a schedule takes per task."""

SHARE = 0.01
"""The share of the run that the comparison may take."""


def no_longer(decision: Decision, setting: Setting) -> Decision:
    """`decision`, or the plain order that is shorter on the expected durations; for durations that are certain."""
    expansion = setting.expansion
    if expansion is None:
        if setting.grows:
            return decision
        expansion = Expansion(setting.graph, range(len(setting.graph)))
    stages, tasks = expansion.stages, len(expansion.stages)
    means, pools = setting.means, setting.pools
    durations, pool_of = [means[s] for s in stages], [pools[s] for s in stages]
    bound = capped_lower_bound(expansion.graph, durations, pool_of, setting.workers, setting.cap, interval=False).value
    if tasks > COMPARED or (tasks > AT_ONCE and tasks * len(PLAIN) * PACE > SHARE * bound / setting.speed):
        return decision
    machine = machine_of(
        expansion.graph,
        setting.workers,
        pool_of,
        cap=setting.cap,
        urgencies=[setting.urgencies[s] for s in stages] if setting.urgencies else (),
        conditional=[setting.conditional[s] for s in stages] if setting.conditional else (),
    )
    own = machine.keys([decision.priorities[s] for s in stages])
    length = machine.schedule(own, durations, holds=decision.holds)[0]
    shortest, reference, better = length * (1 - 1e-9), length, ""
    for name, (_, rank) in PLAIN.items():
        if length <= bound * (1 + 1e-9):
            break
        order = rank(setting)
        taken = machine.schedule(machine.keys([order[s] for s in stages]), durations)[0]
        if name == CRITICAL_PATH:
            reference = taken
        if taken < shortest:
            shortest, better, priorities = taken, name, order
    if not better:
        return decision
    if better == CRITICAL_PATH:
        reason = "no order beat the critical path as planned"
    else:
        reason = f"{100 * (reference - shortest) / reference:.2g} % shorter than the critical path as planned"
    evidence = tuple(e for e in decision.evidence if e.policy != better)
    return replace(
        decision,
        order=better,
        priorities=priorities,
        reason=reason,
        evidence=(*evidence, Evidence(better, shortest, shortest - reference, 0.0)),
        samples=1,
        holds=(),
    )
