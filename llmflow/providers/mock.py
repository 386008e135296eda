"""No model and no waiting: gives the answers, and the failures, that the pipeline scripts.

Beside plain answers (see `answers`) a script may hold maps with one of three keys: `{text: …}` or
`{data: …}` for an answer with details (`finish_reason`, `usage`, `delay`), and `{error: KIND}` for a
failure (`detail`, `retry_after`, `delay`). Any other map is data. With LLMFLOW_MOCK_CALLS=FILE in the
environment each call leaves one JSON line there, so that another process can count what was paid for.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from llmflow.errors import CallFailed, FailureKind, SetupError
from llmflow.protocol import Progress, Request, Response, Usage
from llmflow.providers.answers import Script, as_text, estimated_usage, made_up
from llmflow.providers.registry import ProviderConfig

CALLS_VARIABLE = "LLMFLOW_MOCK_CALLS"

FINISH_REASONS = ("stop", "length", "refusal", "other")

_DETAILS = {
    "text": {"finish_reason", "usage", "delay"},
    "data": {"finish_reason", "usage", "delay"},
    "error": {"detail", "retry_after", "delay"},
}
_USAGE = {f.name for f in fields(Usage)} - {"estimated"}


class MockProvider:
    """Scripted answers. A task that a map of answers leaves out fails; without any, answers are made up."""

    def __init__(self, config: ProviderConfig, environment: Mapping[str, str]) -> None:
        """Raises SetupError naming the first answer that is not understood."""
        for where, answer in _every_answer(config.answers):
            problem = _problem(answer)
            if problem:
                raise SetupError(f"provider {config.name}: answers{where}: {problem}")
        self._scripted = config.answers is not None
        self._script = Script(config.answers)
        self._calls = environment.get(CALLS_VARIABLE)

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        """The next answer of the request's task, after its `delay` in seconds if it has one."""
        self._count(request)
        try:
            answer = self._script.next(request)
        except LookupError:
            if self._scripted:
                detail = f"no answer is scripted for the task {request.label!r}"
                raise CallFailed(FailureKind.NOT_FOUND, detail) from None
            answer = made_up(request)
        directive = answer if _is_directive(answer) else {"data": answer}
        if directive.get("delay"):
            await asyncio.sleep(directive["delay"])
        if "error" in directive:
            kind = FailureKind(directive["error"])
            detail = directive.get("detail", f"a scripted failure of the task {request.label!r}")
            raise CallFailed(kind, detail, retry_after=directive.get("retry_after"))
        text = as_text(directive["text"] if "text" in directive else directive["data"])
        usage = estimated_usage(request, text)
        if "usage" in directive:
            usage = Usage(**directive["usage"])
        if request.stream and progress is not None:
            progress(usage.output_tokens)
        return Response(text, usage, directive.get("finish_reason", "stop"), model=request.model)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _count(self, request: Request) -> None:
        if not self._calls:
            return
        line = json.dumps({"task": request.label, "attempt": request.attempt}) + "\n"
        # One write to a file opened for appending is never torn or lost when the process is killed after it.
        file = os.open(self._calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


def _is_directive(answer: Any) -> bool:
    return isinstance(answer, Mapping) and any(key in answer for key in _DETAILS)


def _every_answer(answers: Any) -> Iterator[tuple[str, Any]]:
    """Every single answer with its place, like `.task[1]`."""
    places = (
        [(f".{name}", written) for name, written in answers.items()]
        if isinstance(answers, Mapping)
        else [("", answers)]
    )
    for where, written in places:
        if isinstance(written, Sequence) and not isinstance(written, str):
            if not written:
                yield where, written
            yield from ((f"{where}[{i}]", answer) for i, answer in enumerate(written))
        else:
            yield where, written


def _problem(answer: Any) -> str:
    """What is wrong with one scripted answer, empty if nothing."""
    if isinstance(answer, Sequence) and not answer and not isinstance(answer, str):
        return "the list of answers is empty (an empty list as an answer is written `data: []`)"
    if not _is_directive(answer):
        return ""
    kinds = [key for key in _DETAILS if key in answer]
    if len(kinds) > 1:
        return f"has both {kinds[0]} and {kinds[1]}"
    kind = kinds[0]
    unknown = sorted(str(key) for key in answer if key != kind and key not in _DETAILS[kind])
    if unknown:
        known = ", ".join(sorted(_DETAILS[kind]))
        return f"unknown key {unknown[0]!r} beside {kind!r} (known: {known}; data of your own goes below `data:`)"
    if kind == "error" and answer["error"] not in tuple(FailureKind):
        return f"there is no failure {answer['error']!r} (there are: {', '.join(FailureKind)})"
    if answer.get("finish_reason", "stop") not in FINISH_REASONS:
        return f"finish_reason is one of {', '.join(FINISH_REASONS)}, not {answer['finish_reason']!r}"
    usage = answer.get("usage", {})
    if not isinstance(usage, Mapping) or not all(
        key in _USAGE and isinstance(value, int) and value >= 0 for key, value in usage.items()
    ):
        return f"usage is a map of whole numbers: {', '.join(sorted(_USAGE))}"
    for key in ("delay", "retry_after"):
        value = answer.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            return f"{key} is a number of seconds, not {value!r}"
    return ""
