"""What has to be done when the scheduler starts a node: steps that take no time, and attempts that do.

It gives the engine an outcome and raises CallFailed; whether to try again after a failure is the
scheduler's. Asking once more because an *answer* was not good enough, because a loop goes on or
because a fold has more pieces is decided here: `again` queues the node anew, so that the next
asking waits for its worker like any other attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from llmflow.binding.answered import Answered, Key, Reply, key_from, key_of
from llmflow.binding.asking import asked_of, request_for, request_key, written_hash
from llmflow.binding.caching import Cache
from llmflow.binding.code import Code
from llmflow.binding.compile import Compiled
from llmflow.binding.limits import Limits
from llmflow.binding.loops import Loop, in_pieces
from llmflow.binding.nodes import Node, Nodes
from llmflow.binding.recall import Recall
from llmflow.binding.saving import save
from llmflow.binding.scope import Scope
from llmflow.binding.stages import Role
from llmflow.binding.subpipelines import inputs_of, outputs_of
from llmflow.binding.values import Values
from llmflow.errors import CallFailed, FailureKind
from llmflow.language.answers import InvalidAnswer, check_conditions, check_value, read_answer
from llmflow.language.pipeline import Task
from llmflow.protocol import Message, Provider, Request, clean_text
from llmflow.redaction import Redactor
from llmflow.runtime.attempts import DEFAULT_IDLE, within
from llmflow.runtime.clock import Clock
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.events import AttemptStarted
from llmflow.scheduling.pools import CONTROL

MAX_EXTENSIONS = 2

Ask = Callable[[str, str], Awaitable[tuple[bool, str]]]
"""(task, message) → (approved, comment), from the person at the terminal."""


class Work:
    """The `call` and `evaluate` of one run."""

    def __init__(
        self,
        compiled: Compiled,
        nodes: Nodes,
        values: Values,
        providers: Sequence[Provider | None],
        code: Code,
        clock: Clock,
        *,
        estimates: Sequence[Estimate],
        limits: Limits,
        keep: Callable[[Answered], None],
        progress: Callable[[int, int], None],
        warn: Callable[[str], None],
        recall: Recall,
        cache: Cache,
        approved: Mapping[str, bool],
        ask: Ask | None,
        redactor: Redactor,
    ) -> None:
        """`keep(answer)` before its end is reported, `progress(node, tokens)`; `approved`: decisions already made."""
        self._compiled, self._nodes, self._values, self._clock = compiled, nodes, values, clock
        self._providers, self._code, self._estimates, self._limits = providers, code, estimates, limits
        self._keep, self._progress, self._warn = keep, progress, warn
        self._recall, self._approved, self._ask = recall, approved, ask
        recall.say = warn
        self._cache, self._copied, self._redactor = cache, -1, redactor
        self._loops: dict[int, Loop] = {}
        self._running: dict[int, int] = {}
        self._calls: dict[int, set[int]] = {}
        """Node that may be hedged → its attempts under way that may still give its answer."""
        self._outrun: set[int] = set()
        """Attempts under way whose node another call has answered for."""
        self._written: dict[int, str] = {}
        self.in_doubt: list[str] = []
        """Tasks that were under way when the run was interrupted, and wait for a word to run again."""
        self.unapproved: list[str] = []
        """Tasks that wait for an approval."""

    # ---- steps that hold no worker ----------------------------------------------------------------

    def evaluate(self, started: AttemptStarted) -> str | None:
        """A condition, a `value`, the beginning of a group, the entry or exit of a sub-pipeline; None: ask a person."""
        index = started.task
        node = self._nodes[index]
        stage, task = node.stage, node.stage.task
        if stage.role is Role.EXIT:
            return self._leave(index, node)
        scope = self._scope(index, node)
        if not self._wanted(node, scope):
            return "skip"
        if stage.role is Role.ENTRY:
            assert node.inner is not None
            node.inner.inputs = inputs_of(task, scope)
            return "done"
        if stage.role is not Role.PLAIN:
            return "expand"
        if task.approve is not None:
            return self._approval(started, node, scope)
        if self._compiled.specs[stage.index].pools[0] != CONTROL:
            return self._recalled(started, node, scope)
        return self._computed(index, node, scope)

    def _wanted(self, node: Node, scope: Scope) -> bool:
        """The condition, if there is one: the task's own, and of an item that of its `foreach`."""
        task, is_item = node.stage.task, bool(node.key)
        if is_item:
            return task.foreach is None or task.foreach.when is None or task.foreach.when.holds(scope)
        return task.when is None or task.when.holds(scope)

    def _computed(self, index: int, node: Node, scope: Scope) -> str:
        task = node.stage.task
        assert task.value is not None
        output = task.value.value(scope)
        self._check(task, output, scope)
        return self._answered(index, node, output, scope)

    def _leave(self, index: int, node: Node) -> str:
        """The exit of a sub-pipeline: it succeeded if nothing in it failed that its author did not accept."""
        output = outputs_of(index, node, self._values)
        scope = self._values.scope(node)
        self._check(node.stage.task, output, scope)
        return self._answered(index, node, output, scope)

    def _approval(self, started: AttemptStarted, node: Node, scope: Scope) -> str | None:
        """What has been decided already, on the command line or in an earlier part of the run; else ask, or wait."""
        name = self._nodes.graph.names[started.task]
        if name in self._approved:
            return self._decided(started, node, self._approved[name], "", scope, self._clock.now())
        reply = self._recall.find(started, node, lambda: _approval_key(node, scope))
        if reply is not None:
            return self._answered(started.task, node, reply.value, scope)
        if self._ask is not None:
            return None
        self.unapproved.append(name)
        return "hold"

    def _decided(
        self, started: AttemptStarted, node: Node, approved: bool, comment: str, scope: Scope, asked_at: float
    ) -> str:
        """Keep what a person said, and how long that took."""
        output = {"approved": approved, "comment": comment}
        problem = "" if approved else f"not approved{': ' + comment if comment else ''}"
        assert node.stage.task.approve is not None
        reply = Reply(output, {"approve": node.stage.task.approve.text(scope)}, _approval_key(node, scope))
        waited = self._clock.now() - asked_at
        self._keep(Answered(started, reply, output, approved, problem, asked_at, waited, 1))
        if problem:
            raise CallFailed(FailureKind.REFUSAL, problem, retryable=False)
        return self._answered(started.task, node, output, scope)

    def _recalled(self, started: AttemptStarted, node: Node, scope: Scope) -> str:
        """Answers that are there already, one after the other as long as they fit what would be asked now."""
        while True:
            if self._nothing_to_fold(started.task, node, scope):
                return "done"
            reply = self._recall.find(
                started, node, lambda: self._asked_key(started, node, self._scope(started.task, node))
            )
            if reply is None and not self._recall.is_in_doubt(node):
                reply = self._cache.find(node, lambda: self._asked_key(started, node, self._scope(started.task, node)))
            if reply is None:
                if not self._recall.is_in_doubt(node):
                    return "proceed"
                name = self._nodes.graph.names[started.task]
                self.in_doubt.append(name)
                self._warn(f"{name}: {self._recall.why_in_doubt(node)}; it waits")
                return "hold"
            if reply.usage is not None:
                self._values.add_usage(started.task, reply.usage)
            output, problem, outcome = self._judge(started.task, node, reply, scope)
            if outcome == "fail":
                return "proceed"
            if reply.given_at is not None and self._copied != started.attempt:  # one attempt has one stored answer
                self._copied = started.attempt
                self._keep(Answered(started, reply, output, not problem, problem, self._clock.now(), 0.0, 1))
            if outcome == "done":
                outcome = self._answered(started.task, node, output, scope)
            if outcome == "done":
                return "done"
            scope = self._scope(started.task, node)

    def _asked_key(self, started: AttemptStarted, node: Node, scope: Scope) -> Key:
        if node.stage.task.action == "model":
            request, pool = self._request(started, node, scope)
            return self._key(node, request, pool)
        return self._code.key(node, self._code.asked(node, scope))

    # ---- attempts ---------------------------------------------------------------------------------

    async def call(self, started: AttemptStarted) -> str:
        """One attempt. Gives `done` or `again`; raises CallFailed."""
        index = started.task
        node = self._nodes[index]
        scope = self._scope(index, node)
        task = node.stage.task
        if task.approve is not None:
            assert self._ask is not None
            asked_at = self._clock.now()
            message = self._redactor.text(task.approve.text(scope))
            approved, comment = await self._ask(self._nodes.graph.names[index], message)
            return self._decided(started, node, approved, comment, scope, asked_at)
        if self._nothing_to_fold(index, node, scope):
            return "done"
        scope = self._scope(index, node)
        pool = started.pool
        self._running[pool] = concurrency = self._running.get(pool, 0) + 1
        calls = self._calls.setdefault(index, set()) if task.hedge is not None else set()
        copy = len(calls)
        calls.add(started.attempt)
        began = self._clock.now()
        try:
            if task.cache is None or copy:
                reply = await self._reply(started, node, scope, copy)
            else:
                key = self._asked_key(started, node, scope)
                reply = await self._cache.once(key.whole, lambda: self._reply(started, node, scope))
        finally:
            self._running[pool] -= 1
            calls.discard(started.attempt)
            if not calls and self._calls.get(index) is calls:
                del self._calls[index]
            unused = started.attempt in self._outrun
            self._outrun.discard(started.attempt)
        duration = self._clock.now() - began
        if reply.usage is not None:
            self._values.add_usage(index, reply.usage)
        if unused:
            problem = "another call of the same attempt had answered before"
            self._keep(Answered(started, reply, reply.value, False, problem, began, duration, concurrency, unused=True))
            return "unused"
        output, problem, outcome = self._judge(index, node, reply, scope)
        answered = Answered(started, reply, output, not problem, problem, began, duration, concurrency)
        self._keep(answered)
        if task.cache is not None and not problem:
            self._cache.remember(reply)
        if outcome == "fail":
            raise CallFailed(answered.failure, problem)
        if outcome == "done":
            outcome = self._answered(index, node, output, scope)
        if calls:
            self._outrun |= calls
            del self._calls[index]
        return outcome

    async def _reply(self, started: AttemptStarted, node: Node, scope: Scope, copy: int = 0) -> Reply:
        task = node.stage.task
        total = self._clock.real(self._limits.of(node.stage.index, started.candidate).total)
        if task.action != "model":
            asked = self._code.asked(node, scope)
            return await within(lambda heard: self._code.run(node, asked), total=total, speed=self._clock.speed)
        request, pool = self._request(started, node, scope, copy)
        provider = self._providers[pool]
        assert provider is not None
        index = started.task
        idle = self._clock.real(task.timeout.idle or DEFAULT_IDLE) if request.stream else None
        response = await within(
            lambda heard: provider.complete(request, heard),
            total=total,
            idle=idle,
            progress=(lambda tokens: self._progress(index, tokens)) if request.stream and not copy else None,
            speed=self._clock.speed,
        )
        return Reply(
            value=clean_text(response.text),
            asked=asked_of(request),
            key=self._key(node, request, pool),
            usage=response.usage,
            finish_reason=response.finish_reason,
            answered_by=response.model,
            request_id=response.request_id,
            first_token=response.first_token,
            prompt_chars=sum(len(m.content) for m in request.messages) + len(request.system),
        )

    def _key(self, node: Node, request: Request, pool: int) -> Key:
        provider, stage = self._compiled.providers[pool], node.stage
        assert provider is not None
        if stage.index not in self._written:
            self._written[stage.index] = written_hash(stage.task)
        return request_key(request, provider, self._written[stage.index])

    def _request(self, started: AttemptStarted, node: Node, scope: Scope, copy: int = 0) -> tuple[Request, int]:
        """The request and the pool it goes to: of a step that only looks for an answer, the first candidate's."""
        stage = node.stage.index
        candidate = started.candidate
        model = self._compiled.models[stage][candidate]
        pool = self._compiled.specs[stage].pools[candidate]
        loop = self._loops.get(started.task) or Loop()
        return request_for(node, started, model, scope, loop, self._estimates[stage], copy=copy), pool

    # ---- answers ----------------------------------------------------------------------------------

    def _judge(self, index: int, node: Node, reply: Reply, scope: Scope) -> tuple[Any, str, str]:
        """(output, what is wrong with the answer, `done` | `again` | `fail`)."""
        task = node.stage.task
        if task.action != "model":
            try:
                self._check(task, reply.value, scope)
            except CallFailed as failure:
                return reply.value, failure.detail, "fail"
            return reply.value, "", "done"
        loop = self._loops.setdefault(index, Loop())
        wanted = task.output
        if reply.finish_reason == "length" and wanted.on_truncated != "keep":
            tokens = reply.usage.output_tokens if reply.usage is not None else 0
            problem = f"the answer was cut off after {tokens} tokens"
            if wanted.on_truncated == "extend" and loop.extensions < MAX_EXTENSIONS:
                loop.extensions += 1
                return None, problem, "again"
            return None, problem, "fail"
        if reply.finish_reason == "length" and wanted.schema is not None:
            return None, "the answer was cut off, and what is left of it is not JSON to be read", "fail"
        try:
            output = read_answer(reply.value, wanted.schema)
            problem = check_conditions(wanted.validate, scope.also(output=output)) or ""
        except InvalidAnswer as error:
            output, problem = None, str(error)
        if not problem:
            return output, "", "done"
        problem = self._redactor.told(problem)  # it quotes the answer, and is asked about in the next turn
        loop.invalid += 1
        if loop.invalid >= wanted.attempts:
            return output, f"the answer is not what `output` asks for: {problem}", "fail"
        if wanted.feedback:
            loop.turns += [
                Message("assistant", reply.value),
                Message("user", f"That answer cannot be used: {problem}\nAnswer again, correctly and completely."),
            ]
        return output, problem, "again"

    def _check(self, task: Task, output: Any, scope: Scope) -> None:
        """What code or a template gave: it is what `output` asks for, or the task fails."""
        problem = None
        if task.output.schema is not None:
            try:
                check_value(output, task.output.schema)
            except InvalidAnswer as error:
                problem = str(error)
        problem = problem or check_conditions(task.output.validate, scope.also(output=output))
        if problem is not None:
            raise CallFailed(FailureKind.INVALID_OUTPUT, problem)

    def _answered(self, index: int, node: Node, output: Any, scope: Scope) -> str:
        """A good output: the loop goes on or ends, the fold takes its next piece, the task has its result."""
        task = node.stage.task
        loop = self._loops.get(index)
        if task.repeat is not None and node.stage.role is Role.PLAIN:
            loop = loop or self._loops.setdefault(index, Loop())
            met = task.repeat.until.holds(scope.also(output=output, iteration=loop.iteration))
            if not met and loop.iteration < task.repeat.max_iterations:
                loop.iteration += 1
                loop.start_anew(output)
                return "again"
            self._values.until_met[index] = met
            if not met:
                name = self._nodes.graph.names[index]
                self._warn(f"{name}: `until` did not hold after {loop.iteration} iterations; its last output is kept")
        if loop is not None and loop.pieces is not None and loop.piece + 1 < len(loop.pieces):
            loop.piece += 1
            loop.start_anew(output)
            return "again"
        self._loops.pop(index, None)
        if task.save is not None and not node.stage.is_item:
            save(node.frame.folder, task.save.text(scope), output)
        self._values.outputs[index] = output
        return "done"

    def settle_without_answer(self, index: int) -> None:
        """The task failed and `on_error` accepts it: its default, if one is written, is its output."""
        node = self._nodes[index]
        default = node.stage.task.on_error.default
        if default is not None:
            self._values.outputs[index] = default.value(self._scope(index, node))
        self._loops.pop(index, None)

    # ---- names ------------------------------------------------------------------------------------

    def _scope(self, index: int, node: Node) -> Scope:
        """The names of the node's templates, those of its loop included."""
        task = node.stage.task
        if task.repeat is None and (task.reduce is None or node.stage.is_item):
            return self._values.scope(node)
        loop = self._loops.setdefault(index, Loop())
        more: dict[str, Any] = {"previous": loop.previous}
        if task.repeat is not None:
            more["iteration"] = loop.iteration
        elif loop.pieces:
            more["items"] = loop.pieces[loop.piece]
        return self._values.scope(node, **more)

    def _nothing_to_fold(self, index: int, node: Node, scope: Scope) -> bool:
        """Cut a fold's items into pieces at its first attempt; True where there is none to ask about."""
        reduce = node.stage.task.reduce
        if reduce is None or node.stage.is_item:
            return False
        loop = self._loops.setdefault(index, Loop())
        if loop.pieces is None:
            items = reduce.items.value(scope)
            if isinstance(items, str) or not isinstance(items, Sequence):
                raise CallFailed(FailureKind.TEMPLATE, "`reduce.items` must be a list", retryable=False)
            loop.pieces = in_pieces(items, reduce.batch)
        if loop.pieces:
            return False
        self._answered(index, node, None, scope)
        return True


def _approval_key(node: Node, scope: Scope) -> Key:
    """A decision stands as long as the question does."""
    assert node.stage.task.approve is not None
    question = node.stage.task.approve.text(scope)
    return key_from({"input": ("approve", question)}, lambda: key_of("approve", question))
