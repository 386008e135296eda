"""The three shapes that every engine is measured on, as plain lists: task → the tasks it depends on."""

from __future__ import annotations

LAYER = 50


def fan(count: int) -> list[list[int]]:
    """One task, all others behind it, one behind all of those."""
    return [[], *([0] for _ in range(count - 2)), list(range(1, count - 1))]


def chain(count: int) -> list[list[int]]:
    """Each task behind the one before it."""
    return [[], *([task] for task in range(count - 1))]


def layered(count: int) -> list[list[int]]:
    """Layers of 50; each task behind three of the layer above, its own column and both neighbours."""
    graph: list[list[int]] = []
    for task in range(count):
        layer, column = divmod(task, LAYER)
        above = [(column + shift) % LAYER for shift in (-1, 0, 1)] if layer else []
        graph.append([(layer - 1) * LAYER + c for c in above])
    return graph


SHAPES = {"fan": fan, "chain": chain, "layered": layered}
