"""The values of a run: inputs, outputs, usage, and the names that templates may say.

The scheduler sees none of this. Outputs are kept by node; a template reads them through mappings
that look up late, so nothing is copied per task.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmflow.binding.nodes import Frame, Node, Nodes
from llmflow.binding.stages import Role
from llmflow.protocol import Usage
from llmflow.scheduling.state import ACCEPTED, FIRST_SETTLED, SUCCEEDED, RunState, Status

_NO_USAGE = Usage()


def status_word(status: int) -> str:
    """The word for people and templates: an accepted failure is `failed`, an unsettled task `pending`."""
    if status < FIRST_SETTLED:
        return "pending"
    return "failed" if status == ACCEPTED else Status(status).name.lower()


@dataclass(slots=True)
class Items:
    """What is remembered of a `foreach`, by ordinal: nodes, keys, items (only if someone asks for `.results`)."""

    nodes: array[int] = field(default_factory=lambda: array("i"))
    keys: list[str] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    """Node → why it failed."""


class Values:
    """Everything templates can reach in one run. `outputs` holds only nodes that gave one."""

    def __init__(
        self, nodes: Nodes, state: RunState, *, environment: Mapping[str, str], run: Mapping[str, Any]
    ) -> None:
        self.outputs: dict[int, Any] = {}
        self.usage: dict[int, Usage] = {}
        self.groups: dict[int, Items] = {}
        self.until_met: dict[int, bool] = {}
        self.state = state
        self.nodes = nodes
        self._environment = environment
        self._run = run

    def scope(self, node: Node, **more: Any) -> dict[str, Any]:
        """The names that a template of the node's task may say; `more` goes on top (`output` in `validate`)."""
        scope = self.names_of(node.frame, node.lineage)
        scope.update(node.names)
        scope.update(more)
        task = node.stage.task
        if task.names and node.stage.role is Role.PLAIN:
            scope.update({name: structure.value(scope) for name, structure in task.names.items()})
        return scope

    def names_of(self, frame: Frame, lineage: Mapping[str, int] | None = None) -> dict[str, Any]:
        """What every template of a pipeline's instance may say."""
        return {
            "inputs": frame.inputs if frame.inputs is not None else {},
            "tasks": _Tasks(frame.ids, lineage or {}, self),
            "env": {name: self._environment.get(name) for name in frame.space.pipeline.env},
            "run": self._run,
        }

    def add_usage(self, node: int, usage: Usage) -> None:
        self.usage[node] = self.usage[node] + usage if node in self.usage else usage

    def word(self, node: int) -> str:
        """The node's status as people read it."""
        return status_word(self.state.status[node])

    def has_answer(self, node: int) -> bool:
        """It succeeded, or failed with a default in its output's place."""
        status = self.state.status[node]
        return status == SUCCEEDED or (status == ACCEPTED and node in self.outputs)

    def outputs_of(self, group: int) -> list[Any]:
        """Of a `foreach`: the outputs of the items that have one, in item order."""
        nodes = self.groups[group].nodes if group in self.groups else ()
        return [self.outputs.get(node) for node in nodes if self.has_answer(node)]

    def results_of(self, group: int) -> list[dict[str, Any]]:
        """Of a `foreach`: `{key, item, output, status, error}` of every item, in item order."""
        if group not in self.groups:
            return []
        kept = self.groups[group]
        items = kept.items or [None] * len(kept.nodes)
        return [
            self.result_of(node, key, item, kept.errors.get(node))
            for node, key, item in zip(kept.nodes, kept.keys, items, strict=True)
        ]

    def result_of(self, node: int, key: str, item: Any, error: str | None) -> dict[str, Any]:
        """One element of `.results`."""
        return {
            "key": key,
            "item": item,
            "output": self.outputs.get(node),
            "status": status_word(self.state.status[node]),
            "error": error,
        }


class _Tasks(Mapping[str, Any]):
    """`tasks` as the templates of one pipeline's instance see it; of a task in the lineage, that item."""

    def __init__(self, ids: Mapping[str, int], lineage: Mapping[str, int], values: Values) -> None:
        self._ids, self._lineage, self._values = ids, lineage, values

    def __getitem__(self, name: str) -> _TaskValues:
        if name in self._lineage:
            return _TaskValues(self._lineage[name], self._values)
        return _TaskValues(self._ids[name], self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class _TaskValues(Mapping[str, Any]):
    """`tasks.ID`: `output` (none where it settled without one), `status`, …; of a `foreach` `outputs`, `results`."""

    KEYS = ("output", "outputs", "results", "status", "until_met", "usage")

    def __init__(self, node: int, values: Values) -> None:
        self._node, self._values = node, values

    def __getitem__(self, key: str) -> Any:
        values, node = self._values, self._node
        if key == "output":
            return values.outputs.get(node)
        if key == "outputs":
            return values.outputs_of(node)
        if key == "results":
            return values.results_of(node)
        if key == "status":
            return status_word(values.state.status[node])
        if key == "until_met":
            return values.until_met.get(node)
        if key == "usage":
            usage = values.usage.get(node, _NO_USAGE)
            return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)
