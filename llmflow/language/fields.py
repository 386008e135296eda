"""Every key at the top of a pipeline file, defined once: its type, what it means, what holds without it.

Those of a task are in `task_fields`. The loader reads with these definitions, `llmflow schema` and
the reference page print them. A new key is one `Field` here and the code that acts on its value.
Words of other tools that people bring along are the `aliases`: hints, never accepted.
"""

from __future__ import annotations

from llmflow.language.data_types import PlainData, Share, Url, VariableName, Workers
from llmflow.language.field_types import (
    TEXT,
    Boolean,
    Duration,
    ListOf,
    MapOf,
    Number,
    OneOf,
    TemplateText,
    Text,
)
from llmflow.language.names import ALIAS_NAMES, INPUT_NAMES, OUTPUT_NAMES, PROVIDER_NAMES, TASK_NAMES
from llmflow.language.records import Drafted, Field, Record
from llmflow.language.task_fields import (
    CACHE_FIELD,
    MODEL,
    MODEL_FIELD,
    PARAMS_FIELD,
    RETRY_FIELD,
    SYSTEM,
    TASK,
    TIMEOUT_FIELD,
)
from llmflow.scheduling.policies import POLICIES

KINDS = ("openai", "anthropic", "ollama", "local", "simulated", "mock")
"""Kinds of providers; each is also the name of a provider that works undeclared."""

INPUT_TYPES = ("string", "integer", "number", "boolean", "list", "object", "file")
FILE_FORMATS = ("text", "json", "jsonl", "csv", "yaml")
CODE_POOLS = ("host", "http")
"""Pools of tasks that call no model, of programs and functions and of requests; `providers` may set their workers."""

INPUT = Record(
    "an input",
    (
        Field(
            "type",
            OneOf(
                INPUT_TYPES,
                {
                    "int": "write `integer`",
                    "str": "write `string`",
                    "float": "write `number`",
                    "bool": "write `boolean`",
                    "array": "write `list`",
                    "dict": "write `object`",
                },
            ),
            "What the value must be; `file` takes a path and gives the file's parsed content.",
            "`string`",
        ),
        Field("default", PlainData(), "The value where none is given; it must fit `type` and `enum`."),
        Field("required", Boolean(), "Whether a run needs a value.", "`true` without a `default`, else `false`"),
        Field("enum", ListOf(PlainData(), minimum=1), "The only values allowed."),
        Field("format", OneOf(FILE_FORMATS), "How a `file` is parsed.", "by the file's ending, else `text`"),
        Field("description", Text(empty=True), "For people."),
    ),
    aliases={"options": "write `enum`", "choices": "write `enum`", "optional": "write `required: false`"},
    none_is_empty=True,
)

_KEY_HINT = "keys never stand in YAML: `api_key_env` names the environment variable that holds one"
PROVIDER = Record(
    "a provider",
    (
        Field(
            "kind",
            OneOf(
                KINDS,
                {
                    "vllm": "write `openai`: it speaks that protocol",
                    "lmstudio": "write `openai`: it speaks that protocol",
                    "claude": "write `anthropic`",
                },
            ),
            "Who answers: `openai` (and all that speak its protocol), `anthropic`, `ollama`, `local` (the embedded "
            "model), `simulated` (draws durations, calls nobody) or `mock` (scripted answers).",
            "the provider's name where that is a kind",
        ),
        Field("base_url", Url(), "The endpoint's URL. One of your own never gets the ambient API key."),
        Field(
            "endpoints", ListOf(Url(), minimum=1), "Several URLs that serve the same models; `workers` is per endpoint."
        ),
        Field(
            "api_key_env",
            VariableName(),
            "The name of the environment variable that holds the key.",
            "the kind's usual one at its default URL, else none",
        ),
        Field(
            "workers",
            Workers(),
            "How many attempts the pool runs at once.",
            "hosted `unlimited`, an endpoint of your own and `ollama` 4, `local` 2, `simulated` and `mock` `unlimited`",
        ),
        Field(
            "speed", Number(minimum=0, above=True), "How many times faster than real time a `simulated` run goes.", "1"
        ),
        Field(
            "durations",
            MapOf(Duration(zero=True), TASK_NAMES),
            "How long the calls of a `simulated` provider really take: task → duration. Nobody is told beforehand: "
            "until history knows better, plan and order go by `estimate`.",
            "what `estimate` says",
        ),
        Field(
            "answers", PlainData(), "Canned answers of a `simulated` or `mock` provider: one, a list, or task → answer."
        ),
    ),
    aliases={
        "api_key": _KEY_HINT,
        "apikey": _KEY_HINT,
        "key": _KEY_HINT,
        "token": _KEY_HINT,
        "url": "write `base_url`",
        "type": "write `kind`",
        "concurrency": "write `workers`",
        "max_concurrency": "write `workers`",
        "slots": "write `workers`",
    },
    none_is_empty=True,
)

DEFAULTS = Record("defaults", (MODEL_FIELD, SYSTEM, PARAMS_FIELD, TIMEOUT_FIELD, RETRY_FIELD, CACHE_FIELD))

SCHEDULING = Record(
    "scheduling",
    (
        Field("workers", Workers(), "How many attempts the whole run may have at once.", "`unlimited`"),
        Field(
            "policy",
            OneOf(
                tuple(POLICIES),
                {"critical_path": "did you mean `critical-path`?", "cpm": "did you mean `critical-path`?"},
            ),
            "Which of the ready tasks goes first.",
            "`stochastic`",
        ),
        Field("fail_fast", Boolean(), "After a failure that is not accepted start nothing new.", "`false`"),
        Field(
            "hedge_extra",
            Share(),
            "How many calls the second calls of `hedge` may add to those of the run, as a share.",
            "`8%`",
        ),
    ),
    aliases={
        "concurrency": "write `workers`",
        "max_workers": "write `workers`",
        "hedge": "write `hedge: true` in the tasks that may be asked twice",
    },
)

PIPELINE = Record(
    "a pipeline",
    (
        Field("version", Number(whole=True), "The language's version: 1.", "1"),
        Field("name", TEXT, "Shown in listings; history is kept under it.", "the file's absolute path"),
        Field("description", Text(empty=True), "For people."),
        Field(
            "inputs",
            MapOf(Drafted(INPUT), INPUT_NAMES),
            "What a run is given. Without this key an input that is used is a required string.",
        ),
        Field(
            "providers",
            MapOf(Drafted(PROVIDER), PROVIDER_NAMES),
            "Who answers; each is a pool of workers. `openai`, `anthropic`, `ollama`, "
            "`local`, `simulated` and `mock` work undeclared. `host` (`python` and `command` tasks: as many workers as "
            "processors) and `http` (`http` tasks: `unlimited`) are pools too and take `workers` alone.",
        ),
        Field(
            "models",
            MapOf(MODEL, ALIAS_NAMES),
            "Short names for models: alias → `provider/model`, or a list tried left to right.",
        ),
        Field(
            "defaults", Drafted(DEFAULTS), "Fields for all tasks; mappings merge key by key, a task's own value wins."
        ),
        Field("scheduling", SCHEDULING, "How the run is scheduled; the command line overrides it."),
        Field("tasks", MapOf(Drafted(TASK), TASK_NAMES, minimum=1), "The work: id → task.", required=True),
        Field(
            "finally",
            MapOf(Drafted(TASK), TASK_NAMES),
            "Tasks that run when all others have settled, also after a failure or a stop: id → task.",
        ),
        Field(
            "env",
            ListOf(VariableName(), many="names of environment variables"),
            "Environment variables that templates may read as `env.X`; no others can be reached.",
        ),
        Field(
            "outputs",
            MapOf(TemplateText(), OUTPUT_NAMES),
            "What the run prints: name → template.",
            "the outputs of the leaves",
        ),
    ),
    aliases={
        "steps": "write `tasks`",
        "nodes": "write `tasks`",
        "jobs": "write `tasks`",
        "task": "write `tasks`",
        "vars": "write `inputs`",
        "parameters": "write `inputs`",
        "variables": "write `inputs`",
    },
)
