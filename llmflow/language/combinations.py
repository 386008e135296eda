"""Which fields of a task may stand together: sentences and hints for those that may not.

The tables are in the task's definition (`beside`, `apart`), where the JSON Schema has them from.
"""

from __future__ import annotations

from llmflow.language import yaml_reader as yaml
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.task_fields import MODEL_ACTIONS, TASK

_WHY = {
    **dict.fromkeys(("system", "model", "params", "images", "hedge"), "which calls no model"),
    **dict.fromkeys(("timeout", "retry"), "which makes no call"),
    **dict.fromkeys(("args", "env", "stdin", "shell"), "which runs no program"),
}
_HINTS = {
    ("uses", "model"): "`defaults: {model: …}` here reaches the tasks of the used file",
    ("uses", "hedge"): "write it in the tasks of the used file",
    ("uses", "timeout"): "write it in the tasks of the used file",
    ("uses", "retry"): "write it in the tasks of the used file",
    ("uses", "repeat"): "repeat a task of the used file",
    ("uses", "reduce"): "reduce in a task of the used file",
    ("approve", "timeout"): "a run waits for a person, or pauses until there is one",
    ("approve", "retry"): "a person is asked once",
    ("approve", "repeat"): "a person is asked once",
}
_APART = {
    ("foreach", "matrix"): "a `matrix` is a `foreach` over all combinations: keep one of the two",
    ("foreach", "reduce"): "reduce in a task of its own that reads `tasks.ID.outputs`",
    ("matrix", "reduce"): "reduce in a task of its own that reads `tasks.ID.outputs`",
    ("reduce", "repeat"): "repeat in a task of its own that reads `tasks.ID.output`",
}
_MODEL_OUTPUT = ("on_invalid", "on_truncated")
"""Parts of `output` that ask a model again."""


def check_combinations(draft: Draft, action: str, reading: Reading) -> None:
    """Report every field that means nothing beside the task's action, and every two that exclude each other."""
    entries = draft.node.entries
    for key, others in TASK.beside.items():
        if key in entries and action not in others:
            message = f"`{key}` means nothing beside `{action}`"
            if key in _WHY:
                message += f", {_WHY[key]}"
            reading.problem(draft.node.key_place(key), message, _HINTS.get((action, key), "delete it"))
    for pair in TASK.apart:
        if pair[0] in entries and pair[1] in entries:
            message = f"`{pair[0]}` and `{pair[1]}` cannot stand in one task"
            reading.problem(max(map(draft.node.key_place, pair)), message, _APART[pair])
    if action in MODEL_ACTIONS:
        return
    output, timeout = entries.get("output"), entries.get("timeout")
    if isinstance(output, yaml.Mapping) and action in TASK.beside["output"]:
        for key in _MODEL_OUTPUT:
            if key in output.entries:
                message = f"`{key}` means nothing beside `{action}`, which calls no model"
                reading.problem(output.key_place(key), message, "delete it")
    if isinstance(timeout, yaml.Mapping) and action in TASK.beside["timeout"] and "idle" in timeout.entries:
        message = f"`idle` means nothing beside `{action}`, which streams no tokens"
        reading.problem(timeout.key_place("idle"), message, "delete it; `total` counts")
