"""What a run tells its journal: the record it begins with, its events, its answers, its samples, its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmflow.binding.answered import Answered
from llmflow.binding.compile import Compiled
from llmflow.binding.nodes import Nodes
from llmflow.binding.sampling import Sampling
from llmflow.binding.secrecy import without_secrets
from llmflow.history.journal import Journal
from llmflow.history.locks import RunLock
from llmflow.history.records import AnswerRecord, PoolRecord, RunOutcome, RunRecord, SampleRecord, TaskRecord
from llmflow.language.rows import Rows
from llmflow.protocol import Usage
from llmflow.redaction import Redactor
from llmflow.scheduling import events as ev
from llmflow.scheduling.pools import CONTROL

if TYPE_CHECKING:
    from llmflow.binding.execution import RunOptions
    from llmflow.reports.summary import RunSummary


NO_CONTENT = "no_content"
"""The option of a run whose prompts and answers were not kept."""


class Recording:
    """The journal of one run, in the words of the binding. Raises StoreError wherever the journal does."""

    def __init__(
        self,
        run: str,
        started_at: float,
        compiled: Compiled,
        nodes: Nodes,
        options: RunOptions,
        sampling: Sampling,
        redactor: Redactor,
        *,
        forecast: Mapping[str, Any],
        version: str,
    ) -> None:
        assert options.store is not None
        self._compiled, self._nodes, self._content = compiled, nodes, options.keep_content
        self._delivers = options.delivers and options.keep_content
        self._sampling, self._started_at, self._redactor = sampling, started_at, redactor
        self._began: dict[int, ev.AttemptStarted] = {}
        if options.earlier is not None:
            self._journal = Journal.resume(options.store, run)
        else:
            self._journal = Journal(options.store, self._record(run, options, forecast, version))
        self.tasks(range(compiled.stages.static))
        self._journal.flush()  # the first attempt need not wait for the record it belongs to
        self.acknowledged: Callable[[int], Any] = self._journal.acknowledged

    def _record(self, run: str, options: RunOptions, forecast: Mapping[str, Any] | None, version: str) -> RunRecord:
        compiled = self._compiled
        return RunRecord(
            id=run,
            pipeline=compiled.pipeline.key,
            started_at=self._started_at,
            path=compiled.pipeline.path,
            source=options.source if self._content else "",
            policy=options.policy,
            workers=compiled.workers or None,
            seed=options.seed,
            inputs={name: _plain(value) for name, value in options.inputs.items()} if self._content else {},
            options=options.words if self._content else {NO_CONTENT: True},
            pools=tuple(
                PoolRecord(pool.name, pool.size or None, provider.urls if provider is not None else ())
                for pool, provider in zip(compiled.pools, compiled.providers, strict=True)
            ),
            forecast=forecast,
            version=version,
        )

    def publish(self, events: Sequence[ev.Event]) -> int:
        """Queue events; attempts that failed without an answer leave a sample too. Gives the position of the last."""
        for event in events:
            if isinstance(event, ev.AttemptStarted):
                if event.pool != CONTROL:
                    self._began[event.attempt] = event
            elif isinstance(event, ev.AttemptSucceeded):
                self._began.pop(event.attempt, None)
            elif isinstance(event, ev.AttemptFailed | ev.AttemptCancelled):
                started = self._began.pop(event.attempt, None)
                if started is not None:
                    self._journal.sample(self._sampling.of_failure(started, event))
        return self._journal.write(events if self._content else [_without_detail(event) for event in events])

    def tasks(self, ids: range) -> None:
        """Queue what nodes of the graph mean, ahead of the events that speak of them."""
        graph = self._nodes.graph
        records = []
        for index in ids:
            stage = self._nodes[index].stage
            name, address = self._nodes.name(index)
            kind = stage.task.action if stage.item < 0 else "foreach" if stage.task.foreach is not None else "reduce"
            records.append(
                TaskRecord(
                    index,
                    name,
                    address,
                    kind=kind,
                    model=self._sampling.model(stage, 0),
                    dependencies=graph.waited_for(index),
                )
            )
        self._journal.tasks(records)

    def keep(self, answered: Answered, sample: SampleRecord | None) -> None:
        """Queue an answer and its sample (None: nothing was measured), ahead of the event that tells of its end."""
        started, reply = answered.started, answered.reply
        node = self._nodes[started.task]
        text = reply.value if isinstance(reply.value, str) and reply.value != answered.output else None
        record = AnswerRecord(
            task=started.task,
            attempt=started.attempt,
            output=answered.output,
            created_at=reply.given_at or time.time(),
            number=started.number,
            text=text,
            messages=reply.asked,
            finish_reason=reply.finish_reason,
            model=self._sampling.model(node.stage, started.candidate),
            answered_by=reply.answered_by,
            endpoint=self._sampling.endpoint(started),
            usage=reply.usage or Usage(),
            duration=answered.duration,
            first_token=reply.first_token,
            request_id=reply.request_id,
            key=reply.key.whole if reply.key is not None else "",
            parts=reply.key.parts if reply.key is not None else {},
            accepted=answered.accepted,
        )
        if not self._content:
            record = replace(record, output=None, text=None, messages=None, key="", parts={})
        self._journal.answer(without_secrets(record, self._redactor))
        if sample is not None:
            self._journal.sample(sample)
            self._began.pop(started.attempt, None)  # one attempt has one sample, also if its answer makes it fail

    def finish(self, status: str, summary: RunSummary, document: Mapping[str, Any]) -> RunLock | None:
        """Commit how the run ended, and let go of it: unless it has succeeded and its outputs are to be delivered.

        Gives the lock of such a run. Raises StoreError if the writer has failed, now or earlier.
        """
        delivers = self._delivers and status == "succeeded"
        if not self._content:
            tasks = {n: {k: v for k, v in task.items() if k != "error"} for n, task in document["tasks"].items()}
            document = {**document, "outputs": None, "tasks": tasks, "problem": None}
        try:
            self._journal.finish(RunOutcome(status, time.time(), summary.makespan, document))
        finally:
            self._journal.close(keep_lock=delivers)
        return self._journal.lock if delivers else None

    def close(self) -> None:
        """Commit what is queued and let go of the run, unless `finish` has. Raises StoreError if that fails."""
        self._journal.close()


def _without_detail(event: ev.Event) -> ev.Event:
    """What went wrong may quote what was said."""
    if isinstance(event, ev.AttemptFailed | ev.TaskFailed):
        return event._replace(detail="")
    return event


def _plain(value: Any) -> Any:
    """An input as JSON: rows that are read from a file by the file's name."""
    return {"file": str(value.path)} if isinstance(value, Rows) else value
