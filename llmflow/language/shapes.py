"""What other tasks must know of a task before they can be checked: whether it has items, a loop, named outputs.

Most tasks have no Shape: their output is one value, and that is all there is to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmflow.language.pipeline import Pipeline
from llmflow.language.records import Draft
from llmflow.language.templates import Structure, Template

LOOPS = frozenset(("foreach", "matrix", "reduce", "repeat"))
"""Fields that make several calls of one task, for items, pieces or iterations."""

_SPECIAL = LOOPS | {"uses"}
_WHOLE = re.compile(r"\s*\{\{\s*tasks\.([A-Za-z_]\w*)\.(outputs|results)\s*\}\}\s*", re.ASCII)


@dataclass(slots=True)
class Shape:
    """`source`: the task whose items flow in one by one, through the template `flow`.

    `uses` is the sub-pipeline, None where there is none or it is wrong; `file` how its file is called.
    """

    fans_out: bool = False
    repeats: bool = False
    uses: Pipeline | None = None
    file: str = ""
    is_default: bool = False
    """`on_error` may put another value in its output's place."""
    final: bool = False
    source: str = ""
    source_results: bool = False
    flow: Template | None = None

    @property
    def output_names(self) -> tuple[str, ...] | None:
        """The keys of the output of a sub-pipeline, None where they are not known."""
        if self.uses is None or self.is_default:
            return None
        return self.uses.leaves() if self.uses.outputs is None else tuple(self.uses.outputs)


def shape_of(draft: Draft, final: bool) -> Shape | None:
    """The shape of a task, flows not looked at; None for one that has nothing special."""
    entries = draft.node.entries
    if not final and _SPECIAL.isdisjoint(entries):
        return None
    on_error = draft.values.get("on_error")
    return Shape(
        fans_out="foreach" in entries or "matrix" in entries,
        repeats="repeat" in entries,
        is_default=isinstance(on_error, dict),
        final=final,
    )


def find_flows(shapes: Mapping[str, Shape], drafts: Mapping[str, Draft]) -> None:
    """Set the source of every task into which the items of another one flow."""
    for name, shape in shapes.items():
        template = _items_template(drafts[name].values)
        found = _WHOLE.fullmatch(template.source) if template is not None else None
        if found is None or found[1] == name:
            continue
        source = shapes.get(found[1])
        if source is None or not source.fans_out or source.final != shape.final:
            continue
        if shape.fans_out or found[2] == "outputs":
            shape.source, shape.source_results, shape.flow = found[1], found[2] == "results", template


def _items_template(values: Mapping[str, Any]) -> Template | None:
    """What `foreach`, or a `reduce` that is a tree, takes its items from, if that is one template."""
    items = values.get("foreach")
    if isinstance(items, dict):
        items = items.get("items")
    reduce = values.get("reduce")
    if isinstance(reduce, dict) and reduce.get("mode") == "tree":
        items = reduce.get("items")
    return items.data if isinstance(items, Structure) and isinstance(items.data, Template) else None


def upstream(name: str, shapes: Mapping[str, Shape | None]) -> frozenset[str]:
    """The tasks whose item leads to the item at hand: its source, the source's source, and so on."""
    found: set[str] = set()
    shape = shapes.get(name)
    while shape is not None and shape.fans_out and shape.source and shape.source not in found:
        found.add(shape.source)
        shape = shapes.get(shape.source)
    return frozenset(found)
