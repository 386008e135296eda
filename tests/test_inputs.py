"""Values from the command line become checked inputs: typed by their declaration, all mistakes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflow.errors import UsageError
from llmflow.language.inputs import Given, check_inputs, parse_given
from llmflow.language.loader import load
from llmflow.language.pipeline import Pipeline


def pipeline(inputs: str, path: Path | None = None) -> Pipeline:
    text = f"inputs: {inputs}\ntasks: {{t: {{prompt: x}}}}\n"
    return load(path or "-", text=text.encode())


def checked(declared: str, *arguments: str) -> Any:
    return check_inputs(pipeline(f"{{x: {declared}}}"), parse_given(arguments))["x"]


def refusal(inputs: str, *arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        check_inputs(pipeline(inputs), parse_given(arguments))
    return str(caught.value)


def test_arguments_have_three_forms() -> None:
    assert parse_given(["a=1=2", "b=@f.txt", "c:=[1]", "d=", "e=@-", 'f:="@x"', "g=a:=b", "h = x"]) == {
        "a": Given("text", "1=2"),
        "b": Given("file", "f.txt"),
        "c": Given("json", "[1]"),
        "d": Given("text", ""),
        "e": Given("file", "-"),
        "f": Given("json", '"@x"'),
        "g": Given("text", "a:=b"),
        "h": Given("text", " x"),
    }


def test_arguments_of_no_form_are_told_together() -> None:
    with pytest.raises(UsageError) as caught:
        parse_given(["novalue", "=x", "a=1", "a=2"])
    assert str(caught.value) == (
        "`novalue` is not of the form name=value\n"
        "`=x` is not of the form name=value\n"
        "input `a` is given twice\n"
        "  hint: write -i name=value, -i name=@file or -i name:=json"
    )


@pytest.mark.parametrize(
    ("declared", "argument", "value"),
    [
        ("{type: string}", "x=12", "12"),
        ("{type: string}", "x=", ""),
        ("{type: string}", "x= a ", " a "),
        ("{type: integer}", "x=12", 12),
        ("{type: integer}", "x=-3", -3),
        ("{type: number}", "x=1.5", 1.5),
        ("{type: number}", "x=2", 2),
        ("{type: number}", "x=1e3", 1000.0),
        ("{type: boolean}", "x=true", True),
        ("{type: boolean}", "x=false", False),
        ("{type: list}", "x=[1, 2]", [1, 2]),
        ("{type: object}", 'x={"a": 1}', {"a": 1}),
        ("{type: integer}", "x:=12", 12),
        ("{type: string}", 'x:="12"', "12"),
        ("{type: boolean}", "x:=true", True),
        ("{type: string, enum: [a, b]}", "x=b", "b"),
        ("{type: integer, enum: [1, 2]}", "x=2", 2),
        ("{type: string}", "x=\udcff", "�"),
    ],
)
def test_a_value_is_typed_by_its_declaration(declared: str, argument: str, value: Any) -> None:
    found = checked(declared, argument)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("declared", "argument", "message"),
    [
        ("{type: integer}", "x=1.5", "input `x`: must be a whole number, not text"),
        ("{type: integer}", "x:=1.0", "input `x`: must be a whole number, not a number"),
        ("{type: integer}", "x:=true", "input `x`: must be a whole number, not `true`"),
        ("{type: number}", "x=warm", "input `x`: must be a number, not text"),
        ("{type: number}", "x=nan", "input `x`: must be a number, not text"),
        ("{type: number}", "x:=NaN", "input `x`: not JSON: `NaN` is no number"),
        ("{type: boolean}", "x=yes", "input `x`: must be `true` or `false`, not text"),
        ("{type: string}", "x:=3", "input `x`: must be text, not a number"),
        ("{type: string}", "x:=null", "input `x`: must be text, not nothing"),
        ("{type: list}", "x=a,b", "input `x`: not JSON: Expecting value at line 1, column 1"),
        ("{type: list}", "x={}", "input `x`: must be a list, not a mapping"),
        ("{type: object}", 'x={"a": 1, "a": 2}', "input `x`: the key `a` is written twice"),
        ("{type: string, enum: [a, b]}", "x=c", "input `x`: must be one of `a`, `b`"),
        ("{type: string}", "x=@nosuch.txt", "input `x`: there is no file `nosuch.txt`"),
        ("{type: file}", "x=nosuch.txt", "input `x`: there is no file `nosuch.txt`"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(declared: str, argument: str, message: str) -> None:
    assert refusal(f"{{x: {declared}}}", argument) == message


def test_all_problems_are_told_at_once() -> None:
    inputs = "{text: {description: what to read}, count: {type: integer}, kind: {enum: [a]}, free: {required: false}}"
    assert refusal(inputs, "txt=x", "count=many", "kind=b") == (
        "unknown input `txt`: did you mean `text`?\n"
        "missing input `text` (what to read): give it with -i text=…\n"
        "input `count`: must be a whole number, not text\n"
        "input `kind`: must be one of `a`"
    )


def test_a_pipeline_without_inputs_takes_none() -> None:
    assert refusal("{}", "x=1") == "unknown input `x`: the pipeline has no inputs"


def test_defaults_are_filled_in() -> None:
    declared = (
        "{a: {default: 3, type: integer}, b: {required: false}, c: {default: [1], type: list}, d: {default: null}}"
    )
    assert check_inputs(pipeline(declared), {}) == {"a": 3, "b": None, "c": [1], "d": None}


def test_a_python_call_gives_plain_values(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("[1]")
    declared = pipeline("{s: {}, l: {type: list}, o: {type: object}, f: {type: file}}")
    given = {"s": "x", "l": (1, 2), "o": {"a": (3,)}, "f": tmp_path / "d.json"}
    assert check_inputs(declared, given) == {"s": "x", "l": [1, 2], "o": {"a": [3]}, "f": [1]}
    with pytest.raises(UsageError, match="must be text, not a number"):
        check_inputs(pipeline("{s: {}}"), {"s": 3})


def test_a_file_gives_the_text_of_a_string_and_the_value_of_others(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_text("12\n")
    assert checked("{type: string}", f"x=@{path}") == "12\n"
    assert checked("{type: integer}", f"x=@{path}") == 12
    path.write_bytes(b"caf\xe9")
    assert refusal("{x: {}}", f"x=@{path}") == f"input `x`: `{path}` is not UTF-8: byte 0xe9 at offset 3"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a.txt", "x\n", "x\n"),
        ("a.md", "# x", "# x"),
        ("a.json", '{"a": [1, null]}', {"a": [1, None]}),
        ("a.jsonl", '{"a": 1}\n\n[2]\n', [{"a": 1}, [2]]),
        ("a.csv", 'n,t\n1,"a, b"\n2,c\n', [{"n": "1", "t": "a, b"}, {"n": "2", "t": "c"}]),
        ("a.csv", "", []),
        ("a.yaml", "a: [1, no way]\n", {"a": [1, "no way"]}),
    ],
)
def test_a_file_input_gives_its_content_by_its_ending(tmp_path: Path, name: str, text: str, value: Any) -> None:
    (tmp_path / name).write_text(text)
    assert checked("{type: file}", f"x={tmp_path / name}") == value
    assert checked("{type: file}", f"x=@{tmp_path / name}") == value


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("json", "{", "not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ("jsonl", "1\nx\n", "line 2: not JSON: Expecting value at line 1, column 1"),
        ("csv", "a,b\n1\n", "line 2: 1 values for 2 columns"),
        ("csv", "a,a\n1,2\n", "two columns have the same name"),
    ],
)
def test_a_file_that_is_not_of_its_format_is_refused(tmp_path: Path, form: str, text: str, message: str) -> None:
    (tmp_path / "f").write_text(text)
    assert refusal(f"{{x: {{type: file, format: {form}}}}}", f"x={tmp_path}/f") == f"input `x`: {message}"


def test_the_default_of_a_file_input_lies_beside_the_pipeline(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("3")
    declared = pipeline("{x: {type: file, default: d.json}}", tmp_path / "p.yaml")
    assert check_inputs(declared, {}) == {"x": 3}
    outside = pipeline("{x: {type: file, default: ../d.json}}", tmp_path / "p.yaml")
    with pytest.raises(UsageError, match="leads outside the folder"):
        check_inputs(outside, {})
