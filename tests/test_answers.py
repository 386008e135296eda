from __future__ import annotations

import subprocess
import sys

import pytest

from llmflow.errors import CallFailed
from llmflow.language.answers import InvalidAnswer, check_conditions, read_answer
from llmflow.language.output_schema import shorthand_schema
from llmflow.language.templates import parse_condition

SCHEMA = shorthand_schema(
    {
        "label": "enum[bug, billing]",
        "urgency": "integer",
        "tags": "list[string]",
        "note": "string?",
        "author": {"name": "string?"},
    }
)
GOOD = '{"label": "bug", "urgency": 2, "tags": ["é"], "author": {}}'
DATA = {"label": "bug", "urgency": 2, "tags": ["é"], "author": {}}


def test_without_a_schema_the_answer_is_its_text_stripped_at_both_ends() -> None:
    assert read_answer('\n  {"label": 1}\n\n', None) == '{"label": 1}'


@pytest.mark.parametrize(
    "text",
    [GOOD, f"\n {GOOD} \n", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```", f"  ```JSON \n\n{GOOD}\n\n```\n"],
)
def test_with_a_schema_the_answer_is_data_alone_or_in_one_fenced_block(text: str) -> None:
    assert read_answer(text, SCHEMA) == DATA


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the answer is empty; JSON was asked for"),
        (
            f"Sure! {GOOD}",
            'the answer is not JSON: expecting value at character 1, near: Sure! {"label": "bug',
        ),
        (
            f"```python\n{GOOD}\n```",
            'the answer is not JSON: expecting value at line 1, column 1, near: ```python {"label":',
        ),
        (
            '{"label":"bug",\n "urgency" 1}',
            'the answer is not JSON: expecting \':\' delimiter at line 2, column 12, near: ":"bug", "urgency" 1}',
        ),
        ('{"label": "bug", "label": "bug"}', "the key `label` stands twice in one object"),
        ("\x1b[2J hi", "the answer is not JSON: expecting value at character 1, near: \ufffd[2J hi"),
        ('{"urgency": NaN}', "`NaN` is not JSON"),
        ('{"urgency": -Infinity}', "`-Infinity` is not JSON"),
        ('{"urgency": 1e999}', "the number `1e999` is too large"),
        ('{"urgency": ' + "9" * 5000 + "}", "a number in the answer has too many digits"),
        ("[" * 100_000, "the answer is nested too deeply"),
        ("[]", "the answer must be an object, not []"),
        (
            '{"label": "bug", "urgency": true, "tags": ["a", 2], "author": {"nme": "x"}}',
            "`urgency` must be an integer, not true; `tags[1]` must be a string, not 2; `author` has unknown `nme`",
        ),
        ('{"label": "bug", "author": {}}', "the answer lacks `urgency`, `tags`"),
        (
            '{"label": "' + "x" * 500 + '", "urgency": 1, "tags": [], "author": {}}',
            '`label` must be one of "bug", "billing", not "' + "x" * 78 + "…",
        ),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_gets_a_short_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        read_answer(text, SCHEMA)
    assert caught.value.reason == reason


def test_other_keywords_of_json_schema_are_checked_too() -> None:
    with pytest.raises(InvalidAnswer) as caught:
        read_answer('{"a": 12}', {"properties": {"a": {"maximum": 10}}})
    assert caught.value.reason == "`a`: 12 is greater than the maximum of 10"


def test_an_answer_too_deep_for_a_recursive_schema_is_refused() -> None:
    schema = {"$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}, "$ref": "#/$defs/list"}
    assert read_answer("[[], [[]]]", schema) == [[], [[]]]
    with pytest.raises(InvalidAnswer) as caught:
        read_answer("[" * 400 + "]" * 400, schema)
    assert caught.value.reason == "the answer is nested too deeply"


def test_the_first_condition_that_does_not_hold_is_the_reason() -> None:
    conditions = [
        parse_condition("output.urgency >= 1"),
        parse_condition("{{ output.tags | length < 1 }}"),
        parse_condition("output.label == 'billing'"),
    ]
    scope = {"output": DATA}
    assert check_conditions(conditions, scope) == "the answer does not fulfil `{{ output.tags | length < 1 }}`"
    assert check_conditions(conditions[:1], scope) is None
    with pytest.raises(CallFailed, match='must give true or false, not the text "bug"'):
        check_conditions([parse_condition("output.label")], scope)


def test_reading_answers_without_a_schema_imports_neither_jsonschema_nor_jinja() -> None:
    code = (
        "import sys\n"
        "from llmflow.language.answers import read_answer\n"
        "assert read_answer(' a ', None) == 'a'\n"
        "print(sorted(m for m in ('jsonschema', 'jinja2') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
