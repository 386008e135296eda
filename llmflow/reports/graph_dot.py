"""A pipeline's graph for Graphviz: `llmflow graph p.yaml --format dot | dot -Tsvg > p.svg`."""

from __future__ import annotations

from llmflow.reports.graph_colours import BORDER, colours
from llmflow.reports.graph_outline import Box, Link, Outline
from llmflow.sanitise import clip, one_line

_LINES = {Link.DATA: [], Link.ORDER: ["style=dashed"], Link.FLOW: ['color="black:black"']}
_SHAPES = {"value": "ellipse", "python": "component", "command": "component", "http": "component"}
_SHAPES |= {"approve": "hexagon"}


def render_dot(outline: Outline) -> str:
    """The text of one `digraph`, without a line end behind the last line. A pipeline that is used is a cluster."""
    fills = colours(outline.pools)
    lines = [
        f"digraph {_quoted(outline.name)} {{",
        "  compound=true",
        '  node [shape=box style=filled fillcolor=white fontname="Helvetica"]',
    ]
    for place in outline.top:
        lines += _node(outline, place, fills, "  ")
    if outline.finals:
        lines += ["  subgraph cluster_finally {", '    label="finally, when all others have settled"']
        for place in outline.finals:
            lines += _node(outline, place, fills, "    ")
        lines.append("  }")
    for source, target, link, tight in outline.links():
        lines.append(_edge(outline, source, target, link, tight))
    if outline.pools:
        lines += ["  subgraph cluster_pools {", '    label="pools"']
        for number, (name, size) in enumerate(outline.pools.items()):
            text = _quoted(f"{name} × {size or 'unlimited'}")
            lines.append(f'    p{number} [label={text} fillcolor="{fills[name]}"]')
        lines.append("  }")
    return "\n".join([*lines, "}"])


def _node(outline: Outline, place: int, fills: dict[str, str], indent: str) -> list[str]:
    box = outline.boxes[place]
    border = [f'color="{BORDER}"', "penwidth=3"] if box.critical else []
    if box.inside:
        return [
            f"{indent}subgraph cluster_t{place} {{",
            *(f"{indent}  {setting}" for setting in (f"label={_label(box)}", *border)),
            *(line for inner in box.inside for line in _node(outline, inner, fills, indent + "  ")),
            f"{indent}}}",
        ]
    settings = [f"label={_label(box)}"]
    if box.action in _SHAPES:
        settings.append(f"shape={_SHAPES[box.action]}")
    if box.each:
        settings.append("peripheries=2")
    if box.pool:
        settings.append(f'fillcolor="{fills[box.pool]}"')
    return [f"{indent}t{place} [{' '.join([*settings, *border])}]"]


def _edge(outline: Outline, source: int, target: int, link: Link, tight: bool) -> str:
    """Graphviz draws edges between nodes alone; `ltail` and `lhead` cut them off at a cluster's border."""
    settings = list(_LINES[link])
    if tight:
        settings = [s for s in settings if not s.startswith("color=")]
        colour = f"{BORDER}:{BORDER}" if link is Link.FLOW else BORDER
        settings += [f'color="{colour}"', "penwidth=2"]
    ends = [source, target]
    for number, side in enumerate(("ltail", "lhead")):
        if outline.boxes[ends[number]].inside:
            settings.append(f"{side}=cluster_t{ends[number]}")
        while outline.boxes[ends[number]].inside:
            ends[number] = outline.boxes[ends[number]].inside[0 if number else -1]
    written = f" [{' '.join(settings)}]" if settings else ""
    return f"  t{ends[0]} -> t{ends[1]}{written}"


def _label(box: Box) -> str:
    what = " · ".join(part for part in (box.target, box.expected) if part)
    parts = [box.label, ", ".join((*([] if box.action == "model" else [box.action]), *box.traits)), what]
    return _quoted(*(part for part in (*parts, box.description) if part))


def _quoted(*lines: str) -> str:
    """A string of DOT, its lines below each other; neither a backslash nor an ampersand of the text is an escape."""
    signs = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;"})
    clean = (clip(one_line(line), 60).translate(signs) for line in lines)
    return '"' + "\\n".join(clean) + '"'
