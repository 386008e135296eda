"""One attempt of one task: render, ask, check the answer, keep it.

It gives the engine an outcome and raises CallFailed; whether to try again after a failure is the
scheduler's. Asking once more because an *answer* was not good enough is decided here: `again`
queues the task anew with the reason added to the conversation, so the re-asking waits for its
worker like any other call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.files import save
from llmflow.binding.values import Values
from llmflow.errors import CallFailed, FailureKind
from llmflow.language.answers import InvalidAnswer, check_conditions, read_answer
from llmflow.language.pipeline import Task
from llmflow.protocol import Message, Provider, Request, Response, clean_text
from llmflow.runtime.attempts import DEFAULT_IDLE, DEFAULT_TOTAL, within
from llmflow.runtime.clock import Clock
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.events import AttemptStarted
from llmflow.scheduling.pools import CONTROL

DEFAULT_MAX_OUTPUT_TOKENS = 1024
"""What `on_truncated: extend` doubles where the author wrote no `max_output_tokens`."""

MAX_EXTENSIONS = 2


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer that was paid for, good or not: what the history keeps of it."""

    started: AttemptStarted
    request: Request
    response: Response
    output: Any
    accepted: bool
    problem: str
    began: float
    """Run seconds at the send."""
    duration: float
    concurrency: int
    """Attempts running in its pool at the send, itself included."""


@dataclass(slots=True)
class _Conversation:
    """What has to be said anew because of earlier answers of this task."""

    turns: list[Message] = field(default_factory=list)
    invalid: int = 0
    extensions: int = 0


class Calls:
    """The `call` and `evaluate` of one run."""

    def __init__(
        self,
        compiled: Compiled,
        values: Values,
        provider_of: Callable[[int], Provider],
        clock: Clock,
        *,
        estimates: list[Estimate],
        keep: Callable[[Answered], None],
        progress: Callable[[int, int], None],
    ) -> None:
        """`provider_of(pool)`, `keep(answer)` before its end is reported, `progress(task, tokens)`."""
        self._compiled, self._values, self._clock = compiled, values, clock
        self._provider_of, self._keep, self._progress = provider_of, keep, progress
        self._estimates = estimates
        self._conversations: dict[int, _Conversation] = {}
        self._running: dict[int, int] = {}
        self._folder = Path(compiled.pipeline.path).parent

    # ---- steps that hold no worker ----------------------------------------------------------------

    def evaluate(self, started: AttemptStarted) -> str:
        """A condition or a `value`."""
        task = self._compiled.tasks[started.task]
        scope = self._values.scope(task)
        if task.when is not None and not task.when.holds(scope):
            return "skip"
        if self._compiled.specs[started.task].pools[0] != CONTROL:
            return "proceed"
        assert task.value is not None
        output = task.value.value(scope)
        problem = check_conditions(task.output.validate, {**scope, "output": output})
        if problem is not None:
            raise CallFailed(FailureKind.INVALID_OUTPUT, problem)
        self._settle(started.task, task, output)
        return "done"

    def settle_without_answer(self, index: int) -> None:
        """The task failed and `on_error` accepts it: its default, if one is written, is its output."""
        task = self._compiled.tasks[index]
        if task.on_error.default is not None:
            self._values.outputs[index] = task.on_error.default.value(self._values.scope(task))

    def _settle(self, index: int, task: Task, output: Any) -> None:
        if task.save is not None:
            save(self._folder, task.save.text(self._values.scope(task)), output)
        self._values.outputs[index] = output

    # ---- model calls ------------------------------------------------------------------------------

    async def call(self, started: AttemptStarted) -> str:
        """One model call. Gives `done` or `again`; raises CallFailed."""
        task = self._compiled.tasks[started.task]
        scope = self._values.scope(task)
        request = self._request(started, task, scope)
        pool = started.pool
        self._running[pool] = concurrency = self._running.get(pool, 0) + 1
        began = self._clock.now()
        try:
            response = await self._send(started, task, request)
        finally:
            self._running[pool] -= 1
        duration = self._clock.now() - began
        self._values.add_usage(started.task, response.usage)
        response = replace(response, text=clean_text(response.text))
        output, problem, outcome = self._judge(started, task, request, response, scope)
        self._keep(
            Answered(started, request, response, output, outcome == "done", problem, began, duration, concurrency)
        )
        if outcome == "fail":
            kind = FailureKind.TRUNCATED if response.finish_reason == "length" else FailureKind.INVALID_OUTPUT
            raise CallFailed(kind, problem)
        if outcome == "done":
            self._conversations.pop(started.task, None)
            self._settle(started.task, task, output)
        return outcome

    async def _send(self, started: AttemptStarted, task: Task, request: Request) -> Response:
        provider = self._provider_of(started.pool)
        index = started.task

        def progress(tokens: int) -> None:
            self._progress(index, tokens)

        total = task.timeout.total if task.timeout.total is not None else DEFAULT_TOTAL
        idle = (task.timeout.idle or DEFAULT_IDLE) if request.stream else None
        return await within(
            lambda heard: provider.complete(request, heard),
            total=self._clock.real(total),
            idle=None if idle is None else self._clock.real(idle),
            progress=progress if request.stream else None,
        )

    def _request(self, started: AttemptStarted, task: Task, scope: Mapping[str, Any]) -> Request:
        index = started.task
        conversation = self._conversations.get(index)
        messages = [Message(m.role, clean_text(m.content.text(scope))) for m in task.messages]
        params: dict[str, Any] = dict(task.params.value(scope)) if task.params is not None else {}
        if conversation is not None:
            messages += conversation.turns
            if conversation.extensions:
                limit = int(params.get("max_output_tokens") or DEFAULT_MAX_OUTPUT_TOKENS)
                params["max_output_tokens"] = limit * 2**conversation.extensions
        estimate = self._estimates[index]
        written = task.estimate
        return Request(
            model=self._compiled.models[index][started.candidate].partition("/")[2],
            messages=tuple(messages),
            system=clean_text(task.system.text(scope)) if task.system is not None else "",
            params=params,
            schema=task.output.schema,
            stream=task.timeout.idle is not None,
            endpoint=started.endpoint,
            label=task.id,
            attempt=started.number,
            expected=estimate.mean,
            expected_sd=estimate.sd,
            expected_output_tokens=written.output_tokens if written is not None else None,
        )

    def _judge(
        self, started: AttemptStarted, task: Task, request: Request, response: Response, scope: Mapping[str, Any]
    ) -> tuple[Any, str, str]:
        """(output, what is wrong with the answer, `done` | `again` | `fail`)."""
        talk = self._conversations.setdefault(started.task, _Conversation())
        wanted = task.output
        if response.finish_reason == "length" and wanted.on_truncated != "keep":
            problem = f"the answer was cut off after {response.usage.output_tokens} tokens"
            if wanted.on_truncated == "extend" and talk.extensions < MAX_EXTENSIONS:
                talk.extensions += 1
                return None, problem, "again"
            return None, problem, "fail"
        if response.finish_reason == "length" and wanted.schema is not None:
            return None, "the answer was cut off, and what is left of it is not JSON to be read", "fail"
        try:
            output = read_answer(response.text, wanted.schema)
            problem = check_conditions(wanted.validate, {**scope, "output": output}) or ""
        except InvalidAnswer as error:
            output, problem = None, str(error)
        if not problem:
            return output, "", "done"
        talk.invalid += 1
        if talk.invalid >= wanted.attempts:
            return output, f"the answer is not what `output` asks for: {problem}", "fail"
        if wanted.feedback:
            talk.turns += [
                Message("assistant", response.text),
                Message("user", f"That answer cannot be used: {problem}\nAnswer again, correctly and completely."),
            ]
        return output, problem, "again"
