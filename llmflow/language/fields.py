"""Every key of a pipeline file, defined once: its type, what it means, what holds without it.

The loader reads with these definitions, `llmflow schema` and the reference page print them. A new
key is one `Field` here and the code that acts on its value. Words of other tools that people bring
along are the `aliases`: hints, never accepted.
"""

from __future__ import annotations

import re

from llmflow.errors import RETRYABLE
from llmflow.language.data_types import (
    JsonSchema,
    Parameters,
    PlainData,
    ShorthandSchema,
    TemplateData,
    Url,
    VariableName,
    Workers,
)
from llmflow.language.field_types import (
    TEXT,
    Boolean,
    ConditionText,
    Duration,
    Either,
    ListOf,
    MapOf,
    NameRule,
    Number,
    OneOf,
    TemplateText,
    Text,
    is_mapping,
    is_scalar,
)
from llmflow.language.records import Drafted, Field, Record
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.rules import RULES

KINDS = ("openai", "anthropic", "ollama", "local", "simulated", "mock")
"""Kinds of providers; each is also the name of a provider that works undeclared."""

INPUT_TYPES = ("string", "integer", "number", "boolean", "list", "object", "file")
FILE_FORMATS = ("text", "json", "jsonl", "csv", "yaml")
MODEL_ACTIONS = ("prompt", "prompt_file", "messages")
ACTIONS = (*MODEL_ACTIONS, "value")

MAX_ID = 64
_ID = r"[A-Za-z_][A-Za-z0-9_]*"
_ID_PATTERN = re.compile(_ID)
_PROVIDER = r"[A-Za-z_][A-Za-z0-9_.-]*"
_PROVIDER_PATTERN = re.compile(_PROVIDER)
ROOTS = ("inputs", "tasks", "env", "run", "item", "items", "previous", "iteration", "output")
"""Names that templates know by themselves; `with` cannot take them."""


def _id_problem(what: str) -> NameRule:
    def check(name: str) -> tuple[str, str] | None:
        if not name:
            return f"{what} without a name: the key is empty", ""
        if len(name) > MAX_ID:
            return f"{what} `{name[:20]}…` is longer than {MAX_ID} characters", ""
        if _ID_PATTERN.fullmatch(name):
            return None
        if _ID_PATTERN.fullmatch(fixed := re.sub(r"[-. ]", "_", name)):
            why = "; in an expression a hyphen is a subtraction" if "-" in name else ""
            return f"{what} `{name}` is not an id", f"write `{fixed}`{why}"
        return f"{what} `{name[:MAX_ID]}` is not an id", "letters, digits and `_`, not starting with a digit"

    return NameRule(what, _ID, check)


def _provider_problem(name: str) -> tuple[str, str] | None:
    if _PROVIDER_PATTERN.fullmatch(name) and len(name) <= MAX_ID:
        return None
    return f"provider `{name[:MAX_ID]}` is not a name", "letters, digits, `_`, `-` and `.`, at most 64"


def _with_problem(name: str) -> tuple[str, str] | None:
    if name in ROOTS:
        return f"`{name}` is a name that every template knows already", "take another name in `with`"
    return _id_problem("name").check(name)


def _any_problem(name: str) -> tuple[str, str] | None:
    return None if name.strip() else ("an output's name is empty", "")


TASK_NAMES = _id_problem("task")
INPUT_NAMES = _id_problem("input")
ALIAS_NAMES = _id_problem("alias")
PROVIDER_NAMES = NameRule("provider", _PROVIDER, _provider_problem)
WITH_NAMES = NameRule("name", _ID, _with_problem)
OUTPUT_NAMES = NameRule("output", r"[\s\S]*\S[\s\S]*", _any_problem)

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

MODEL = ListOf(Text("a model"), minimum=1, alone=True)

PARAMS = Parameters(
    Record(
        "params",
        (
            Field("temperature", Number(minimum=0), "Randomness; anthropic models do not take it."),
            Field(
                "max_output_tokens",
                Number(whole=True, minimum=1),
                "The longest answer.",
                "anthropic 4096, else the endpoint's",
            ),
            Field("top_p", Number(minimum=0), "Nucleus sampling; anthropic models do not take it."),
            Field("stop", ListOf(Text("text", empty=True), minimum=1, alone=True), "Texts that end the answer."),
            Field("seed", Number(whole=True), "Asks for the same answer again, where the endpoint can."),
        ),
    ),
    refused=dict.fromkeys(("max_tokens", "max_completion_tokens"), "write `max_output_tokens`"),
)

MESSAGE = Record(
    "a message",
    (
        Field(
            "role",
            OneOf(("user", "assistant", "system"), {"model": "write `assistant`", "human": "write `user`"}),
            "Who speaks.",
            required=True,
        ),
        Field("content", TemplateText(), "What is said.", required=True),
    ),
)

TIMEOUT = Record(
    "a timeout",
    (
        Field("total", Duration(), "The longest an attempt may take.", "`10m`"),
        Field("idle", Duration(), "The longest silence on a streamed call; writing it makes the call stream.", "`60s`"),
    ),
)

BACKOFF = Record(
    "backoff",
    (
        Field("initial", Duration(zero=True), "Before the second attempt.", "`1s`"),
        Field("factor", Number(minimum=1), "By how much each wait grows.", "2"),
        Field("max", Duration(zero=True), "The longest wait.", "`60s`"),
        Field("jitter", Boolean(), "Wait a random part of it (full jitter).", "`true`"),
    ),
)

RETRY = Record(
    "retry",
    (
        Field("max_attempts", Number(whole=True, minimum=1), "How often a call is tried; the first try counts.", "4"),
        Field(
            "on",
            ListOf(OneOf(tuple(k.value for k in RETRYABLE)), alone=True, many="them"),
            "Which failures are tried again.",
            "all of them",
        ),
        Field("backoff", BACKOFF, "How long to wait before the next try. `Retry-After` wins over it."),
    ),
    aliases={
        "attempts": "write `max_attempts`",
        "max_retries": "write `max_attempts` (it counts the first try)",
        "delay": "write `backoff: {initial: …}`",
    },
)

ON_INVALID = Record(
    "on_invalid",
    (
        Field("attempts", Number(whole=True, minimum=1), "How often an answer is asked for; the first counts.", "2"),
        Field("feedback", Boolean(), "Ask again with the reason.", "`true`"),
    ),
)

OUTPUT = Record(
    "output",
    (
        Field(
            "schema",
            ShorthandSchema(),
            'The answer\'s shape in shorthand: `{label: "enum[bug, billing]", urgency: integer, '
            'tags: "list[string]", note: "string?"}`.',
        ),
        Field(
            "json_schema",
            JsonSchema(),
            "The answer's shape as a JSON Schema, or the path of a JSON file that holds one.",
        ),
        Field("validate", ListOf(ConditionText(), minimum=1, alone=True), "Conditions over `output` that must hold."),
        Field("on_invalid", ON_INVALID, "What happens to an answer that does not fit."),
        Field(
            "on_truncated",
            OneOf(("fail", "keep", "extend")),
            "What happens to an answer that was cut off; `extend` asks again with twice the tokens, at most twice.",
            "`fail`",
        ),
    ),
    aliases={"type": "write `schema: {…}`", "format": "write `schema: {…}`"},
)

ESTIMATE = Record(
    "an estimate",
    (
        Field("duration", Duration(zero=True), "How long a call takes."),
        Field("output_tokens", Number(whole=True, minimum=1), "How many tokens it answers; only with `duration`."),
        Field("p50", Duration(), "Half of the calls take no longer; with `p95`."),
        Field("p95", Duration(), "19 of 20 calls take no longer; with `p50`."),
    ),
)

ON_ERROR = Record(
    "on_error", (Field("default", TemplateData(), "The output that takes a failure's place.", required=True),)
)

_RULE_HINTS = {
    "always": "write `all_done`",
    "none_skipped": "write `all_success`",
    "success": "write `all_success`",
    "failure": "write `one_failed`",
    "all_completed": "write `all_done`",
}

SYSTEM = Field("system", TemplateText(), "The system message.")
MODEL_FIELD = Field(
    "model",
    MODEL,
    "Who answers: `provider/model`, an alias, or a list tried left to right.",
    "`defaults.model`, else your configuration's",
)
PARAMS_FIELD = Field("params", PARAMS, "Sampling parameters; what llmflow does not know is passed through.")
TIMEOUT_FIELD = Field(
    "timeout",
    Either(((is_mapping, TIMEOUT), (is_scalar, Duration()))),
    "How long an attempt may take; one duration is the total.",
    "total `10m`, idle `60s`",
)
RETRY_FIELD = Field("retry", RETRY, "When a failed call is tried again. There is no other retry loop.")

TASK = Record(
    "a task",
    (
        Field("prompt", TemplateText(empty=False), "Calls a model with this text as the user's message."),
        Field("prompt_file", Text("the path of a file"), "The prompt from a file below the pipeline's folder."),
        Field("messages", ListOf(MESSAGE, minimum=1), "Calls a model with these messages."),
        Field("value", TemplateData(), "Computes from templates, calls no model; keeps types."),
        SYSTEM,
        MODEL_FIELD,
        PARAMS_FIELD,
        Field("with", MapOf(TemplateData(), WITH_NAMES), "Extra names for this task's templates."),
        Field(
            "depends_on",
            ListOf(Text("the id of a task"), alone=True, many="ids of tasks"),
            "Tasks that must settle first although nothing of theirs is used. What a template names is one already.",
        ),
        Field("when", ConditionText(), "A condition; where it is false the task is skipped."),
        Field(
            "trigger_rule",
            OneOf(tuple(RULES), _RULE_HINTS),
            "How the dependencies must have settled for the task to run.",
            "`all_success`",
        ),
        Field("output", OUTPUT, "What the answer must be."),
        TIMEOUT_FIELD,
        RETRY_FIELD,
        Field(
            "on_error",
            Either(
                (
                    (is_mapping, ON_ERROR),
                    (
                        is_scalar,
                        OneOf(("fail", "continue"), {"ignore": "write `continue`", "skip": "write `continue`"}),
                    ),
                )
            ),
            "Whether a failure is accepted; `{default: value}` accepts it and puts a value in the output's place.",
            "`fail`",
        ),
        Field(
            "estimate",
            Either(((is_mapping, ESTIMATE), (is_scalar, Duration(zero=True)))),
            "How long the author thinks a call takes, until there is history.",
            "1 second",
        ),
        Field("priority", Number(whole=True), "Outranks the policy; what the task depends on inherits it.", "0"),
        Field(
            "save",
            TemplateText("a path, which may be a template"),
            "A file below the pipeline's folder for the output.",
        ),
        Field("tags", ListOf(TEXT, alone=True), "For selection."),
        Field("description", Text(empty=True), "For people."),
    ),
    aliases={
        "needs": "write `depends_on`",
        "depends": "write `depends_on`",
        "dependsOn": "write `depends_on`",
        "dependencies": "write `depends_on`",
        "requires": "write `depends_on`",
        "after": "write `depends_on`",
        "if": "write `when`",
        "condition": "write `when`",
        "retries": "write `retry: {max_attempts: …}`",
        "temperature": "write `params: {temperature: …}`",
        "max_tokens": "write `params: {max_output_tokens: …}`",
        "max_output_tokens": "write `params: {max_output_tokens: …}`",
        "schema": "write `output: {schema: …}`",
        "template": "write `prompt`",
        "system_prompt": "write `system`",
        "id": "the task's key is its id",
        "name": "the task's key is its id",
    },
    one_of=ACTIONS,
)

DEFAULTS = Record("defaults", (MODEL_FIELD, SYSTEM, PARAMS_FIELD, TIMEOUT_FIELD, RETRY_FIELD))

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
            "`critical-path`",
        ),
        Field("fail_fast", Boolean(), "After a failure that is not accepted start nothing new.", "`false`"),
    ),
    aliases={"concurrency": "write `workers`", "max_workers": "write `workers`"},
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
            "`local`, `simulated` and `mock` work undeclared.",
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
