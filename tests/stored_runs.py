"""Runs with a fixed story in a store, for tests that look back: a small letter, and a triage in which much fails."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest

from llmflow.errors import FailureKind
from llmflow.history.identity import run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, PoolRecord, RunOutcome, RunRecord, SampleRecord, TaskRecord
from llmflow.history.store import Store
from llmflow.protocol import Usage
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.simulate import simulate
from llmflow.scheduling.tasks import TaskSpec

NOON = 1_704_196_800.0
"""2024-01-02 12:00:00 UTC."""

EDGES = {"ask": [], "left": ["ask"], "right": ["ask"], "join": ["left", "right"]}
SECONDS = {"ask": 1.0, "left": 2.0, "right": 4.0, "join": 1.0}


@contextmanager
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are written as in Greenwich, wherever the tests run."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def identity(number: int, started_at: float = NOON) -> str:
    return run_id(started_at + number, number.to_bytes(10, "big"))


def undisturbed(
    store: Store,
    number: int,
    *,
    pipeline: str = "letter",
    seconds: Mapping[str, float] | None = None,
    workers: int = 2,
    policy: str = "critical-path",
    prompts: Mapping[str, str] | None = None,
    model: str = "sim/any",
    started_at: float = NOON,
) -> str:
    """A run in which everything goes well, `number` seconds after `started_at`; returns its id."""
    graph = Graph.of(EDGES)
    durations = [{**SECONDS, **(seconds or {})}[name] for name in graph.names]
    run = simulate(
        graph,
        [TaskSpec(pools=(0,))] * len(graph),
        [PoolSpec("sim", workers)],
        durations,
        POLICIES[policy].priorities(graph, durations, 0),
    )
    record = RunRecord(
        id=identity(number, started_at),
        pipeline=pipeline,
        path=f"/home/ada/{pipeline}.yaml",
        started_at=started_at + number,
        policy=policy,
        workers=workers,
        inputs={"topic": "tea"},
        pools=(PoolRecord("sim", workers),),
        version="0.1.0",
    )
    with Journal(store, record) as journal:
        journal.tasks(_tasks(graph, model))
        for event in run.story:
            if isinstance(event, ev.AttemptStarted):
                name = graph.names[event.task]
                said = (prompts or {}).get(name, f"Do {name}.")
                _answer(journal, event, name, durations[event.task], said, model, record.started_at)
        journal.write(run.story)
        summary = {"lower_bound": 6.0, "lower_bound_kind": "critical path", "ratio": run.makespan / 6.0}
        summary["outputs"] = "the end"
        journal.finish(RunOutcome("succeeded", record.started_at + run.makespan, run.makespan, summary))
    return record.id


def _tasks(graph: Graph, model: str) -> Sequence[TaskRecord]:
    return [
        TaskRecord(task, name, model=model, dependencies=graph.dependencies[task])
        for task, name in enumerate(graph.names)
    ]


def _answer(
    journal: Journal, event: ev.AttemptStarted, name: str, seconds: float, said: str, model: str, began: float
) -> None:
    journal.answer(
        AnswerRecord(
            task=event.task,
            attempt=event.attempt,
            output=f"{name} is done",
            created_at=began + event.at + seconds,
            messages=[{"role": "user", "content": said}],
            model=model,
            answered_by=model.partition("/")[2],
            usage=Usage(len(said), 3),
            duration=seconds,
        )
    )
    journal.sample(
        SampleRecord(
            name,
            seconds,
            started_at=began + event.at,
            model=model,
            kind="simulated",
            template=said[:3],
            input_tokens=len(said),
            output_tokens=3,
        )
    )


def troubled(store: Store, number: int, *, status: str = "failed") -> str:
    """`ask` is turned away once, then answers badly, then well; `each` has two items, one fails; `after` is blocked."""
    graph = Graph.of({"ask": [], "each": ["ask"], "after": ["each"]})
    record = RunRecord(
        id=identity(number),
        pipeline="/home/ada/triage.yaml",
        path="/home/ada/triage.yaml",
        started_at=NOON + number,
        policy="fifo",
        pools=(PoolRecord("api", 1, ("https://one.example/v1",)),),
        version="0.1.0",
    )
    story: list[ev.Event] = [
        ev.RunStarted(0.0),
        ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0),
        ev.AttemptFailed(0.5, 0, 1, FailureKind.RATE_LIMIT, "slow\x1b[2J down", 2.0),
        ev.TimerSet(0.5, 1, 0, 2.5, "rate_limit"),
        ev.TimerFired(2.5, 1),
        ev.AttemptStarted(2.5, 0, 2, 2, 0, 0, 0),
        ev.AttemptSucceeded(3.5, 0, 2, "again"),
        ev.AttemptStarted(3.5, 0, 3, 3, 0, 0, 0),
        ev.AttemptSucceeded(5.5, 0, 3),
        ev.TaskSucceeded(5.5, 0),
        ev.AttemptStarted(5.5, 1, 4, 1, -1, 0, 0),
        ev.AttemptSucceeded(5.5, 1, 4, "expand"),
        ev.TasksAdded(5.5, 1, 3, 2),
        ev.ItemsClosed(5.5, 1),
        ev.AttemptStarted(5.5, 3, 5, 1, 0, 0, 0),
        ev.AttemptSucceeded(6.5, 3, 5),
        ev.TaskSucceeded(6.5, 3),
        ev.AttemptStarted(6.5, 4, 6, 1, 0, 0, 0),
    ]
    if status == "failed":
        story += [
            ev.AttemptFailed(8.0, 4, 6, FailureKind.REFUSAL, "no \u202eword"),
            ev.TaskFailed(8.0, 4, FailureKind.REFUSAL, "no \u202eword"),
            ev.TaskFailed(8.0, 1, FailureKind.REFUSAL, "1 of 2 items failed"),
            ev.TaskBlocked(8.0, 2, 1),
            ev.RunFinished(8.0, "failed"),
        ]
    with Journal(store, record) as journal:
        journal.tasks(_tasks(graph, "api/big")[:1])
        journal.tasks([TaskRecord(1, "each", kind="model", dependencies=(0,))])
        journal.tasks([TaskRecord(2, "after", model="api/big", dependencies=(1,))])
        journal.tasks([TaskRecord(3, "each", "x", model="api/big"), TaskRecord(4, "each", "y\x1b[1m", model="api/big")])
        _kept(journal, 0, 2, 2, "{bad", 1.0, invalid=True)
        _kept(journal, 0, 3, 3, {"mood": "good"}, 1.75, text='{"mood": "good"}')
        _kept(journal, 3, 5, 1, "fine\x1b]0;title\x07 thing\nsecond line", 1.0, item="x")
        journal.sample(SampleRecord("ask", 0.5, NOON + number, model="api/big", kind="openai", outcome="rate_limit"))
        if status == "failed":
            failed = SampleRecord("each", 1.5, NOON + number + 6.5, item="y\x1b[1m", model="api/big", outcome="refusal")
            journal.sample(failed)
        journal.write(story)
        if status == "failed":
            summary = {"lower_bound": 6.0, "lower_bound_kind": "work", "ratio": 8 / 6, "outputs": None}
            journal.finish(RunOutcome("failed", NOON + number + 8.0, 8.0, summary))
    return record.id


def _kept(
    journal: Journal,
    task: int,
    attempt: int,
    number: int,
    output: object,
    seconds: float,
    *,
    text: str | None = None,
    item: str | None = None,
    invalid: bool = False,
) -> None:
    name = "ask" if item is None else "each"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What of {item or 'it'}?"}]
    journal.answer(
        AnswerRecord(
            task,
            attempt,
            output,
            NOON,
            number=number,
            text=text,
            messages=turns,
            model="api/big",
            answered_by="big-2026",
            endpoint="https://one.example/v1",
            usage=Usage(20, 5),
            duration=seconds,
            first_token=0.25,
            request_id="req_1",
        )
    )
    outcome = "invalid_output" if invalid else "succeeded"
    journal.sample(
        SampleRecord(name, seconds, NOON, item=item, model="api/big", kind="openai", number=number, outcome=outcome)
    )
