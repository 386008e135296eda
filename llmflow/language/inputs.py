"""Values given on the command line or in a Python call → the checked inputs of a run.

`name=value` is typed by the declaration of the input, `name=@file` takes a file's text (`@-`:
standard input), `name:=json` is JSON as it stands. All that is wrong is said at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmflow.errors import UsageError
from llmflow.language.input_files import content, file_text, form_of, json_value
from llmflow.language.input_values import value_problem
from llmflow.language.pipeline import Input, Pipeline
from llmflow.language.pipeline_files import FileProblem, read_text_below
from llmflow.language.reading import did_you_mean
from llmflow.language.rows import FORMS, Rows
from llmflow.protocol import clean_text


class Given(NamedTuple):
    """A value as it was written. `form`: `text` (`=`), `file` (`=@`, `value` is the path) or `json` (`:=`)."""

    form: str
    value: str


_ARGUMENT = re.compile(r"\s*([^=:@\s]+)\s*(:?=)(.*)", re.DOTALL)


def parse_given(arguments: Sequence[str]) -> dict[str, Given]:
    """What `-i` was given. Raises UsageError for all arguments that are of no form, or name an input twice."""
    given: dict[str, Given] = {}
    wrong: list[str] = []
    for argument in arguments:
        found = _ARGUMENT.fullmatch(argument)
        if found is None:
            wrong.append(f"`{argument[:80]}` is not of the form name=value")
            continue
        name, sign, value = found.groups()
        if name in given:
            wrong.append(f"input `{name}` is given twice")
        elif sign == ":=":
            given[name] = Given("json", value)
        elif value.startswith("@"):
            given[name] = Given("file", value[1:])
        else:
            given[name] = Given("text", value)
    if wrong:
        raise UsageError("\n".join(wrong), "write -i name=value, -i name=@file or -i name:=json")
    return given


def check_inputs(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every input of `pipeline`, defaults filled in; of an optional one without default, None.

    `given` holds `Given`s (from `parse_given`) or plain Python values. Raises UsageError with every
    problem: a missing input, an undeclared one, a wrong type, a value that `enum` does not allow.
    """
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name in given:
        if name not in pipeline.inputs:
            hint = did_you_mean(name, pipeline.inputs)
            if not hint and not pipeline.inputs:
                hint = "the pipeline has no inputs"
            wrong.append(f"unknown input `{name[:80]}`" + (f": {hint}" if hint else ""))
    for name, declared in pipeline.inputs.items():
        try:
            if name in given:
                values[name] = _checked(declared, given[name])
            elif declared.required:
                about = f" ({declared.description})" if declared.description else ""
                wrong.append(f"missing input `{name}`{about}: give it with -i {name}=…")
            else:
                values[name] = _default(declared, pipeline)
        except ValueError as error:
            wrong.append(f"input `{name}`: {error}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return values


def _checked(declared: Input, given: Any) -> Any:
    """The value for one input. Raises ValueError with what is wrong."""
    if declared.type == "file":
        return _file(declared, given)
    value = _typed(declared, given) if isinstance(given, Given) else given
    value = _cleaned(value)
    if problem := value_problem(declared, value):
        raise ValueError(problem)
    return value


def _typed(declared: Input, given: Given) -> Any:
    if given.form == "json":
        return json_value(given.value)
    text = file_text(given.value) if given.form == "file" else given.value
    kind = declared.type
    if kind == "string":
        return text
    word = text.strip()
    if kind == "boolean":
        return {"true": True, "false": False}.get(word, text)
    if kind == "integer":
        return int(word) if re.fullmatch(r"[-+]?[0-9]{1,4000}", word) else text
    if kind == "number":
        if re.fullmatch(r"[-+]?[0-9]{1,4000}", word):
            return int(word)
        return float(word) if re.fullmatch(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", word) else text
    return json_value(text)


def _file(declared: Input, given: Any) -> Any:
    if isinstance(given, Given):
        path = json_value(given.value) if given.form == "json" else given.value
    else:
        path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if problem := value_problem(declared, path):
        raise ValueError(problem)
    form = form_of(path, declared.format)
    if form in FORMS and path != "-":
        return Rows(path, form)
    return _cleaned(content(file_text(path), path, form))


def _default(declared: Input, pipeline: Pipeline) -> Any:
    if declared.type != "file" or declared.default is None:
        return declared.default
    try:
        text = read_text_below(Path(pipeline.path).parent, declared.default)
    except FileProblem as problem:
        raise ValueError(problem.message) from problem
    return content(text, declared.default, declared.format)


def _cleaned(value: Any) -> Any:
    """The value with lone surrogates replaced in all its texts; tuples become lists."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return value
