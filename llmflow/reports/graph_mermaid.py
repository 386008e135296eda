"""A pipeline's graph for Mermaid: what GitHub, GitLab and many editors draw from a fenced block.

Names and texts reach Mermaid as entity codes wherever a character could mean something to it, and
nodes have ids of ours, since `end`, `class` or `style` as an id breaks a diagram.
"""

from __future__ import annotations

from llmflow.quantities import plural
from llmflow.reports.graph_colours import BORDER, colours
from llmflow.reports.graph_outline import Box, Link, Outline
from llmflow.sanitise import clip, one_line

EDGES = 500
"""More edges than this are drawn only where the page that shows the diagram allows it (`maxEdges`)."""

_ARROWS = {Link.DATA: "-->", Link.ORDER: "-.->", Link.FLOW: "==>"}
_SHAPES = {"value": ("([", "])"), "python": ("[/", "/]"), "command": ("[/", "/]"), "http": ("[/", "/]")}
_SHAPES |= {"approve": ("{{", "}}")}
_PLAIN = frozenset(" .,:/-_+×≤…·")


def render_mermaid(outline: Outline) -> str:
    """The text of one `flowchart`, without a line end behind the last line."""
    lines = ["flowchart TD", f"  %% {_escaped(outline.name, 100)}"]
    links = list(outline.links())
    if len(links) > EDGES:
        lines.append(f"  %% {plural(len(links), 'edge')}: Mermaid draws {EDGES} unless its maxEdges is raised")
    for place in outline.top:
        lines += _node(outline, place, "  ")
    if outline.finals:
        lines.append('  subgraph finally["finally, when all others have settled"]')
        for place in outline.finals:
            lines += _node(outline, place, "    ")
        lines.append("  end")
    lines += [f"  t{source} {_ARROWS[link]} t{target}" for source, target, link, _ in links]
    lines += _pools(outline)
    critical = [f"t{place}" for place, box in enumerate(outline.boxes) if box.critical]
    if critical:
        lines += [f"  classDef critical stroke:{BORDER},stroke-width:3px", f"  class {','.join(critical)} critical"]
    if tight := [str(number) for number, link in enumerate(links) if link[3]]:
        lines.append(f"  linkStyle {','.join(tight)} stroke:{BORDER},stroke-width:3px")
    return "\n".join(lines)


def _node(outline: Outline, place: int, indent: str) -> list[str]:
    box = outline.boxes[place]
    if box.inside:
        return [
            f'{indent}subgraph t{place}["{_label(box)}"]',
            *(line for inner in box.inside for line in _node(outline, inner, indent + "  ")),
            f"{indent}end",
        ]
    left, right = ("[[", "]]") if box.each else _SHAPES.get(box.action, ("[", "]"))
    return [f'{indent}t{place}{left}"{_label(box)}"{right}']


def _label(box: Box) -> str:
    what = " · ".join(part for part in (box.target, box.expected) if part)
    parts = [box.label, ", ".join((*([] if box.action == "model" else [box.action]), *box.traits)), what]
    return "<br/>".join(_escaped(part, 60) for part in (*parts, box.description) if part)


def _pools(outline: Outline) -> list[str]:
    """A class per pool, and a box per pool that says which colour it has."""
    if not outline.pools:
        return []
    lines = ['  subgraph pools["pools"]']
    for number, (name, size) in enumerate(outline.pools.items()):
        lines.append(f'    p{number}["{_escaped(name, 60)} × {size or "unlimited"}"]')
    lines.append("  end")
    for number, (name, colour) in enumerate(colours(outline.pools).items()):
        members = [f"t{place}" for place, box in enumerate(outline.boxes) if box.pool == name]
        lines.append(f"  classDef pool{number} fill:{colour},color:#000")
        lines.append(f"  class {','.join([f'p{number}', *members])} pool{number}")
    return lines


def _escaped(text: str, cells: int) -> str:
    """Entity codes for every character that is neither a letter, a digit nor harmless; even a comment can be one of
    Mermaid's directives.
    """
    return "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in clip(one_line(text), cells))
