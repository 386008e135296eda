"""A pipeline's graph for a terminal: a drawing of each level of pipelines, then a table of its tasks.

Tasks that wait for the same ones and are waited for by the same ones share a box. What is too large
to draw is listed layer by layer instead, and the text says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.quantities import plural
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.graph_drawing import Shape, draw
from llmflow.reports.graph_outline import Box, Outline
from llmflow.reports.graph_text import render_graph
from llmflow.sanitise import clip, one_line
from llmflow.scheduling.graph import Graph

MOST_BOXES = 50
NAMES = 6
"""Names in one box; of more tasks the rest is counted."""

_LEGEND = {"data": "── output is read", "order": "┄┄ order alone", "flow": "══ items flow one by one"}


def render_terminal(outline: Outline, *, columns: int = 100, most: int = 40) -> str:
    """Text without a line end behind the last line, at most `columns` wide where that can be; safe to print."""
    boxes = outline.boxes
    pools = ", ".join(f"{one_line(name)} × {size or 'unlimited'}" for name, size in outline.pools.items())
    edges = sum(1 for _ in outline.links())
    head = (
        f"{one_line(outline.name)}: {plural(len(boxes), 'task')}, {plural(edges, 'edge')}; workers: {pools or 'none'}"
    )
    if outline.knows_nothing and boxes:
        head += "\nno history: every task counts as 1 unit"
    parts = [head, _section(outline, outline.top, columns)]
    for box in boxes:
        if box.inside:
            title = f"inside {one_line(box.name)} ({clip(one_line(box.target), 60)}):"
            parts.append(f"{title}\n{_section(outline, box.inside, columns)}")
    if outline.finals:
        parts.append(f"finally, when all others have settled:\n{_section(outline, outline.finals, columns)}")
    parts += [_legend(outline), _table(outline, columns, most)]
    return "\n\n".join(part for part in parts if part)


def _section(outline: Outline, members: Sequence[int], columns: int) -> str:
    """The drawing of one level, or its layers."""
    boxes = outline.boxes
    waited: dict[int, list[tuple[int, str]]] = {place: [] for place in members}
    for place in members:
        for source, link in (boxes[place].waits or {}).items():
            waited[source].append((place, link.value))
    alike: dict[tuple[object, ...], list[int]] = {}
    for place in members:
        box = boxes[place]
        waits = frozenset((source, link.value) for source, link in (box.waits or {}).items())
        alone = place if box.inside else -1
        alike.setdefault((waits, frozenset(waited[place]), box.critical, _kind(box), alone), []).append(place)
    if len(alike) > MOST_BOXES:
        return _layers(outline, members, columns, f"{len(alike):,} boxes are too many to draw")
    shared = {place: number for number, places in enumerate(alike.values()) for place in places}
    shapes = [_shape([boxes[place] for place in places]) for places in alike.values()]
    links = dict.fromkeys(
        (shared[source], shared[place], link.value)
        for place in members
        for source, link in (boxes[place].waits or {}).items()
    )
    drawn = draw(shapes, list(links), columns)
    if drawn is None:
        return _layers(outline, members, columns, f"the drawing would be wider than {columns} columns")
    return "\n".join(drawn)


def _layers(outline: Outline, members: Sequence[int], columns: int, why: str) -> str:
    boxes = outline.boxes
    graph = Graph.of({boxes[place].name: [boxes[d].name for d in boxes[place].waits or {}] for place in members})
    return f"{why}; the layers are listed instead:\n{render_graph(graph, columns=columns)}"


def _kind(box: Box) -> str:
    return ", ".join((*([] if box.action == "model" else [box.action]), *box.traits))


def _shape(alike: Sequence[Box]) -> Shape:
    names = [clip(one_line(box.label), 40) for box in alike]
    rest = len(names) - NAMES
    lines = [*names[:NAMES], f"… {rest:,} more"] if rest > 1 else names
    kind = _kind(alike[0])
    return Shape((*lines, f"({kind})") if kind else tuple(lines), alike[0].critical)


def _legend(outline: Outline) -> str:
    used = {link.value for _, _, link, _ in outline.links()}
    marks = [text for style, text in _LEGEND.items() if style in used]
    if any(box.critical for box in outline.boxes):
        marks.append("┏━┓ on a longest chain")
    return "   ".join(marks)


def _table(outline: Outline, columns: int, most: int) -> str:
    """Tasks by falling rank (ties: file order), those of `finally` last."""
    ranked = sorted(outline.boxes, key=lambda box: (box.final, -box.rank))
    described = any(box.description for box in ranked[:most])
    rows = [
        [
            "*" if box.critical else "",
            one_line(box.name),
            one_line(_kind(box)) or "model",
            one_line(box.target),
            one_line(box.pool) or "-",
            "" if box.final else f"{box.rank:.2f}",
            box.expected,
            *([one_line(box.description)] if described else []),
        ]
        for box in ranked[:most]
    ]
    heads = [
        Column(""),
        Column("TASK", most=40),
        Column("WHAT", most=40),
        Column("CALLS", most=40),
        Column("POOL", most=16),
    ]
    heads += [Column("RANK", right=True), Column("EXPECTED", right=True)]
    heads += [Column("DESCRIPTION", most=60)] if described else []
    text = render_columns(heads, rows, columns)
    left = len(ranked) - most
    return f"{text}\n… {plural(left, 'more task')} of lower rank" if left > 0 else text
