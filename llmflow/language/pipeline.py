"""A checked pipeline: what the loader gives and everybody else reads. No YAML, no marks to interpret.

Everything here is immutable and already valid: references resolve, types fit, the graph has no
cycle. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmflow.errors import RETRYABLE, FailureKind, Mark
from llmflow.language.templates import Condition, Structure, Template

UNLIMITED = 0
"""`workers` where there is no cap."""


@dataclass(frozen=True, slots=True)
class Input:
    """One declared (or, without an `inputs` key, inferred) input."""

    name: str
    type: str = "string"
    required: bool = False
    default: Any = None
    enum: tuple[Any, ...] = ()
    format: str = ""
    """For `file`: `text`, `json`, `jsonl`, `csv` or `yaml`; empty = by the file's ending."""
    description: str = ""
    mark: Mark = Mark("")


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider = one pool of workers. `workers`: None where the author wrote none (the kind decides)."""

    name: str
    kind: str
    base_url: str | None = None
    endpoints: tuple[str, ...] = ()
    api_key_env: str | None = None
    workers: int | None = None
    speed: float = 1.0
    answers: Any = None
    mark: Mark = Mark("")


@dataclass(frozen=True, slots=True)
class Retry:
    """`max_attempts` counts the first try; delays are full-jitter exponential."""

    max_attempts: int = 4
    on: tuple[FailureKind, ...] = RETRYABLE
    initial: float = 1.0
    factor: float = 2.0
    max: float = 60.0
    jitter: bool = True


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds. `idle` is the longest silence on a streamed call; None = the default applies."""

    total: float | None = None
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class EstimateSpec:
    """The author's prior for the duration in seconds; `sd` is 0 where only one number was written."""

    mean: float
    sd: float = 0.0
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What an answer must be. `schema` is a JSON Schema (the shorthand is already translated)."""

    schema: Mapping[str, Any] | None = None
    validate: tuple[Condition, ...] = ()
    attempts: int = 2
    feedback: bool = True
    on_truncated: str = "fail"


@dataclass(frozen=True, slots=True)
class OnError:
    """`fail`, `continue`, or `default` with the value that takes the output's place."""

    action: str = "fail"
    default: Structure | None = None


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    role: str
    content: Template


@dataclass(frozen=True, slots=True)
class Task:
    """One entry of `tasks`. `action` is `model` (prompt, prompt_file and messages alike) or `value`.

    `dependencies` are all edges, inferred and written, in file order of their tasks, no duplicates;
    `order_only` are those of them that only `depends_on` names.
    """

    id: str
    action: str
    mark: Mark
    messages: tuple[MessageTemplate, ...] = ()
    system: Template | None = None
    models: tuple[str, ...] = ()
    """`provider/model`, aliases resolved, tried left to right; empty = the run's default model."""
    params: Structure | None = None
    value: Structure | None = None
    names: Mapping[str, Structure] = field(default_factory=dict)
    """`with`: extra names for the templates of this task."""
    dependencies: tuple[str, ...] = ()
    order_only: tuple[str, ...] = ()
    when: Condition | None = None
    trigger_rule: str = "all_success"
    output: Output = Output()
    timeout: Timeout = Timeout()
    retry: Retry = Retry()
    on_error: OnError = OnError()
    estimate: EstimateSpec | None = None
    priority: int = 0
    save: Template | None = None
    tags: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The file's own wishes; the command line overrides. None = not written."""

    workers: int | None = None
    policy: str | None = None
    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A file that passed every check."""

    path: str
    name: str
    named: bool
    """True where the author wrote `name`: history is keyed by it, else by the absolute path."""
    description: str
    inputs: Mapping[str, Input]
    providers: Mapping[str, ProviderSpec]
    """Declared ones only; `openai`, `anthropic`, `ollama` and `local` work without."""
    models: Mapping[str, tuple[str, ...]]
    scheduling: Scheduling
    tasks: Mapping[str, Task]
    outputs: Mapping[str, Template] | None
    env: tuple[str, ...]

    @property
    def key(self) -> str:
        """What history files this pipeline under."""
        return self.name if self.named else self.path

    def leaves(self) -> tuple[str, ...]:
        """Tasks nobody depends on, in file order."""
        used = {d for t in self.tasks.values() for d in t.dependencies}
        return tuple(name for name in self.tasks if name not in used)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks.values())
