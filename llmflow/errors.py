"""Every error that llmflow raises on purpose, and the exit code that each one gets.

    LlmflowError                     1
    ├── InputError                   2   the user's words are wrong: nothing was spent
    │   ├── PipelineError            2   … in the pipeline file: all problems at once, each with its place
    │   └── UsageError               2   … on the command line or in the Python call
    ├── SetupError                   5   a provider, key or endpoint is missing before anything ran
    ├── StoreError                  74   the history cannot be read or written
    │   └── StoreLocked             75   another process holds the run or the store
    ├── OutputClosed               141   whoever read our output has gone; what was to be done is done
    └── CallFailed                   1   one attempt failed; classified by a `FailureKind`

Errors are data first: `Problem` carries the place, the sentence and the way out; `Problem.render`
turns it into text. A bug of llmflow's own is none of these and is never caught to look tidy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """Why an attempt failed. The first seven may be tried again; the others may not."""

    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    SERVER = "server"
    NETWORK = "network"
    BAD_RESPONSE = "bad_response"
    EMPTY = "empty"

    AUTH = "auth"
    QUOTA = "quota"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"
    CONTEXT_OVERFLOW = "context_overflow"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    INVALID_OUTPUT = "invalid_output"
    TEMPLATE = "template"
    CODE = "code"


RETRYABLE: tuple[FailureKind, ...] = (
    FailureKind.RATE_LIMIT,
    FailureKind.OVERLOADED,
    FailureKind.TIMEOUT,
    FailureKind.SERVER,
    FailureKind.NETWORK,
    FailureKind.BAD_RESPONSE,
    FailureKind.EMPTY,
)
"""What `retry.on` may name; also its default."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file the user wrote. `line` and `column` count from 1; 0 means the file as a whole."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and the way out."""

    mark: Mark
    message: str
    hint: str = ""
    source: str = ""
    """The source line the mark points into, without its line end; empty where there is none."""
    caret: int = 0
    """Column of the caret in `source` where that is only a piece of a long line; 0 = the mark's column."""

    def render(self) -> str:
        """`path:line:column: message`, the source line with a caret, and a `hint:` line."""
        lines = [f"{self.mark}: {self.message}"]
        if self.source and self.mark.column:
            lines.append(f"    {self.source}")
            column = self.caret or self.mark.column
            lead = "".join("\t" if c == "\t" else " " for c in self.source[: column - 1])
            lines.append(f"    {lead}^")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class LlmflowError(Exception):
    """Anything llmflow says no to. `exit_code` is what the command line returns for it."""

    exit_code = 1


class InputError(LlmflowError):
    """What the user wrote is wrong; nothing was spent."""

    exit_code = 2


class PipelineError(InputError):
    """All problems of a pipeline file, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(p.render() for p in self.problems))


class UsageError(InputError):
    """A wrong command line or call; `hint` is the way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message}\n  hint: {hint}" if hint else message)


class SetupError(LlmflowError):
    """A provider, a key or an endpoint is missing or unreachable before anything ran."""

    exit_code = 5

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message}\n  hint: {hint}" if hint else message)


class StoreError(LlmflowError):
    """The history cannot be read or written. `run`: the id of a run in it that can go on once that is mended."""

    exit_code = 74
    run = ""


class StoreLocked(StoreError):
    """Another process holds the run or the store."""

    exit_code = 75


class OutputClosed(LlmflowError):
    """Whoever read our standard output has gone: nothing is said about it, the exit code tells."""

    exit_code = 141


class CallFailed(LlmflowError):
    """One attempt failed. Providers classify; whether to try again is the scheduler's decision.

    `retry_after`: seconds the other side asked us to wait, None if it did not say.
    `detail`: what a person needs to see (already free of secrets and control characters).
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        retry_after: float | None = None,
        retryable: bool | None = None,
        billed: bool = False,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.retryable = kind in RETRYABLE if retryable is None else retryable
        self.billed = billed
        super().__init__(f"{kind.value}: {detail}")
