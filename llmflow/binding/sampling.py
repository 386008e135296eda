"""What one attempt of a run teaches, as a sample: whose it was, what it was asked for, what it took."""

from __future__ import annotations

from typing import Any

from llmflow.binding.answered import Answered
from llmflow.binding.asking import written_hash
from llmflow.binding.compile import Compiled
from llmflow.binding.nodes import Nodes
from llmflow.binding.stages import Stage
from llmflow.history.records import SampleRecord
from llmflow.scheduling import events as ev
from llmflow.scheduling.pools import CONTROL
from llmflow.scheduling.statistics import OUTRUN, SUCCEEDED, UNUSED


class Sampling:
    """Makes the samples of one run that began at `started_at`, a time of day."""

    def __init__(self, compiled: Compiled, nodes: Nodes, started_at: float) -> None:
        self._compiled, self._nodes, self._started_at = compiled, nodes, started_at
        self._templates: dict[int, str] = {}

    def of_answer(self, answered: Answered) -> SampleRecord | None:
        """None for a step that holds no worker, and for an answer that somebody else was given."""
        started, reply = answered.started, answered.reply
        if started.pool == CONTROL or reply.given_at is not None:
            return None
        return self._sample(
            started,
            duration=answered.duration,
            began=answered.began,
            outcome=UNUSED if answered.unused else SUCCEEDED if answered.accepted else answered.failure.value,
            concurrency=answered.concurrency,
            prompt_chars=reply.prompt_chars,
            input_tokens=reply.usage.input_tokens if reply.usage is not None else None,
            output_tokens=reply.usage.output_tokens if reply.usage is not None else None,
            first_token=reply.first_token,
        )

    def of_failure(self, started: ev.AttemptStarted, event: ev.AttemptFailed | ev.AttemptCancelled) -> SampleRecord:
        """Of an attempt that gave nothing."""
        if isinstance(event, ev.AttemptFailed):
            outcome = event.kind.value
        else:
            outcome = OUTRUN if event.reason == OUTRUN else "cancelled"
        return self._sample(started, duration=event.at - started.at, began=started.at, outcome=outcome)

    def model(self, stage: Stage, candidate: int) -> str:
        """`provider/model`, empty where the stage calls none."""
        models = self._compiled.models[stage.index]
        return models[candidate] if models else ""

    def endpoint(self, started: ev.AttemptStarted) -> str:
        """The URL that the attempt went to, empty where none is written."""
        provider = self._compiled.providers[started.pool] if started.pool != CONTROL else None
        urls = provider.urls if provider is not None else ()
        return urls[started.endpoint] if started.endpoint < len(urls) else ""

    def _sample(
        self, started: ev.AttemptStarted, *, duration: float, began: float, outcome: str, **measured: Any
    ) -> SampleRecord:
        stage = self._nodes[started.task].stage
        provider = self._compiled.providers[started.pool]
        name, address = self._nodes.name(started.task)
        return SampleRecord(
            task=name,
            item=address,
            duration=duration,
            started_at=self._started_at + began,
            model=self.model(stage, started.candidate),
            kind=provider.kind if provider is not None else stage.task.action,
            endpoint=self.endpoint(started),
            template=self._template(stage),
            number=started.number,
            outcome=outcome,
            **measured,
        )

    def _template(self, stage: Stage) -> str:
        """A hash of what the author wrote for the model, so that a changed prompt starts a new series."""
        if stage.index not in self._templates:
            self._templates[stage.index] = written_hash(stage.task)
        return self._templates[stage.index]
