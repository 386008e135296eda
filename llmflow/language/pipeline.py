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

_NOWHERE = Mark("")


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
    mark: Mark = _NOWHERE


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
    durations: Mapping[str, float] = field(default_factory=dict)
    """Task → seconds that a simulated call really takes, whatever is believed."""
    answers: Any = None
    mark: Mark = _NOWHERE


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
class Cache:
    """Answers of earlier runs serve again, for `ttl` seconds; None: for ever."""

    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class Hedge:
    """A call that takes longer than this quantile (a share of one) may be made again, `max` times at most."""

    after: float = 0.9
    max: int = 1


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
class Foreach:
    """Run once per item. Exactly one of `items`, `file`, `zip` and `matrix` is set.

    `key`: the items' keys, None = the index from 0 (of a `matrix`: `a=1,b=x`). `source`: the task
    whose items flow into this one without a barrier, where `items` is exactly its `.results`
    (`source_results`) or `.outputs`; that task is then not among
    `dependencies`. `tolerate`: so many items, or such a share of them, may fail.
    """

    items: Structure | None = None
    file: Template | None = None
    zip: tuple[Structure, ...] = ()
    matrix: Mapping[str, Structure] = field(default_factory=dict)
    name: str = "item"
    key: Template | None = None
    when: Condition | None = None
    workers: int | None = None
    tolerate: tuple[int, float] = (0, 0.0)
    window: int | None = None
    source: str = ""
    source_results: bool = False


@dataclass(frozen=True, slots=True)
class Reduce:
    """Fan-in by pieces of `batch` items: `fold` (one after the other) or `tree`."""

    items: Structure
    batch: int = 10
    mode: str = "fold"
    source: str = ""
    """Of a tree whose `items` is exactly a `foreach`'s `.outputs`: that task; as for `Foreach`, no dependency."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again until the condition holds, at most `max_iterations` times."""

    until: Condition
    max_iterations: int


@dataclass(frozen=True, slots=True)
class Command:
    """A program: words, or one line for the shell where `shell` is true. `stdin` of data is sent as JSON."""

    words: tuple[str, ...]
    line: str = ""
    shell: bool = False
    args: tuple[Template, ...] = ()
    env: Mapping[str, Template] = field(default_factory=dict)
    stdin: Structure | None = None


@dataclass(frozen=True, slots=True)
class Http:
    method: str
    url: Template
    headers: Mapping[str, Template] = field(default_factory=dict)
    json: Structure | None = None
    body: Template | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One entry of `tasks` (or of `finally`).

    `action` is `model` (prompt, prompt_file and messages alike), `value`, `python`, `command`,
    `http`, `uses` or `approve`.

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
    images: tuple[Structure, ...] = ()
    """Each renders to the path of an image file below the pipeline's folder."""
    value: Structure | None = None
    python: str = ""
    """`file.py:function` or `package.module:function`; its arguments are `names`."""
    command: Command | None = None
    http: Http | None = None
    uses: Pipeline | None = None
    """The sub-pipeline, checked, with this pipeline's defaults under its own; its inputs are `names`."""
    approve: Template | None = None
    foreach: Foreach | None = None
    reduce: Reduce | None = None
    repeat: Repeat | None = None
    names: Mapping[str, Structure] = field(default_factory=dict)
    """`with`: extra names for the templates of this task."""
    dependencies: tuple[str, ...] = ()
    order_only: tuple[str, ...] = ()
    when: Condition | None = None
    trigger_rule: str = "all_success"
    output: Output = Output()
    timeout: Timeout = Timeout()
    retry: Retry = Retry()
    cache: Cache | None = None
    hedge: Hedge | None = None
    on_error: OnError = OnError()
    estimate: EstimateSpec | None = None
    priority: int = 0
    save: Template | None = None
    tags: tuple[str, ...] = ()
    description: str = ""

    @property
    def source(self) -> str:
        """The `foreach` whose items flow into this task one by one; empty where none do."""
        return (self.foreach.source if self.foreach else "") or (self.reduce.source if self.reduce else "")


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The file's own wishes; the command line overrides. None = not written."""

    workers: int | None = None
    policy: str | None = None
    fail_fast: bool = False
    hedge_extra: float = 0.08
    """The share of a run's calls that second calls may add."""


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
    finals: Mapping[str, Task] = field(default_factory=dict)
    """The tasks of `finally`; they may read every task of `tasks`."""

    @property
    def key(self) -> str:
        """What history files this pipeline under."""
        return self.name if self.named else self.path

    def leaves(self) -> tuple[str, ...]:
        """Tasks nobody depends on, in file order."""
        used = {d for t in self.tasks.values() for d in (*t.dependencies, t.source)}
        return tuple(name for name in self.tasks if name not in used)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks.values())
