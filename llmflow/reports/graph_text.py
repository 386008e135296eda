"""A graph as text, level by level: tasks that depend on the same ones share a line.

    0  S1, S2, S3, S4, M1, M2, M3, M4, M5, M6, M7, M8
    1  Gate ← S1, S2, S3, S4
    2  C1 ← Gate

A level is the number of tasks on the longest chain above: nothing on one level depends on another.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.sanitise import clip, one_line, width
from llmflow.scheduling.graph import Graph


def render_graph(graph: Graph, *, columns: int = 100, most: int = 40) -> str:
    """At most `most` lines and one that says how many are left out; each at most `columns` cells."""
    level = [0] * len(graph)
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for task in graph.order():
        for d in graph.dependents[task]:
            level[d] = max(level[d], level[task] + 1)
    for task in range(len(graph)):
        groups.setdefault((level[task], graph.dependencies[task]), []).append(task)
    keys = sorted(groups, key=lambda key: (key[0], groups[key][0]))
    digits = len(str(max(level, default=0)))
    lines = []
    for depth, dependencies in keys[:most]:
        room = columns - digits - 2
        tasks = _names(graph, groups[depth, dependencies], room if not dependencies else room // 2)
        text = f"{depth:>{digits}}  {tasks}"
        if dependencies:
            text += f" ← {_names(graph, dependencies, columns - width(text) - 3)}"
        lines.append(text)
    if len(keys) > most:
        left = sum(len(groups[key]) for key in keys[most:])
        lines.append(f"… {left:,} more tasks down to level {keys[-1][0]}")
    return "\n".join(lines)


def _names(graph: Graph, tasks: Sequence[int], room: int) -> str:
    """As many names as fit into `room` cells, then how many there are in all."""
    text = ""
    for i, task in enumerate(tasks):
        name = (", " if i else "") + clip(one_line(graph.names[task]), 40)
        rest = len(tasks) - i - 1
        tail = f", … ({len(tasks):,})" if rest else ""
        if width(text + name + tail) > room:
            return clip(f"{text}, … ({len(tasks):,})" if i else name, max(1, room))
        text += name
    return text
