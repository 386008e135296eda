"""Actions that ask no model: what is wrong with a program, a request or a function, and what each becomes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from llmflow.language import yaml_reader as yaml
from llmflow.language.action_fields import NOT_REPEATABLE
from llmflow.language.data_types import is_secret
from llmflow.language.endpoint_urls import url_problem
from llmflow.language.key_like import is_key_field
from llmflow.language.pipeline import Command, Http
from llmflow.language.pipeline_files import FileProblem
from llmflow.language.python_files import PythonFiles
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.yaml_reader import Scalar

_SHELL_WORDS = ("|", "||", "&&", ">", ">>", "<", "&", "2>&1", ";")


def check_command(draft: Draft, reading: Reading) -> None:
    """Take the words of a program apart; what is left is a tuple of words, or one line for the shell."""
    node = draft.node.entries["command"]
    written = draft.values["command"]
    shell = draft.values.get("shell", False)
    if shell and not isinstance(written, str):
        reading.problem(node.at, "with `shell: true` the command is one line, not a list", "write it as text")
    elif isinstance(written, str) and not shell:
        draft.values["command"] = _words(written, node.at, reading)
    elif isinstance(written, tuple) and not written[0].strip():
        reading.problem(node.at, "the program has no name")


def _words(line: str, at: int, reading: Reading) -> tuple[str, ...]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        reading.problem(at, f"the command cannot be taken apart: {str(error).lower()}", "write it as a list")
        return ()
    if special := next((word for word in words if word in _SHELL_WORDS), ""):
        hint = "write `shell: true`, or the command as a list if the program takes it as an argument"
        reading.problem(at, f"`{special}` means something to a shell only, and this command has none", hint)
    elif not words:
        reading.problem(at, "the program has no name")
    return tuple(words)


def command_of(values: Mapping[str, Any]) -> Command | None:
    if "command" not in values:
        return None
    written = values["command"]
    is_line = isinstance(written, str)
    return Command(
        words=() if is_line else written,
        line=written if is_line else "",
        shell=is_line,
        args=values.get("args", ()),
        env=values.get("env", {}),
        stdin=values.get("stdin"),
    )


def check_http(draft: Draft, reading: Reading) -> None:
    values, node = draft.values["http"], draft.node.entries["http"]
    assert isinstance(node, yaml.Mapping)
    if "json" in node.entries and "body" in node.entries:
        reading.problem(node.key_place("body"), "`json` and `body` both say what is sent", "keep one of the two")
    elif values.get("method", "GET") in ("GET", "HEAD") and ("json" in node.entries or "body" in node.entries):
        sent = "json" if "json" in node.entries else "body"
        method = values.get("method", "GET")
        reading.problem(node.key_place(sent), f"a {method} request sends no `{sent}`", "write `method: POST`")
    if "url" in values:
        _check_url(values["url"].source, node.entries["url"].at, reading)
    headers = node.entries.get("headers")
    if isinstance(headers, yaml.Mapping):
        for name, value in headers.entries.items():
            if isinstance(value, Scalar) and is_key_field(name) and "{{" not in value.text and is_secret(value.text):
                hint = 'keys never stand in YAML: list the variable under `env` and write `"{{ env.NAME }}"`'
                reading.problem(value.at, f"`{name[:40]}` holds what looks like a key", hint)


def _check_url(url: str, at: int, reading: Reading) -> None:
    literal = url.split("{{", 1)[0].split("{%", 1)[0].strip()
    if literal == url.strip():
        if wrong := url_problem(url.strip()):
            reading.problem(at, *wrong)
    elif literal and not literal.lower().startswith(("http://", "https://")):
        reading.problem(at, "`url` must be an `http://` or `https://` URL", "it begins with one of the two")


def http_of(values: Mapping[str, Any]) -> Http | None:
    return Http(**{"method": "GET", **values["http"]}) if "url" in values.get("http", ()) else None


def is_tried_once(values: Mapping[str, Any]) -> bool:
    """True for an action that may have done something when it failed: it is not tried again unasked."""
    if "http" in values:
        return values["http"].get("method", "GET") in NOT_REPEATABLE
    return "python" in values or "command" in values


def check_python(draft: Draft, reading: Reading, files: PythonFiles) -> None:
    """The file of a function must be there and define it, with the arguments that `with` names; nothing is run."""
    target = draft.values["python"]
    where, _, name = target.rpartition(":")
    if not where.endswith(".py"):
        return
    at = draft.place("python")
    try:
        functions = files.functions(where)
    except FileProblem as problem:
        reading.problem(at, problem.message, problem.hint)
        return
    if functions is None:
        return
    if name not in functions:
        hint = reading.did_you_mean(name, functions)
        reading.problem(at, f"`{where}` has no function `{name}`", hint)
        return
    parameters = functions[name]
    node = draft.node.entries.get("with")
    given = node.entries if isinstance(node, yaml.Mapping) else {}
    if parameters is None:
        return
    for argument in given:
        if argument not in parameters.names and not parameters.takes_any:
            assert isinstance(node, yaml.Mapping)
            hint = reading.did_you_mean(argument, parameters.names)
            if not hint:
                hint = "it takes " + (", ".join(f"`{n}`" for n in parameters.names) or "none")
            reading.problem(node.key_place(argument), f"`{target}` takes no argument `{argument}`", hint)
    if missing := [n for n in parameters.required if n not in given]:
        needed = ", ".join(f"`{n}`" for n in missing)
        reading.problem(at, f"`{target}` needs {needed}", "give it in `with`")


def check_images(draft: Draft, check_file: Callable[[str, int], None]) -> None:
    node = draft.node.entries["images"]
    items = node.items if isinstance(node, yaml.Sequence) else [node]
    for template, item in zip(draft.values["images"], items, strict=True):
        if "{{" not in template.source and "{%" not in template.source:
            check_file(template.source, item.at)
