"""The reference page of the pipeline language in Markdown, made from the field definitions."""

from __future__ import annotations

from collections.abc import Iterator

from llmflow.language.data_types import Parameters
from llmflow.language.field_types import Either, FieldType, ListOf, MapOf
from llmflow.language.fields import PIPELINE
from llmflow.language.records import Drafted, Field, Record, records_in
from llmflow.language.references import FINAL_RUN_ATTRIBUTES, ITEM_ATTRIBUTES, RUN_ATTRIBUTES, TASK_ATTRIBUTES
from llmflow.language.task_fields import ACTIONS, TASK

_OPENING = """\
# Pipeline reference

Every key of a pipeline file. This page is generated from the definitions that the loader checks
with; `llmflow schema` prints the same as a JSON Schema for your editor.
"""

_READING = """\
## How the file is read

- Keys are text, always: `on` stays `on`. A key that is written twice is an error.
- `true` and `false` are booleans and nothing else is; `null`, `~` and nothing at all are none.
- Unquoted `yes`, `no`, `on`, `off`, `True`, `010`, `1_000`, `.inf` and `.nan` are errors: they mean different
  things to different readers. Quote them. `1e3` is the number 1000; `1:30` and `2024-01-31` are text.
- A value that begins with `{{` must be quoted, or YAML takes it for a mapping.
- Anchors, aliases and merge keys (`<<`) work; together they may add 200,000 nodes. Tags (`!!…`) do not work.
- UTF-8, or UTF-16 with a byte order mark. One document. At most 64 levels deep.
- Ids of tasks, aliases and inputs: a letter or `_`, then letters, digits and `_`; at most 64 characters;
  unique ignoring case.
- Paths are relative to the file and stay below its folder.
"""


def reference_page() -> str:
    """The whole page, with a line end at its end."""
    parts = [_OPENING, *_section("Top level", PIPELINE.fields)]
    seen: list[Record] = [PIPELINE]
    for record in _below(PIPELINE, seen):
        if record is TASK:
            actions = ", ".join(f"`{a}`" for a in ACTIONS)
            parts += _section("A task", record.fields, f"Exactly one of {actions} is the task's action.\n")
        else:
            parts += _section(record.title[:1].upper() + record.title[1:], record.fields)
    parts += [_references(), _READING]
    return "\n".join(parts)


def _below(record: Record, seen: list[Record]) -> Iterator[Record]:
    """All records below `record`, each once, a record's own before those of its neighbours."""
    for f in record.fields:
        for inner in _records(f.type):
            if all(inner is not s for s in seen):
                seen.append(inner)
                yield inner
                yield from _below(inner, seen)


def _records(kind: FieldType) -> list[Record]:
    return [kind.known] if isinstance(kind, Parameters) else list(records_in(kind))


def _section(title: str, fields: tuple[Field, ...], text: str = "") -> list[str]:
    lines = [f"## {title}", ""]
    if text:
        lines.append(text)
    lines += ["| key | value | meaning |", "|---|---|---|"]
    for f in fields:
        meaning = f.doc + (" Required." if f.required else "") + (f" Default: {f.default}." if f.default else "")
        lines.append(f"| `{f.name}` | {_cell(_words(f.type))} | {_cell(meaning)} |")
    return [*lines, ""]


def _words(kind: FieldType) -> str:
    """The type in words; of a record its name, which is the title of its own section."""
    if isinstance(kind, Record | Drafted):
        record = kind.record if isinstance(kind, Drafted) else kind
        return f"[{record.title}](#{_anchor(record)})"
    if isinstance(kind, Parameters):
        return f"[{kind.known.title}](#{_anchor(kind.known)})"
    if isinstance(kind, MapOf) and records_in(kind.value):
        return f"{kind.names.what} → {_words(kind.value)}"
    if isinstance(kind, ListOf) and records_in(kind.item):
        return f"a list, each {_words(kind.item)}"
    if isinstance(kind, MapOf):
        return f"{kind.names.what} → {kind.value.words}"
    if isinstance(kind, Either):
        return ", or ".join(_words(choice) for _, choice in kind.choices)
    return kind.words


def _anchor(record: Record) -> str:
    return record.title.lower().replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _references() -> str:
    def listed(prefix: str, names: tuple[str, ...]) -> str:
        return ", ".join(f"`{prefix}.{name}`" for name in names)

    return f"""\
## What templates can refer to

| name | where | what it is |
|---|---|---|
| `inputs.NAME` | everywhere | what the run was given |
| {listed("tasks.ID", TASK_ATTRIBUTES)} | everywhere | what a task gave, how it settled, its tokens |
| `tasks.ID.output.NAME` | everywhere | of a task with `uses`: one of the used file's outputs |
| {listed("tasks.ID", ITEM_ATTRIBUTES[:2])} | everywhere | of a task with `foreach` or `matrix`: \
the outputs of the items that succeeded, in item order; all items, with `key`, `item`, `output`, `status` and `error` |
| `tasks.ID.until_met` | everywhere | of a task with `repeat`: whether its condition held in the end |
| `env.NAME` | everywhere | an environment variable that is listed under `env` |
| {listed("run", RUN_ATTRIBUTES)} | everywhere | the run itself |
| {listed("run", FINAL_RUN_ATTRIBUTES)} | in `finally` | how the run ended, what it cost, the ids of failed tasks |
| names of `with` | in their task | each is filled in for each call |
| `item`, or the name in `as` | with `foreach` or `matrix` | the item; of a `matrix`, `item.NAME` |
| `tasks.ID.output` | with a `foreach` over `tasks.ID.outputs` or `.results` | the output that this item \
comes from; also of tasks further up the chain |
| `items` | with `reduce` | this piece of the list |
| `previous` | with `repeat`, or a `reduce` that folds | the answer before, none at first |
| `iteration` | with `repeat` | counts from 1 |
| `output` | in `validate` and `until` | the answer |

A task that a template refers to is a dependency: nobody writes an edge twice. `when`, `save` and the items of a
`foreach` or `reduce` are filled in once, before there is an item, a piece or an iteration, so they cannot refer to one.

A `foreach` whose items are exactly `{{{{ tasks.ID.outputs }}}}` or `{{{{ tasks.ID.results }}}}` does not wait for all
of them: each item goes on as soon as it has one. Anything else in the template, a filter too, waits for all.

Where two or more dependencies meet and one of them can be skipped while another is not, `trigger_rule` must be written.
"""
