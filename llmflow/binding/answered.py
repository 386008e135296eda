"""What came of one attempt that gave an answer, good or not: what the history keeps of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from llmflow.protocol import Usage
from llmflow.scheduling.events import AttemptStarted


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model, a program, a function or a server gave. `value` is data, or a model's text as it came.

    `asked` is JSON: what was said to it. `key` is the hash of everything that can change the answer,
    None of an answer that serves whatever is asked.
    """

    value: Any
    asked: Any
    key: str | None
    usage: Usage | None = None
    finish_reason: str = "stop"
    answered_by: str = ""
    request_id: str = ""
    first_token: float | None = None
    prompt_chars: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """`began` in run seconds, `duration` in seconds; `concurrency`: attempts running in its pool at the start, itself
    included. `output` is what templates see; `problem` says what was wrong with an answer that was not accepted."""

    started: AttemptStarted
    reply: Reply
    output: Any
    accepted: bool
    problem: str
    began: float
    duration: float
    concurrency: int


def key_of(*parts: Any) -> str:
    """A hash of JSON data, the same in every process."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
