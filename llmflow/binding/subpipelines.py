"""The two ends of a sub-pipeline: what it is given at its entry, and what its exit makes of what happened in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflow.binding.nodes import Frame, Node
from llmflow.binding.values import Values
from llmflow.errors import CallFailed, FailureKind, UsageError
from llmflow.language.inputs import check_inputs
from llmflow.language.pipeline import Task
from llmflow.scheduling.state import BLOCKED, CANCELLED, FAILED, SKIPPED


def inputs_of(task: Task, scope: Mapping[str, Any]) -> dict[str, Any]:
    """`with`, checked against what the sub-pipeline declares. Raises CallFailed(template)."""
    assert task.uses is not None
    given = {name: structure.value(scope) for name, structure in task.names.items()}
    try:
        return check_inputs(task.uses, given)
    except UsageError as error:
        raise CallFailed(FailureKind.TEMPLATE, error.message, retryable=False) from error


def outputs_of(index: int, node: Node, values: Values) -> Any:
    """What the sub-pipeline gave. Raises CallFailed(code) where something in it failed that nobody accepted."""
    assert node.inner is not None
    status, graph = values.state.status, values.nodes.graph
    failed = [d for d in node.inner.ids.values() if status[d] in (FAILED, BLOCKED, CANCELLED)]
    if failed:
        first = next((d for d in failed if status[d] == FAILED), failed[0])
        raise CallFailed(FailureKind.CODE, f"{graph.names[first]} {values.word(first)}", retryable=False)
    outputs, problem = printed(node.inner, values)
    if problem:
        raise CallFailed(FailureKind.TEMPLATE, problem, retryable=False)
    return outputs


def printed(frame: Frame, values: Values) -> tuple[Any, str]:
    """What a pipeline gives in the end, and what is wrong with it: `outputs`, else the outputs of its leaves.

    An output that cannot be computed because its task settled without one is null, and nothing is
    wrong with that.
    """
    pipeline = frame.space.pipeline
    if pipeline.outputs is None:
        found = {leaf: _output_of(frame, leaf, values) for leaf in pipeline.leaves()}
        return (next(iter(found.values())) if len(found) == 1 and frame.space.parent is None else found), ""
    scope = values.names_of(frame)
    outputs: dict[str, Any] = {}
    problems = []
    for name, template in pipeline.outputs.items():
        try:
            outputs[name] = template.value(scope)
        except CallFailed as failure:
            outputs[name] = None
            read = [r.path[1] for r in template.references if r.path[0] == "tasks" and len(r.path) > 1]
            if not any(
                values.state.status[frame.ids[t]] == SKIPPED or not values.has_answer(frame.ids[t]) for t in read
            ):
                problems.append(f"outputs.{name}: {failure.detail}")
    return outputs, "; ".join(problems)


def _output_of(frame: Frame, task: str, values: Values) -> Any:
    """Of a `foreach` its outputs; None where it settled without one."""
    node = frame.ids[task]
    if frame.space.pipeline.tasks[task].foreach is not None:
        return values.outputs_of(node) if node in values.groups else None
    return values.outputs.get(node)
