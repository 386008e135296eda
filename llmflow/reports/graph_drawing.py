"""Boxes and lines of characters: a graph drawn layer by layer, from the top down.

A node's layer is the number of nodes on the longest chain above it. Inside a layer nodes stand near
the middle of their neighbours (the barycentre heuristic of Sugiyama, Tagawa & Toda 1981); a link over
several layers goes past them as a line of its own. Between two layers every source has one
horizontal track, so that lines which join are lines of one source or to one target; where two others
cross, the vertical one is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

GAP = 2
SWEEPS = 6

N, E, S, W = 1, 2, 4, 8
_PLAIN = dict(zip((5, 10, 3, 9, 6, 12, 7, 13, 14, 11, 15, 1, 4, 2, 8), "│─└┘┌┐├┤┬┴┼│││─", strict=False))
_PLAIN |= {2: "─", 8: "─"}
_STYLES = {
    "data": _PLAIN,
    "order": {**_PLAIN, 5: "┆", 10: "┄", 1: "┆", 4: "┆"},
    "flow": dict(zip((5, 10, 3, 9, 6, 12, 7, 13, 14, 11, 15, 1, 4), "║═╚╝╔╗╠╣╦╩╬║║", strict=True)),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A box: its lines, and whether its border is heavy. Text must be printable and one cell per character."""

    lines: tuple[str, ...]
    heavy: bool = False


@dataclass(slots=True)
class _Node:
    """`shape` is None where a long link passes a layer. `style` is that of the lines that go down from it."""

    layer: int
    shape: Shape | None
    style: str = "data"
    left: int = 0
    port: int = 0
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(map(len, self.shape.lines)) + 4 if self.shape is not None else 3

    @property
    def middle(self) -> int:
        return self.left + self.width // 2


def draw(shapes: Sequence[Shape], links: Sequence[tuple[int, int, str]], columns: int) -> list[str] | None:
    """Lines of text, None where they would be wider than `columns`.

    Links are (from, to, style), style one of `data`, `order`, `flow`, without a cycle.
    """
    nodes, segments = _laid_out(shapes, links)
    layers: list[list[int]] = [[] for _ in range(max((node.layer for node in nodes), default=-1) + 1)]
    for number, node in enumerate(nodes):
        layers[node.layer].append(number)
    _order(nodes, layers)
    if any(sum(nodes[n].width for n in layer) + GAP * (len(layer) - 1) > columns for layer in layers):
        return None
    _place(nodes, layers)
    right = max((node.left + node.width for node in nodes), default=0)
    if right > columns:
        return None
    canvas = _Canvas(right)
    for depth, layer in enumerate(layers):
        canvas.boxes([nodes[n] for n in layer])
        if depth + 1 < len(layers):
            nets: dict[tuple[int, str], list[int]] = {}
            for source, target, style in segments:
                if nodes[source].layer == depth:
                    nets.setdefault((source, style), []).append(target)
            canvas.links(nodes, nets)
    return canvas.text()


def _laid_out(
    shapes: Sequence[Shape], links: Sequence[tuple[int, int, str]]
) -> tuple[list[_Node], list[tuple[int, int, str]]]:
    """The nodes with those of long links, and the links as pieces from one layer to the next."""
    nodes = [_Node(0, shape) for shape in shapes]
    below: list[list[int]] = [[] for _ in shapes]
    pending = [0] * len(shapes)
    for source, target, _ in links:
        below[source].append(target)
        pending[target] += 1
    order = [n for n, count in enumerate(pending) if not count]
    for number in order:
        for target in below[number]:
            nodes[target].layer = max(nodes[target].layer, nodes[number].layer + 1)
            pending[target] -= 1
            if not pending[target]:
                order.append(target)
    passing: dict[tuple[int, str, int], int] = {}
    pieces: dict[tuple[int, int, str], None] = {}
    for source, target, style in links:
        at = source
        for layer in range(nodes[source].layer + 1, nodes[target].layer):
            key = (source, style, layer)
            if key not in passing:
                passing[key] = len(nodes)
                nodes.append(_Node(layer, None, style))
            pieces[at, passing[key], style] = None
            at = passing[key]
        pieces[at, target, style] = None
    for source, target, style in pieces:
        alone = not nodes[source].below or nodes[source].style == style
        nodes[source].style = style if alone else "data"
        nodes[source].below.append(target)
        nodes[target].above.append(source)
    return nodes, list(pieces)


def _order(nodes: Sequence[_Node], layers: Sequence[list[int]]) -> None:
    """Sort each layer by the mean place of its neighbours, downwards and upwards in turn."""
    for sweep in range(SWEEPS):
        place = {n: i / max(1, len(layer) - 1) for layer in layers for i, n in enumerate(layer)}
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            means = {}
            for n in layer:
                near = nodes[n].above if sweep % 2 == 0 else nodes[n].below
                means[n] = sum(place[m] for m in near) / len(near) if near else place[n]
            layer.sort(key=lambda n: means[n])
            place |= {n: i / max(1, len(layer) - 1) for i, n in enumerate(layer)}


def _place(nodes: Sequence[_Node], layers: Sequence[list[int]]) -> None:
    """Columns: each node under (or over) the middle of its neighbours, as far as its own neighbours let it."""
    for layer in layers:
        _spread(nodes, layer, dict.fromkeys(layer, 0))
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {}
            for n in layer:
                near = nodes[n].above if sweep % 2 == 0 else nodes[n].below
                middle = round(sum(nodes[m].middle for m in near) / len(near)) if near else nodes[n].middle
                wanted[n] = middle - nodes[n].width // 2
            _spread(nodes, layer, wanted)
    first = min((node.left for node in nodes), default=0)
    for node in nodes:
        node.left -= first
        node.port = node.middle


def _spread(nodes: Sequence[_Node], layer: Sequence[int], wanted: dict[int, int]) -> None:
    """As near to `wanted` as the order and a gap allow: between pushing all to the right and all to the left."""
    right: list[int] = []
    for n in layer:
        least = right[-1] if right else wanted[n]
        right.append(max(wanted[n], least))
        right.append(right[-1] + nodes[n].width + GAP)
    left: list[int] = []
    for n in reversed(layer):
        most = left[-1] - GAP - nodes[n].width if left else wanted[n]
        left.append(min(wanted[n], most))
    left.reverse()
    at = None
    for i, n in enumerate(layer):
        nodes[n].left = (right[2 * i] + left[i]) // 2
        if at is not None:
            nodes[n].left = max(nodes[n].left, at)
        at = nodes[n].left + nodes[n].width + GAP


class _Canvas:
    """Rows of characters, and of lines not yet made characters: (row, column) → net → directions."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[list[str]] = []
        self._lines: dict[tuple[int, int], dict[tuple[int, str], int]] = {}

    def text(self) -> list[str]:
        for (row, column), nets in self._lines.items():
            self._rows[row][column] = _character(nets)
        return ["".join(row).rstrip() for row in self._rows]

    def _more(self, rows: int) -> int:
        """The number of the first of so many new rows."""
        self._rows += [[" "] * self._columns for _ in range(rows)]
        return len(self._rows) - rows

    def _mark(self, row: int, column: int, net: tuple[int, str], directions: int) -> None:
        nets = self._lines.setdefault((row, column), {})
        nets[net] = nets.get(net, 0) | directions

    def boxes(self, layer: Sequence[_Node]) -> None:
        """One layer; lines that pass it, and those of boxes that are lower than the highest, go down through it."""
        height = max(len(node.shape.lines) + 2 if node.shape is not None else 1 for node in layer)
        top = self._more(height)
        for node in layer:
            if node.shape is not None:
                self._box(node, node.shape, top)
            filled = len(node.shape.lines) + 2 if node.shape is not None else 0
            for row in range(top + filled, top + height):
                if node.below:
                    self._mark(row, node.port, (-1, node.style), N | S)

    def _box(self, node: _Node, shape: Shape, top: int) -> None:
        across, down, *corners = tuple("━┃┏┓┗┛" if shape.heavy else "─│┌┐└┘")
        inner = node.width - 2
        lines = [f"{corners[0]}{across * inner}{corners[1]}"]
        lines += [f"{down} {line.center(inner - 2)} {down}" for line in shape.lines]
        lines.append(f"{corners[2]}{across * inner}{corners[3]}")
        for row, line in enumerate(lines):
            self._rows[top + row][node.left : node.left + node.width] = line
        if node.below:
            self._rows[top + len(lines) - 1][node.middle] = "┯" if shape.heavy else "┬"

    def links(self, nodes: Sequence[_Node], nets: dict[tuple[int, str], list[int]]) -> None:
        """The tracks between two layers, and a row of arrow heads."""
        tracks = _tracks(nodes, nets)
        straight = any(net not in tracks and net[1] != "data" for net in nets)  # its style needs room to be seen
        rows = max(tracks.values(), default=0 if straight else -1) + 1
        top = self._more(rows + 1)
        bottom = top + rows
        for net, targets in nets.items():
            out = nodes[net[0]].port if nodes[net[0]].shape is None else nodes[net[0]].middle
            row = top + tracks.get(net, 0)
            ends = [out, *(nodes[t].port for t in targets)]
            for r in range(top, row):
                self._mark(r, out, net, N | S)
            if net in tracks:
                self._mark(row, out, net, N)
                for column in range(min(ends), max(ends) + 1):
                    reach = (E if column < max(ends) else 0) | (W if column > min(ends) else 0)
                    self._mark(row, column, net, reach)
            for t in targets:
                if net in tracks:
                    self._mark(row, nodes[t].port, net, S)
                for r in range(row + 1 if net in tracks else top, bottom + 1):
                    self._mark(r, nodes[t].port, net, N | S)
        for targets in nets.values():
            for t in targets:
                if nodes[t].shape is not None:
                    self._lines.pop((bottom, nodes[t].port), None)
                    self._rows[bottom][nodes[t].port] = "▼"


def _character(nets: dict[tuple[int, str], int]) -> str:
    styles = {style for _, style in nets}
    directions = 0
    for bits in nets.values():
        directions |= bits
    if directions == N | E | S | W and set(nets.values()) == {N | S, E | W}:  # a crossing, no joint
        styles = {style for (_, style), bits in nets.items() if bits == N | S}
        directions = N | S
    return _STYLES[styles.pop() if len(styles) == 1 else "data"][directions]


def _tracks(nodes: Sequence[_Node], nets: dict[tuple[int, str], list[int]]) -> dict[tuple[int, str], int]:
    """Net → the row of its horizontal line, none for a straight one; ports give way where lines would run into others.

    Where a net comes down in a column in which another goes up to its target, it must turn off above that one.
    """

    def out(net: tuple[int, str]) -> int:
        node = nodes[net[0]]
        return node.port if node.shape is None else node.middle

    while True:
        above: dict[tuple[int, str], set[tuple[int, str]]] = {net: set() for net in nets}
        for net in nets:
            for other, targets in nets.items():
                if net[0] != other[0] and any(nodes[t].port == out(net) and t not in nets[net] for t in targets):
                    above[other].add(net)
        order: list[tuple[int, str]] = []
        while free := [net for net in nets if net not in order and above[net] <= set(order)]:
            order += free
        if len(order) == len(nets):
            break
        stuck = next(net for net in nets if net not in order)
        sources = {out(net) for net in above[stuck]}
        target = next(t for t in nets[stuck] if nodes[t].port in sources)
        nodes[target].port += 1
    tracks: dict[tuple[int, str], int] = {}
    taken: list[list[tuple[int, int]]] = []
    for net in order:
        ends = [out(net), *(nodes[t].port for t in nets[net])]
        low, high = min(ends), max(ends)
        if low == high:
            continue
        row = max((tracks[other] + 1 for other in above[net] if other in tracks), default=0)
        while row < len(taken) and any(low <= b and a <= high for a, b in taken[row]):
            row += 1
        while len(taken) <= row:
            taken.append([])
        taken[row].append((low, high))
        tracks[net] = row
    return tracks
