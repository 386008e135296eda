"""What `foreach`, `matrix`, `reduce` and `repeat` say → how often a task runs, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llmflow.language import yaml_reader as yaml
from llmflow.language.pipeline import Foreach, Reduce, Repeat
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.shapes import Shape
from llmflow.language.templates import Structure


def foreach_of(values: Mapping[str, Any], shape: Shape | None) -> Foreach | None:
    """From the values of a task; None also where what was written is not all valid, as for the others here."""
    if "matrix" in values:
        return Foreach(matrix=values["matrix"])
    if "foreach" not in values:
        return None
    written = values["foreach"]
    if not isinstance(written, dict) or written.keys() & {"file", "zip"}:
        written = {"items": written}
    if "items" not in written:
        return None
    rest = {"name" if key == "as" else key: value for key, value in written.items() if key != "items"}
    items = written["items"]
    if isinstance(items, Structure):
        rest["items"] = items
    else:
        rest.update(items)
    if shape is not None and shape.source:
        rest.update(source=shape.source, source_results=shape.source_results)
    return Foreach(**rest)


def reduce_of(values: Mapping[str, Any], shape: Shape | None) -> Reduce | None:
    if "items" not in values.get("reduce", ()):
        return None
    return Reduce(**values["reduce"], source=shape.source if shape is not None else "")


def repeat_of(values: Mapping[str, Any]) -> Repeat | None:
    return Repeat(**values["repeat"]) if len(values.get("repeat", ())) == 2 else None


def check_loops(draft: Draft, reading: Reading, check_file: Callable[[str, int], None]) -> None:
    """What can be checked of them without other tasks; `check_file(path, place)` is asked for a file written out."""
    values = draft.values
    foreach = values.get("foreach")
    if isinstance(foreach, dict):
        items = foreach.get("items", foreach)
        node = draft.node.entries["foreach"]
        if isinstance(node, yaml.Mapping) and "items" in node.entries:
            node = node.entries["items"]
        if isinstance(items, dict) and isinstance(node, yaml.Mapping):
            if "file" in items and "{{" not in items["file"].source:
                check_file(items["file"].source, node.entries["file"].at)
            if "zip" in items:
                _check_lengths(items["zip"], node.entries["zip"].at, reading)
        name = foreach.get("as")
        is_call = "python" in values or "uses" in values
        if name is not None and name in values.get("with", ()) and not is_call:
            whole = draft.node.entries["foreach"]
            assert isinstance(whole, yaml.Mapping)
            reading.problem(whole.entries["as"].at, f"`{name}` is a name of `with` already", "take another name")
    reduce = values.get("reduce")
    if isinstance(reduce, dict) and reduce.get("mode") == "tree" and reduce.get("batch", 2) < 2:
        node = draft.node.entries["reduce"]
        assert isinstance(node, yaml.Mapping)
        message = "a tree needs pieces of at least 2 items: with 1 it would never end"
        reading.problem(node.entries["batch"].at, message)


def _check_lengths(lists: tuple[Structure, ...], at: int, reading: Reading) -> None:
    lengths = [len(structure.data) for structure in lists if isinstance(structure.data, list)]
    if len(set(lengths)) > 1:
        shown = ", ".join(map(str, lengths))
        reading.problem(at, f"the lists of `zip` have different lengths: {shown}")
