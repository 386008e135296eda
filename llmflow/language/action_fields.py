"""The keys of actions that ask no model: programs, HTTP requests; and the arguments of a program."""

from __future__ import annotations

from llmflow.language.data_types import ProgramText, TemplateData
from llmflow.language.field_types import (
    Boolean,
    Either,
    ListOf,
    MapOf,
    OneOf,
    TemplateText,
    is_list,
    is_scalar,
)
from llmflow.language.names import HEADER_NAMES, VARIABLE_NAMES
from llmflow.language.records import Field, Record

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NOT_REPEATABLE = ("POST", "PATCH")
"""Methods that are tried once unless `retry` is written: asking twice could do it twice."""

_URL = r"^\s*([Hh][Tt][Tt][Pp][Ss]?://|\{[{%])"

HTTP = Record(
    "http",
    (
        Field("method", OneOf(METHODS, {m.lower(): f"write `{m}`" for m in METHODS}), "What is asked for.", "`GET`"),
        Field("url", TemplateText(empty=False, pattern=_URL), "Where.", required=True),
        Field("headers", MapOf(TemplateText(), HEADER_NAMES), "Header → text."),
        Field("json", TemplateData(), "Data that is sent as JSON."),
        Field("body", TemplateText(), "Text that is sent as it stands."),
    ),
    aliases={
        "data": "write `json` or `body`",
        "params": "write them into `url`",
        "query": "write them into `url`",
        "uri": "write `url`",
        "verb": "write `method`",
    },
    apart=(("json", "body"),),
)

COMMAND_FIELD = Field(
    "command",
    Either(
        (
            (is_list, ListOf(ProgramText(empty=True), minimum=1)),
            (is_scalar, ProgramText("a program with its arguments")),
        ),
        "a program with its arguments, as one line or as a list",
    ),
    "Runs a program, without a shell unless `shell` says so. It holds no template: values reach the program "
    "through `args`, `env` and `stdin`.",
)
COMMAND_PARTS = (
    Field("args", ListOf(TemplateText("text with templates")), "More arguments of the program, behind those written."),
    Field("env", MapOf(TemplateText(), VARIABLE_NAMES), "Environment variables of the program: name → text."),
    Field("stdin", TemplateData(), "What the program reads; data is sent as JSON."),
    Field("shell", Boolean(), "Whether `command` is one line for `/bin/sh`; `args` are its `$1`, `$2`, ….", "`false`"),
)
HTTP_FIELD = Field("http", HTTP, "Sends an HTTP request; a status of 400 and above fails the task.")
