"""What came of one attempt that gave an answer, good or not: what the history keeps of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from llmflow.errors import FailureKind
from llmflow.protocol import Usage
from llmflow.scheduling.events import AttemptStarted

WITHHELD = "withheld"
"""A part beside the others, the whole key, of an answer that held a secret: what is stored of it is not what was given,
and it is to be found by no key."""


class Key(NamedTuple):
    """What stands for a question: `whole` is a hash of everything that can change the answer.

    `parts`: a short hash of each part of it and of what the author wrote (`prompt`, which is not in `whole`), so
    that it can be named what changed. `before()`: the whole as versions hashed it that kept no parts.
    """

    whole: str
    parts: Mapping[str, str]
    before: Callable[[], str] | None = None

    def fits(self, other: Key) -> bool:
        """True where the question is the same as that of `other`, an answer's key that may be of an older version."""
        if self.whole == other.whole:
            return True
        return not other.parts and self.before is not None and self.before() == other.whole


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model, a program, a function or a server gave. `value` is data, or a model's text as it came.

    `asked` is JSON: what was said to it. `key` stands for that, None of an answer that serves whatever is asked.
    """

    value: Any
    asked: Any
    key: Key | None
    usage: Usage | None = None
    finish_reason: str = "stop"
    answered_by: str = ""
    request_id: str = ""
    first_token: float | None = None
    prompt_chars: int | None = None
    given_at: float | None = None
    """Time of day, of an answer that somebody else was given: nobody pays for it twice, and it teaches no duration."""


@dataclass(frozen=True, slots=True)
class Answered:
    """`began` in run seconds, `duration` in seconds; `concurrency`: attempts running in its pool at the start, itself
    included. `output` is what templates see; `problem` says what was wrong with an answer that was not accepted.
    `unused`: another call of the same attempt had answered before."""

    started: AttemptStarted
    reply: Reply
    output: Any
    accepted: bool
    problem: str
    began: float
    duration: float
    concurrency: int
    unused: bool = False

    @property
    def failure(self) -> FailureKind:
        """What an answer that was not accepted is called."""
        return FailureKind.TRUNCATED if self.reply.finish_reason == "length" else FailureKind.INVALID_OUTPUT


def key_from(parts: Mapping[str, Any], before: Callable[[], str] | None = None, **written: str) -> Key:
    """The key of a question that consists of `parts` (JSON); `written` can be compared too and changes no answer."""
    digests = {name: key_of(part) for name, part in parts.items()}
    return Key(key_of(digests), {name: digest[:12] for name, digest in {**digests, **written}.items()}, before)


def key_of(*parts: Any) -> str:
    """A hash of JSON data, the same in every process."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
