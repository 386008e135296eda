"""The values of a run: inputs, outputs, usage, and the names that templates may say.

The scheduler sees none of this. Outputs are kept by task id; a template reads them through
mappings that look up late, so nothing is copied per task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.language.pipeline import Task
from llmflow.protocol import Usage
from llmflow.scheduling.state import ACCEPTED, FIRST_SETTLED, RunState, Status

_NO_USAGE = Usage()


def status_word(status: int) -> str:
    """The word for people and templates: an accepted failure is `failed`, an unsettled task `pending`."""
    if status < FIRST_SETTLED:
        return "pending"
    return "failed" if status == ACCEPTED else Status(status).name.lower()


class Values:
    """Everything templates can reach in one run. `outputs` holds only tasks that gave one."""

    def __init__(
        self,
        compiled: Compiled,
        state: RunState,
        *,
        inputs: Mapping[str, Any],
        environment: Mapping[str, str],
        run: Mapping[str, Any],
    ) -> None:
        self.outputs: dict[int, Any] = {}
        self.usage: dict[int, Usage] = {}
        self.state = state
        names = {task.id: i for i, task in enumerate(compiled.tasks)}
        self._scope = {
            "inputs": inputs,
            "tasks": _Tasks(names, self),
            "env": {name: environment.get(name) for name in compiled.pipeline.env},
            "run": run,
        }

    def scope(self, task: Task | None = None, **more: Any) -> dict[str, Any]:
        """The names that a template of `task` may say; `more` goes on top (`output` in `validate`)."""
        scope = {**self._scope, **more}
        if task is not None and task.names:
            scope.update({name: structure.value(scope) for name, structure in task.names.items()})
        return scope

    def add_usage(self, task: int, usage: Usage) -> None:
        self.usage[task] = self.usage[task] + usage if task in self.usage else usage

    def total_usage(self) -> Usage:
        total = Usage()
        for usage in self.usage.values():
            total = total + usage
        return total


class _Tasks(Mapping[str, Any]):
    """`tasks` as templates see it."""

    def __init__(self, ids: Mapping[str, int], values: Values) -> None:
        self._ids, self._values = ids, values

    def __getitem__(self, name: str) -> _TaskValues:
        return _TaskValues(self._ids[name], self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class _TaskValues(Mapping[str, Any]):
    """`tasks.ID`: `output` (none where it settled without one), `status`, `usage`."""

    KEYS = ("output", "status", "usage")

    def __init__(self, task: int, values: Values) -> None:
        self._task, self._values = task, values

    def __getitem__(self, key: str) -> Any:
        values, task = self._values, self._task
        if key == "output":
            return values.outputs.get(task)
        if key == "status":
            return status_word(values.state.status[task])
        if key == "usage":
            usage = values.usage.get(task, _NO_USAGE)
            return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)
