"""What is remembered of a run, as it is handed to the journal and as it is read back. Plain data, no SQL.

Times of day are seconds since 1970 (UTC); durations are seconds of the run's own clock. Anything
called JSON here is what `json.dumps` takes; it is stored when it is handed over, so changing it
later changes nothing. Lone surrogates become U+FFFD on the way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llmflow.protocol import Usage
from llmflow.scheduling.statistics import SUCCEEDED


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """What the integers of `AttemptStarted` mean: the pool's place in `RunRecord.pools`, its endpoints by index.

    `workers` is None where there is no cap.
    """

    name: str
    workers: int | None = None
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known when a run begins. `pipeline` is the key of its history: its name, else its absolute path."""

    id: str
    pipeline: str
    started_at: float
    path: str = ""
    source: str = ""
    """The pipeline file's text; stored once however many runs share it."""
    policy: str = ""
    workers: int | None = None
    seed: int = 0
    """Below 2**63."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the command line said and going on with the run would need (models, selection, limits). JSON."""
    pools: tuple[PoolRecord, ...] = ()
    forecast: Mapping[str, Any] | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended. `status` is `succeeded`, `failed`, `stopped` or `paused`; `summary` is JSON."""

    status: str
    finished_at: float
    makespan: float
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the history has it. `status` is the outcome's, else `running`, or `interrupted` (its process died)."""

    record: RunRecord
    status: str
    outcome: RunOutcome | None = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What the integer `task` of the story means. `kind` is the action; `model` is `provider/model` or empty."""

    task: int
    name: str
    item: str | None = None
    kind: str = "model"
    model: str = ""
    dependencies: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer that was paid for (or computed): enough to go on without asking again, and to show it.

    `output` is JSON: what the task's templates see. `text` is the raw answer where that differs
    (structured, invalid or cut off). `messages` is JSON: what was asked. `model` is the one asked
    for (`provider/model`), `answered_by` the name that the other side gave. `key` is the hash of
    everything that can change the answer. `accepted` is False for one that was no good (invalid,
    cut off): it was paid for, and nobody may use it. `parts`: a short hash of each part of the
    question, to tell later what changed; no part of it need be kept for that.
    """

    task: int
    attempt: int
    output: Any
    created_at: float
    number: int = 1
    text: str | None = None
    messages: Any = None
    finish_reason: str = "stop"
    model: str = ""
    answered_by: str = ""
    endpoint: str = ""
    usage: Usage = field(default_factory=Usage)
    duration: float = 0.0
    first_token: float | None = None
    request_id: str = ""
    key: str = ""
    accepted: bool = True
    parts: Mapping[str, str] = field(default_factory=dict)


class StoredAnswer(NamedTuple):
    """An answer with the name and the item key of its task."""

    name: str
    item: str | None
    answer: AnswerRecord


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """One measured attempt, for statistics and estimates.

    `model` is `provider/model` or empty, `kind` the provider's (`openai`, `simulated`, …) or the
    action's. `template` is a hash of what the author wrote, so that a changed prompt can be told
    from its predecessor. `outcome` is `succeeded`, a FailureKind, `cancelled` or `cached`; only
    the first kind teaches durations. `concurrency`: attempts of the pool under way at the start,
    this one included. `run`: which run of the store it was of, known where it is read back.
    """

    task: str
    duration: float
    started_at: float
    item: str | None = None
    model: str = ""
    kind: str = ""
    endpoint: str = ""
    template: str = ""
    number: int = 1
    outcome: str = SUCCEEDED
    concurrency: int = 1
    prompt_chars: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    first_token: float | None = None
    run: int | None = field(default=None, compare=False)
