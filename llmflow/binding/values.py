"""The values of a run: inputs, outputs, usage, and the names that templates may say.

The scheduler sees none of this. Outputs are kept by node; a template reads them through mappings
that look up late, so nothing is copied per task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llmflow.binding.nodes import Frame, Node, Nodes
from llmflow.binding.scope import Scope
from llmflow.binding.stages import Role
from llmflow.protocol import Usage
from llmflow.scheduling.packed import Packed
from llmflow.scheduling.state import ACCEPTED, FIRST_SETTLED, SUCCEEDED, RunState, Status

_NO_USAGE = Usage()


def status_word(status: int) -> str:
    """The word for people and templates: an accepted failure is `failed`, an unsettled task `pending`."""
    if status < FIRST_SETTLED:
        return "pending"
    return "failed" if status == ACCEPTED else Status(status).name.lower()


@dataclass(slots=True)
class Items:
    """What is kept of a `foreach`, as its items came: nodes, keys and items (these if someone asks for `.results`)."""

    nodes: Packed[int] = field(default_factory=lambda: Packed("i"))
    ordinals: Packed[int] = field(default_factory=lambda: Packed("i"))
    """Their places in the item order; empty as long as they have come in that order."""
    keys: list[str] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    """Node → why it failed."""

    def add(self, node: int, ordinal: int) -> None:
        """One more item. Where they flow from stage to stage the first to come need not be the first in order."""
        if not self.ordinals and ordinal != len(self.nodes):
            self.ordinals.extend(range(len(self.nodes)))
        if ordinal != len(self.nodes) or self.ordinals:
            self.ordinals.append(ordinal)
        self.nodes.append(node)

    def in_order(self) -> Sequence[int]:
        """Places in `nodes`, `keys` and `items`, in item order."""
        places = range(len(self.nodes))
        return sorted(places, key=self.ordinals.__getitem__) if self.ordinals else places


class Values:
    """Everything templates can reach in one run. `outputs` holds only nodes that gave one."""

    def __init__(
        self, nodes: Nodes, state: RunState, *, environment: Mapping[str, str], run: Mapping[str, Any]
    ) -> None:
        self.outputs: dict[int, Any] = {}
        self.usage: dict[int, Usage] = {}
        self._folded: dict[int, Usage] = {}
        """Group → tokens of its items that are forgotten."""
        self.groups: dict[int, Items] = {}
        self.until_met: dict[int, bool] = {}
        self.state = state
        self.nodes = nodes
        self._environment = environment
        self._run = run

    def scope(self, node: Node, **more: Any) -> Scope:
        """The names that a template of the node's task may say; `more` are those of its loop."""
        names = self.names_of(node.frame, node.lineage)
        names.update(node.names)
        names.update(more)
        return Scope(names, node.stage.task.names if node.stage.role is Role.PLAIN else None)

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

    def fold_usage(self, nodes: Iterable[int], into: int) -> None:
        """Tokens of nodes that are forgotten stay with the group whose items they were."""
        for node in nodes:
            used = self.usage.pop(node, None)
            if used is not None:
                self._folded[into] = self._folded.get(into, _NO_USAGE) + used

    def forget(self, nodes: Iterable[int]) -> None:
        """Nobody can ask for what these nodes gave."""
        for node in nodes:
            self.outputs.pop(node, None)
            self.groups.pop(node, None)
            self.until_met.pop(node, None)

    def usage_of(self, node: int) -> Usage:
        """Tokens of the node; of a group those of its items."""
        used = self.usage.get(node, _NO_USAGE) + self._folded.get(node, _NO_USAGE)
        items = self.groups[node].nodes if node in self.groups else ()
        return sum((self.usage[item] for item in items if item in self.usage), used)

    def all_usage(self) -> dict[int, Usage]:
        """Node → tokens, those of forgotten items with their group: they add up to what the run has used."""
        return {**self.usage, **{n: self.usage.get(n, _NO_USAGE) + used for n, used in self._folded.items()}}

    def word(self, node: int) -> str:
        """The node's status as people read it."""
        return status_word(self.state.status[node])

    def has_answer(self, node: int) -> bool:
        """It succeeded, or failed with a default in its output's place."""
        status = self.state.status[node]
        return status == SUCCEEDED or (status == ACCEPTED and node in self.outputs)

    def outputs_of(self, group: int) -> list[Any]:
        """Of a `foreach`: the outputs of the items that have one, in item order."""
        if group not in self.groups:
            return []
        kept = self.groups[group]
        nodes = (kept.nodes[place] for place in kept.in_order())
        return [self.outputs.get(node) for node in nodes if self.has_answer(node)]

    def results_of(self, group: int) -> list[dict[str, Any]]:
        """Of a `foreach`: `{key, item, output, status, error}` of every item, in item order."""
        if group not in self.groups:
            return []
        kept = self.groups[group]
        items = kept.items or [None] * len(kept.nodes)
        return [
            self.result_of(kept.nodes[i], kept.keys[i], items[i], kept.errors.get(kept.nodes[i]))
            for i in kept.in_order()
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
        task = self._ids[name]
        return _TaskValues(self._lineage.get(name, task), task, self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class _TaskValues(Mapping[str, Any]):
    """`tasks.ID`: `output` (none where it settled without one), `status`, …; of a `foreach` `outputs`, `results`."""

    KEYS = ("output", "outputs", "results", "status", "until_met", "usage")

    def __init__(self, node: int, group: int, values: Values) -> None:
        """`node` is the task's, or the item's that is meant; `group` is always the task's."""
        self._node, self._group, self._values = node, group, values

    def __getitem__(self, key: str) -> Any:
        values, node = self._values, self._node
        if key == "output":
            return values.outputs.get(node)
        if key == "outputs":
            return values.outputs_of(self._group)
        if key == "results":
            return values.results_of(self._group)
        if key == "status":
            return status_word(values.state.status[node])
        if key == "until_met":
            return values.until_met.get(node)
        if key == "usage":
            usage = values.usage_of(node)
            return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)
