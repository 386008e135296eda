"""What a run tells its journal: the record it begins with, its events, its answers, its samples, its end."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmflow.binding.calls import Answered
from llmflow.binding.compile import Compiled
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, PoolRecord, RunOutcome, RunRecord, SampleRecord, TaskRecord
from llmflow.language.pipeline import Task
from llmflow.protocol import Request
from llmflow.scheduling import events as ev
from llmflow.scheduling.pools import CONTROL

if TYPE_CHECKING:
    from llmflow.binding.execution import RunOptions
    from llmflow.reports.summary import RunSummary


class Recording:
    """The journal of one run, in the words of the binding. Raises StoreError wherever the journal does."""

    def __init__(self, run: str, started_at: float, compiled: Compiled, options: RunOptions, *, version: str) -> None:
        assert options.store is not None
        self._compiled = compiled
        self._started_at = started_at
        self._began: dict[int, ev.AttemptStarted] = {}
        self._templates: dict[int, str] = {}
        self._journal = Journal(
            options.store,
            RunRecord(
                id=run,
                pipeline=compiled.pipeline.key,
                started_at=started_at,
                path=compiled.pipeline.path,
                source=options.source,
                policy=options.policy,
                workers=compiled.workers or None,
                seed=options.seed,
                inputs=options.inputs,
                pools=tuple(
                    PoolRecord(pool.name, pool.size or None, provider.urls)
                    for pool, provider in zip(compiled.pools, compiled.providers, strict=True)
                ),
                version=version,
            ),
        )
        self._journal.tasks(
            [
                TaskRecord(
                    i, task.id, kind=task.action, model=self._model(i, 0), dependencies=compiled.graph.dependencies[i]
                )
                for i, task in enumerate(compiled.tasks)
            ]
        )
        self._journal.flush()  # the first attempt need not wait for the record it belongs to
        self.acknowledged: Callable[[int], Any] = self._journal.acknowledged

    def publish(self, events: Sequence[ev.Event]) -> int:
        """Queue events; attempts that failed leave a sample too. Gives the position of the last."""
        for event in events:
            if isinstance(event, ev.AttemptStarted):
                if event.pool != CONTROL:
                    self._began[event.attempt] = event
            elif isinstance(event, ev.AttemptSucceeded):
                self._began.pop(event.attempt, None)
            elif isinstance(event, ev.AttemptFailed | ev.AttemptCancelled):
                started = self._began.pop(event.attempt, None)
                if started is not None:
                    self._sample_failure(started, event)
        return self._journal.write(events)

    def keep(self, answered: Answered) -> None:
        """Queue an answer and its sample, ahead of the event that tells of its end."""
        started, request, response = answered.started, answered.request, answered.response
        task = self._compiled.tasks[started.task]
        now = time.time()
        self._journal.answer(
            AnswerRecord(
                task=started.task,
                attempt=started.attempt,
                output=answered.output,
                created_at=now,
                number=started.number,
                text=response.text if answered.output != response.text else None,
                messages=_asked(request),
                finish_reason=response.finish_reason,
                model=self._model(started.task, started.candidate),
                answered_by=response.model,
                endpoint=self._endpoint(started),
                usage=response.usage,
                duration=answered.duration,
                first_token=response.first_token,
                request_id=response.request_id,
            )
        )
        self._journal.sample(
            SampleRecord(
                task=task.id,
                duration=answered.duration,
                started_at=self._started_at + answered.began,
                model=self._model(started.task, started.candidate),
                kind=self._compiled.providers[started.pool].kind,
                endpoint=self._endpoint(started),
                template=self._template(started.task, task),
                number=started.number,
                outcome="succeeded" if answered.accepted else "invalid_output",
                concurrency=answered.concurrency,
                prompt_chars=sum(len(m.content) for m in request.messages) + len(request.system),
                input_tokens=response.usage.input_tokens,
                output_tokens=response.usage.output_tokens,
                first_token=response.first_token,
            )
        )

    def finish(self, status: str, summary: RunSummary, document: Mapping[str, Any]) -> None:
        """Queue how the run ended."""
        self._journal.finish(RunOutcome(status, time.time(), summary.makespan, document))

    def close(self) -> None:
        """Commit what is queued and let go of the run. Raises StoreError if the writer has failed."""
        self._journal.close()

    def _sample_failure(self, started: ev.AttemptStarted, event: ev.AttemptFailed | ev.AttemptCancelled) -> None:
        task = self._compiled.tasks[started.task]
        self._journal.sample(
            SampleRecord(
                task=task.id,
                duration=event.at - started.at,
                started_at=self._started_at + started.at,
                model=self._model(started.task, started.candidate),
                kind=self._compiled.providers[started.pool].kind,
                endpoint=self._endpoint(started),
                template=self._template(started.task, task),
                number=started.number,
                outcome=event.kind.value if isinstance(event, ev.AttemptFailed) else "cancelled",
            )
        )

    def _model(self, index: int, candidate: int) -> str:
        models = self._compiled.models[index]
        return models[candidate] if models else ""

    def _endpoint(self, started: ev.AttemptStarted) -> str:
        urls = self._compiled.providers[started.pool].urls
        return urls[started.endpoint] if started.endpoint < len(urls) else ""

    def _template(self, index: int, task: Task) -> str:
        """A hash of what the author wrote for the model, so that a changed prompt starts a new series."""
        if index not in self._templates:
            written = [(m.role, m.content.source) for m in task.messages]
            system = task.system.source if task.system is not None else ""
            self._templates[index] = hashlib.sha256(json.dumps([written, system]).encode()).hexdigest()[:16]
        return self._templates[index]


def _asked(request: Request) -> list[dict[str, str]]:
    """The conversation as it was sent, the system text first."""
    turns = [{"role": m.role, "content": m.content} for m in request.messages]
    return [{"role": "system", "content": request.system}, *turns] if request.system else turns
