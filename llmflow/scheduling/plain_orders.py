"""Orders that follow from the graph and the expected durations by one rule; no search, no samples.

Each is a policy of its own, and each is what a search sets out from and must not fall behind. A new one is
one function and one line of `PLAIN`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.setting import CRITICAL_PATH, Setting


def _critical_path(setting: Setting) -> list[float]:
    return upward_ranks(setting.graph, setting.means)


def _first_in_first_out(setting: Setting) -> list[float]:
    return [0.0] * len(setting.graph)


def _level(setting: Setting) -> list[float]:
    """Level by level: the fewer dependencies lie above a task, the earlier it goes."""
    graph = setting.graph
    level = [0.0] * len(graph)
    for task in graph.order():
        for d in graph.dependents[task]:
            level[d] = min(level[d], level[task] - 1.0)
    return level


def _longest_task(setting: Setting) -> list[float]:
    return setting.means


def _random(setting: Setting) -> list[float]:
    dice = Random(setting.seed)
    return [dice.random() for _ in range(len(setting.graph))]


PLAIN: dict[str, tuple[str, Callable[[Setting], list[float]]]] = {
    CRITICAL_PATH: ("longest expected path to an end first", _critical_path),
    "fifo": ("in the order of becoming ready", _first_in_first_out),
    "level": ("level by level, fewest dependencies above first", _level),
    "longest-task": ("longest expected task first", _longest_task),
    "random": ("a seeded shuffle; a floor to compare with", _random),
}
"""Name → summary, and priorities per task, higher first; ties go to the task that became ready first."""
