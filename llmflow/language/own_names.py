"""Names that only the templates of one task may say: those of its `with`, its item, its pieces, its answers so far.

What is decided before items, pieces and iterations are known (`when`, the items themselves, the file
they are saved in) can say none of them, nor a name of `with`, which is filled in for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from llmflow.language.names import ROOTS
from llmflow.language.records import Draft
from llmflow.language.shapes import LOOPS, Shape
from llmflow.language.templates import Template

EARLY = frozenset(("when", "save", "foreach", "foreach.items", "foreach.file", "foreach.zip", "matrix", "reduce.items"))
"""Fields that are filled in once for the whole task."""

_ANSWER = ("validate", "until")
"""Fields that judge an answer, which they call `output`."""


@dataclass(frozen=True, slots=True)
class OwnNames:
    """`item` is what the item is called, empty where there is none; `upstream` the tasks whose item is at hand."""

    names: Collection[str] = ()
    loops: bool = False
    item: str = ""
    has_items: bool = False
    has_previous: bool = False
    has_iteration: bool = False
    upstream: frozenset[str] = frozenset()
    flow: Template | None = None
    final: bool = False

    def has_name(self, root: str, field: str) -> bool:
        """True where a template of `field` may say `root`."""
        if root == "output":
            return field in _ANSWER
        early = self.loops and field in EARLY
        if root in self.names and field != "with":
            return not early and field != "foreach.key"
        if root == self.item:
            return not early
        if early or field.startswith("foreach."):
            return False
        return (
            (root == "items" and self.has_items)
            or (root == "previous" and self.has_previous)
            or (root == "iteration" and self.has_iteration)
        )

    def is_of_item(self, task: str, field: str) -> bool:
        """True where `tasks.TASK.output` means the item at hand."""
        return task in self.upstream and field not in EARLY and field != "foreach.key"

    def known(self, field: str) -> list[str]:
        """What `field` may say beside what every template may."""
        names = (*self.names, self.item, "items", "previous", "iteration", "output")
        return [name for name in names if name and self.has_name(name, field)]

    def missing(self, root: str, field: str) -> tuple[str, str] | None:
        """Why `root`, which other templates may say, is not there; None for a name nobody knows."""
        if root in self.names:
            if field == "with":
                return f"a value of `with` cannot use `{root}`, another name of `with`", ""
            shown = field.replace("foreach.key", "key").removeprefix("foreach.").removeprefix("reduce.")
            hint = "write the value itself here: `with` is filled in for each call"
            return f"`{root}` of `with` does not exist yet in `{shown}`", hint
        if root == "output":
            return "`output` exists in `validate` and `until` only", "write `tasks.ID.output`"
        if (root == "item" and not self.item) or (root == "items" and not self.has_items):
            where = "`foreach` or `matrix`" if root == "item" else "`reduce`"
            return f"`{root}` exists only in a task with {where}", ""
        if root == "previous" and not self.has_previous:
            hint = "the pieces of a tree do not follow one another" if self.has_items else ""
            return "`previous` exists only in a task with `repeat` or a `reduce` that folds", hint
        if root == "iteration" and not self.has_iteration:
            return "`iteration` exists only in a task with `repeat`", ""
        if root == "item" and self.item != "item":
            return f"`item` is called `{self.item}` here", f"write `{self.item}`"
        if root in ("items", "previous", "iteration", self.item):
            hint = "`foreach: {when: …}` is asked for each item" if field == "when" and self.item else ""
            shown = field.removeprefix("foreach.").removeprefix("reduce.")
            return f"`{root}` does not exist yet in `{shown}`", hint
        return None


NO_NAMES = OwnNames()
NAMES_OF_OUTPUTS = OwnNames(final=True)
"""What the `outputs` of a pipeline may say: they are filled in when the tasks of `finally` have settled too."""


def own_names(draft: Draft, shape: Shape | None, upstream: frozenset[str]) -> OwnNames:
    """The names of one task's own."""
    values, entries = draft.values, draft.node.entries
    names: Collection[str] = values.get("with", ())
    if shape is None and not names and "reduce" not in entries:
        return NO_NAMES
    if "uses" in entries:
        names = ()  # they are the inputs of the other pipeline, and its alone
    foreach: Any = values.get("foreach")
    reduce: Any = values.get("reduce")
    is_tree = isinstance(reduce, Mapping) and reduce.get("mode") == "tree"
    name = "item" if shape is not None and shape.fans_out else ""
    if isinstance(foreach, Mapping):
        name = foreach.get("as", name)
    if "python" in entries:  # arguments may be called like what templates know already, and hide nothing
        names = [argument for argument in names if argument not in (*ROOTS, name)]
    return OwnNames(
        names,
        loops=not LOOPS.isdisjoint(entries),
        item=name,
        has_items="reduce" in entries,
        has_previous="repeat" in entries or ("reduce" in entries and not is_tree),
        has_iteration="repeat" in entries,
        upstream=upstream,
        flow=shape.flow if shape is not None else None,
        final=shape is not None and shape.final,
    )
