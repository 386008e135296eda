"""The keys that make many of one task: `foreach` and `matrix`, `reduce`, `repeat`."""

from __future__ import annotations

from llmflow.language import yaml_reader as yaml
from llmflow.language.data_types import ItemList, ItemTemplate, Tolerance, Workers
from llmflow.language.field_types import (
    ConditionText,
    Either,
    ListOf,
    MapOf,
    Name,
    Number,
    OneOf,
    TemplateText,
    is_list,
    is_mapping,
    is_scalar,
)
from llmflow.language.names import ITEM_NAMES, WITH_NAMES
from llmflow.language.records import Field, Record
from llmflow.language.yaml_reader import Node


def _is_file(node: Node) -> bool:
    return isinstance(node, yaml.Mapping) and "file" in node.entries and "items" not in node.entries


def _is_zip(node: Node) -> bool:
    return isinstance(node, yaml.Mapping) and "zip" in node.entries and "items" not in node.entries


_LISTS = Either(((is_list, ItemList()), (is_scalar, ItemTemplate())), "a list, or a template that gives one")
_WITH_FIELDS = {
    key: f"write `foreach: {{items: …, {key}: …}}`" for key in ("as", "key", "when", "workers", "tolerate", "window")
}

FILE_ITEMS = Record(
    "items from a file",
    (
        Field(
            "file",
            TemplateText("the path of a file, which may be a template", empty=False),
            "A `.jsonl` or `.csv` file below the pipeline's folder, read row by row while the run goes on.",
            required=True,
        ),
    ),
    aliases=_WITH_FIELDS,
    prefix="foreach.",
)

ZIP_ITEMS = Record(
    "items side by side",
    (
        Field(
            "zip",
            ListOf(_LISTS, minimum=1, many="lists, or templates that give them"),
            "Lists of equal length: item k is the list of their k-th elements.",
            required=True,
        ),
    ),
    aliases=_WITH_FIELDS,
    prefix="foreach.",
)

_ITEMS = ((_is_file, FILE_ITEMS), (_is_zip, ZIP_ITEMS), (is_list, ItemList()), (is_scalar, ItemTemplate()))

FOREACH = Record(
    "foreach",
    (
        Field(
            "items",
            Either(_ITEMS),
            "What to run for: a template that gives a list, a list, `{file: …}` or `{zip: [...]}`.",
            required=True,
        ),
        Field("as", Name(ITEM_NAMES), "What the templates of the task call the item.", "`item`"),
        Field(
            "key",
            TemplateText(empty=False),
            "A text of at most 200 characters that names the item; no two may have the same.",
            "the index, from 0",
        ),
        Field("when", ConditionText(), "A condition on the item; where it is false the item is skipped."),
        Field("workers", Workers(), "How many of the items may be under way at once.", "as many as the pool has"),
        Field("tolerate", Tolerance(), "How many items may fail without the task failing.", "0"),
        Field(
            "window",
            Number(whole=True, minimum=1),
            "How many items are let in at once; one goes through all stages of its chain before the next comes in, "
            "and none comes in while that many pieces of a tree behind them wait.",
            "32 or 4 × workers, whichever is more",
        ),
    ),
    aliases={
        "in": "write `items`",
        "list": "write `items`",
        "over": "write `items`",
        "item": "write `as`",
        "var": "write `as`",
        "if": "write `when`",
        "concurrency": "write `workers`",
        "max_parallel": "write `workers`",
        "parallelism": "write `workers`",
        "max_failures": "write `tolerate`",
        "file": "write `items: {file: …}`",
        "zip": "write `items: {zip: [...]}`",
    },
    prefix="foreach.",
)

REDUCE = Record(
    "reduce",
    (
        Field(
            "items",
            _LISTS,
            "The list that is taken together, piece by piece.",
            required=True,
        ),
        Field("batch", Number(whole=True, minimum=1), "How many items one call sees, as `items`.", "10"),
        Field(
            "mode",
            OneOf(("fold", "tree"), {"map_reduce": "write `tree`", "refine": "write `fold`"}),
            "`fold` goes from piece to piece with the answer so far as `previous`; `tree` asks for the pieces side "
            "by side, then for the pieces of their answers.",
            "`fold`",
        ),
    ),
    aliases={"size": "write `batch`", "batch_size": "write `batch`", "chunk": "write `batch`", "over": "write `items`"},
    prefix="reduce.",
)

REPEAT = Record(
    "repeat",
    (
        Field("until", ConditionText(), "A condition over `output`; where it holds the loop ends.", required=True),
        Field(
            "max_iterations",
            Number(whole=True, minimum=1),
            "How often the task runs at most; reaching it is a success with a warning.",
            required=True,
        ),
    ),
    aliases={
        "while": "write `until` with the opposite condition",
        "max": "write `max_iterations`",
        "times": "write `max_iterations`",
        "limit": "write `max_iterations`",
    },
)

FOREACH_FIELD = Field(
    "foreach",
    Either(
        (
            (_is_file, FILE_ITEMS),
            (_is_zip, ZIP_ITEMS),
            (is_mapping, FOREACH),
            (is_list, ItemList()),
            (is_scalar, ItemTemplate()),
        )
    ),
    "Runs the task once for each item, as many at once as there are workers.",
)
MATRIX_FIELD = Field(
    "matrix",
    MapOf(_LISTS, WITH_NAMES, minimum=1),
    "Runs the task once for each combination: name → list; `item.NAME` is the value.",
)
REDUCE_FIELD = Field("reduce", REDUCE, "Takes a long list together by pieces, one call for each.")
REPEAT_FIELD = Field("repeat", REPEAT, "Runs the task again until a condition holds, a bounded number of times.")
