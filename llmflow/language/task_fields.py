"""The keys of a task, defined once: type, meaning, what holds without them, and which stand beside which."""

from __future__ import annotations

from llmflow.errors import RETRYABLE
from llmflow.language.action_fields import COMMAND_FIELD, COMMAND_PARTS, HTTP_FIELD
from llmflow.language.data_types import JsonSchema, Parameters, Percentile, PythonTarget, ShorthandSchema, TemplateData
from llmflow.language.field_types import (
    TEXT,
    Boolean,
    ConditionText,
    Duration,
    Either,
    ListOf,
    MapOf,
    Number,
    OneOf,
    TemplateText,
    Text,
    is_mapping,
    is_scalar,
)
from llmflow.language.loop_fields import FOREACH_FIELD, MATRIX_FIELD, REDUCE_FIELD, REPEAT_FIELD
from llmflow.language.names import WITH_NAMES
from llmflow.language.records import Field, Record
from llmflow.scheduling.rules import RULES

MODEL_ACTIONS = ("prompt", "prompt_file", "messages")
CALLS = (*MODEL_ACTIONS, "python", "command", "http")
"""Actions whose attempts hold a worker and can be tried again."""

ACTIONS = (*MODEL_ACTIONS, "value", "python", "command", "http", "uses", "approve")
_WITH_VALUE = (*CALLS, "value")

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
        Field(
            "max_attempts",
            Number(whole=True, minimum=1),
            "How often a call is tried; the first try counts.",
            "4; of `python`, `command` and a POST or PATCH request 1",
        ),
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
    "total `10m`, with history five times its p99 and at least `1m`; idle `60s`",
)
CACHE_FIELD = Field(
    "cache",
    Either(
        (
            (is_mapping, Record("a cache", (Field("ttl", Duration(), "How old an answer may be.", required=True),))),
            (is_scalar, Boolean()),
        )
    ),
    "Whether an answer that an earlier run was given to the same question serves again; `{ttl: 7d}` for so long.",
    "`false`",
)
RETRY_FIELD = Field("retry", RETRY, "When a failed call is tried again. There is no other retry loop.")

HEDGE = Record(
    "a hedge",
    (
        Field(
            "after", Percentile(), "How long the first call may have run: a quantile of what the task takes.", "`p90`"
        ),
        Field("max", Number(whole=True, minimum=1), "How many further calls one attempt may get.", "1"),
    ),
    aliases={"delay": "write `after: p90`", "copies": "write `max`"},
)
HEDGE_FIELD = Field(
    "hedge",
    Either(((is_mapping, HEDGE), (is_scalar, Boolean()))),
    "Whether a call that takes much longer than usual is made a second time, on a worker that nothing waits for; the "
    "first answer counts, the other call is cancelled, both may be billed. `scheduling.hedge_extra` bounds it; it "
    "needs a history of the task.",
    "`false`",
)

TASK = Record(
    "a task",
    (
        Field("prompt", TemplateText(empty=False), "Calls a model with this text as the user's message."),
        Field("prompt_file", Text("the path of a file"), "The prompt from a file below the pipeline's folder."),
        Field("messages", ListOf(MESSAGE, minimum=1), "Calls a model with these messages."),
        Field("value", TemplateData(), "Computes from templates, calls no model; keeps types."),
        Field(
            "python",
            PythonTarget(),
            "Calls a Python function with the names of `with` as its arguments; its output is what it returns.",
        ),
        COMMAND_FIELD,
        HTTP_FIELD,
        Field(
            "uses",
            Text("the path of a pipeline file"),
            "Runs another pipeline, from a file below this one's folder, with `with` as its inputs; the output is the "
            "map of its outputs.",
        ),
        Field("approve", TemplateText(empty=False), "Asks a person, with this message; a refusal fails the task."),
        SYSTEM,
        MODEL_FIELD,
        PARAMS_FIELD,
        Field(
            "images",
            ListOf(TemplateText("the path of an image, which may be a template", empty=False), alone=True, many="them"),
            "Image files below the pipeline's folder, shown to the model with the prompt.",
        ),
        *COMMAND_PARTS,
        Field(
            "with",
            MapOf(TemplateData(), WITH_NAMES),
            "Extra names for this task's templates; of `python` the arguments, of `uses` the inputs.",
        ),
        FOREACH_FIELD,
        MATRIX_FIELD,
        REDUCE_FIELD,
        REPEAT_FIELD,
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
        CACHE_FIELD,
        HEDGE_FIELD,
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
        "for_each": "write `foreach`",
        "forEach": "write `foreach`",
        "map": "write `foreach`",
        "with_items": "write `foreach`",
        "loop": "write `foreach` for the items of a list, `repeat` for again and again",
        "while": "write `repeat: {until: …, max_iterations: …}`",
        "until": "write `repeat: {until: …, max_iterations: …}`",
        "run": "write `command`",
        "script": "write `command`",
        "cmd": "write `command`",
        "exec": "write `command`",
        "function": "write `python`",
        "call": "write `python`",
        "url": "write `http: {url: …}`",
        "request": "write `http: {url: …}`",
        "workflow": "write `uses`",
        "pipeline": "write `uses`",
        "include": "write `uses`",
        "inputs": "write `with`",
        "image": "write `images`",
        "speculative": "write `hedge: true`",
        "wait_for_approval": "write `approve`",
        "environment": "write `env`",
        "continue_on_error": "write `on_error: continue`",
    },
    one_of=ACTIONS,
    beside={
        **dict.fromkeys(("system", "model", "params", "images", "hedge"), MODEL_ACTIONS),
        **dict.fromkeys(("timeout", "retry", "cache"), CALLS),
        **dict.fromkeys(("args", "env", "stdin", "shell"), ("command",)),
        **dict.fromkeys(("reduce", "repeat"), _WITH_VALUE),
        "output": (*_WITH_VALUE, "uses"),
    },
    apart=(("foreach", "matrix"), ("foreach", "reduce"), ("matrix", "reduce"), ("reduce", "repeat")),
)
