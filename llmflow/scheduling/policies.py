"""Policies: which of the ready tasks goes first. A policy is a vector of priorities, higher first.

The registry is what `--policy`, the plan's comparison, the benchmarks and the invariant tests read:
a new policy is one function and one line. Ties go to the task that became ready first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from llmflow.scheduling.graph import Graph, upward_ranks

Priorities = Callable[[Graph, Sequence[float], int], list[float]]
"""(graph, expected durations in seconds, seed) → one priority per task."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`priorities` is None where the order of becoming ready decides alone."""

    name: str
    summary: str
    priorities: Priorities


def _first_in_first_out(graph: Graph, durations: Sequence[float], seed: int) -> list[float]:
    return [0.0] * len(graph)


def _critical_path(graph: Graph, durations: Sequence[float], seed: int) -> list[float]:
    return upward_ranks(graph, durations)


def _level(graph: Graph, durations: Sequence[float], seed: int) -> list[float]:
    """Level by level: the fewer dependencies lie above a task, the earlier it goes."""
    level = [0.0] * len(graph)
    for task in graph.order():
        for d in graph.dependents[task]:
            level[d] = min(level[d], level[task] - 1.0)
    return level


def _longest_task(graph: Graph, durations: Sequence[float], seed: int) -> list[float]:
    return list(map(float, durations))


def _random(graph: Graph, durations: Sequence[float], seed: int) -> list[float]:
    dice = Random(seed)
    return [dice.random() for _ in range(len(graph))]


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy("critical-path", "longest expected path to an end first", _critical_path),
        Policy("fifo", "in the order of becoming ready", _first_in_first_out),
        Policy("level", "level by level, fewest dependencies above first", _level),
        Policy("longest-task", "longest expected task first", _longest_task),
        Policy("random", "a seeded shuffle; a floor to compare with", _random),
    )
}

DEFAULT_POLICY = "critical-path"


def inherited_priorities(graph: Graph, priorities: Sequence[int]) -> list[int]:
    """The author's `priority`, passed up: a task is at least as urgent as anything that depends on it."""
    if not any(priorities):
        return list(priorities)
    inherited = list(priorities)
    for task in reversed(graph.order()):
        for d in graph.dependents[task]:
            inherited[task] = max(inherited[task], inherited[d])
    return inherited
