"""What is said to a model and what comes back: the words that runtime, providers and history share.

It knows no provider, no task and no file. Text in here is already free of lone surrogates
(`clean_text`), which neither SDK nor SQLite can encode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from llmflow.errors import FailureKind

__all__ = [
    "FailureKind",
    "Image",
    "Message",
    "Progress",
    "Provider",
    "Request",
    "Response",
    "Starts",
    "Usage",
    "clean_text",
]

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""A response whose text is larger fails as `too_large`."""


def clean_text(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD; everything else, NUL included, is kept."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True, slots=True)
class Image:
    """An image that goes with a user message: its bytes and its media type (`image/png`)."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: `role` is `user`, `assistant` or `system`."""

    role: str
    content: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` is the sum, cached ones included."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    """True where the other side sent no usage and the numbers are our estimate (shown as `~`)."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `model` is the name without its provider; `params` are llmflow's own names.

    `params` may hold `temperature top_p max_output_tokens stop seed`; anything else is passed
    through to the endpoint as it stands. `schema` is a JSON Schema the answer must fit.
    `label` (`task` or `task[key]`), `attempt` (from 1), `copy` (0, or which further call of that
    attempt this is), `expected` (mean seconds) and `expected_sd` are there for providers that act
    a part (`simulated`, `mock`).
    """

    model: str
    messages: tuple[Message, ...]
    system: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    stream: bool = False
    endpoint: int = 0
    label: str = ""
    attempt: int = 1
    copy: int = 0
    expected: float = 1.0
    expected_sd: float = 0.0
    expected_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. `finish_reason` is `stop`, `length`, `refusal` or `other`.

    `limits` holds the rate-limit headers as they came (lower-case names); `first_token` is the
    seconds from the send to the first token where the call streamed, else None.
    """

    text: str
    usage: Usage
    finish_reason: str = "stop"
    model: str = ""
    request_id: str = ""
    first_token: float | None = None
    limits: Mapping[str, str] = field(default_factory=dict)


Progress = Callable[[int], None]
"""Called by a streaming provider with the number of tokens (or chunks) received so far."""


class Provider(Protocol):
    """Who answers. One object per provider of a pipeline, made inside the running event loop."""

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        """One call, tried once. Raises `CallFailed`, classified; cancellation passes through."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and child processes. May be called twice."""
        ...


@runtime_checkable
class Starts(Protocol):
    """A provider that has to be made ready before the run's time begins (a server to start, a model to fetch)."""

    async def start(self, report: Callable[[int, int], None] | None = None) -> None:
        """Be ready for calls; `report` hears of bytes (there, in all). Raises SetupError."""
        ...
