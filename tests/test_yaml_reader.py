"""YAML is read strictly: places are kept, types are never guessed, and no file makes reading explode."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from llmflow.errors import PipelineError
from llmflow.language.data_types import plain_data
from llmflow.language.reading import Reading
from llmflow.language.scalars import UnclearScalar, place_of, resolve
from llmflow.language.source import Source
from llmflow.language.source_text import decoded
from llmflow.language.yaml_reader import MAX_ADDED, Mapping, Scalar, Sequence, UnreadableYaml, read_yaml


def data_of(text: str) -> Any:
    source = Source("f", text)
    node, problems = read_yaml(source)
    reading = Reading(source, Path())
    data = plain_data(node, reading)
    assert not problems
    assert not reading.problems
    return data


def why_unreadable(text: str) -> str:
    with pytest.raises(UnreadableYaml) as caught:
        read_yaml(Source("f", text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("null", None),
        ("~", None),
        ("", None),
        ("Null", None),
        ("true", True),
        ("false", False),
        ("12", 12),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-2", -0.015),
        ("0.5", 0.5),
        ("1:30", "1:30"),
        ("2024-01-31", "2024-01-31"),
        ("1.2.3", "1.2.3"),
        ("y", "y"),
        ("n", "n"),
        ("text", "text"),
        ("0b11", "0b11"),
        ("+", "+"),
        ("e3", "e3"),
        ("12a", "12a"),
        ("true story", "true story"),
        ('"no"', "no"),
        ("'010'", "010"),
        ('""', ""),
    ],
)
def test_a_scalar_has_the_type_that_everybody_expects(written: str, value: Any) -> None:
    found = data_of(f"k: {written}\n")["k"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "written",
    ["yes", "No", "ON", "off", "True", "FALSE", "010", "-007", "01.5", "1_000", ".inf", "-.INF", ".nan", "1e999"],
)
def test_a_scalar_that_readers_take_differently_is_refused(written: str) -> None:
    with pytest.raises(UnclearScalar):
        resolve(Scalar(written, 0, ""))


def test_a_number_has_fewer_than_4300_digits() -> None:
    assert resolve(Scalar("9" * 4299, 0, "")) == int("9" * 4299)
    with pytest.raises(UnclearScalar):
        resolve(Scalar("9" * 4300, 0, ""))


def test_keys_are_always_text() -> None:
    assert data_of("on: 1\n2: 2\nnull: 3\ntrue: 4\n1.5: 5\n'': 6\n") == {
        "on": 1,
        "2": 2,
        "null": 3,
        "true": 4,
        "1.5": 5,
        "": 6,
    }


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc<é ", max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(_json)
def test_json_is_read_as_json(value: Any) -> None:
    if value in (None, "", [], {}) or isinstance(value, str):
        value = [value]
    found = data_of(json.dumps(value))
    assert found == value
    assert repr(found) == repr(value)


@given(
    st.text("ab {}'\"\\é:#-\n", min_size=1, max_size=40),
    st.sampled_from(["'", '"', "|", ">", None]),
    st.integers(min_value=0, max_value=40),
    st.integers(min_value=20, max_value=200),
)
def test_the_place_of_a_character_in_a_scalar_is_where_it_is_written(
    text: str, style: str | None, offset: int, width: int
) -> None:
    written = yaml.safe_dump({"k": text}, default_style=style, width=width, allow_unicode=True)
    source = Source("f", written)
    root, _ = read_yaml(source)
    assert isinstance(root, Mapping)
    node = root.entries["k"]
    assert isinstance(node, Scalar)
    if offset < len(node.text) and node.text[offset] not in " \n\"'\\":
        assert written[place_of(source, node, offset)] == node.text[offset]
        if node.style != ">" and text.count(text[offset]) == 1:
            assert place_of(source, node, offset) == written.rindex(text[offset])


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_and_columns_count_as_editors_do(newline: str) -> None:
    source = Source("f", newline.join(["# é — comment", "a: 1", "é: [1, x]", ""]))
    root, _ = read_yaml(source)
    assert isinstance(root, Mapping)
    node = root.entries["é"]
    assert isinstance(node, Sequence)
    assert str(source.mark(node.items[1].at)) == "f:3:8"
    assert str(source.mark(root.key_place("é"))) == "f:3:1"
    assert source.line(3) == "é: [1, x]"


@pytest.mark.parametrize(
    ("bom", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_utf_8_and_utf_16_are_read(bom: bytes, codec: str) -> None:
    assert data_of(decoded("f", bom + "a: né 🎈\n".encode(codec))) == {"a": "né 🎈"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: caf\xe9\n", "f:2:7: not UTF-8: byte 0xe9 at offset 11\n  hint: save the file as UTF-8"),
        (b"\xff\xfea\x00\x00\xd8", "f:1:2: not UTF-16: byte 0x00 at offset 4\n  hint: save the file as UTF-8"),
    ],
)
def test_another_encoding_is_refused_at_its_first_byte(data: bytes, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        decoded("f", data)
    assert str(caught.value) == message


def test_anchors_aliases_and_merge_keys_work() -> None:
    text = """
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
one: {<<: *base, b: 5}
many:
  <<: [*base, *other]
same: *base
text: &t hello
again: [*t, *t]
"<<": quoted
"""
    data = data_of(text)
    assert data["one"] == {"b": 5, "a": 1}
    assert data["many"] == {"a": 1, "b": 2, "c": 4}
    assert data["same"] == {"a": 1, "b": 2}
    assert data["again"] == ["hello", "hello"]
    assert data["<<"] == "quoted"


def test_an_anchor_may_be_defined_again() -> None:
    assert data_of("[&a 1, *a, &a 2, *a]") == [1, 1, 2, 2]


def test_plain_nodes_are_not_counted_and_aliases_are() -> None:
    assert len(data_of("[" + "1," * (MAX_ADDED + 1) + "]")) == MAX_ADDED + 1
    aliases = "[&a 1, " + "*a," * MAX_ADDED + "]"
    assert len(data_of(aliases)) == MAX_ADDED + 1
    assert "add more than 200,000 nodes" in why_unreadable("[&a 1, " + "*a," * (MAX_ADDED + 1) + "]")


def test_a_bomb_of_aliases_is_refused_before_it_is_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "add more than 200,000 nodes" in why_unreadable("\n".join(lines))


def test_nesting_has_a_largest_depth() -> None:
    assert data_of("[" * 64 + "]" * 64) is not None
    assert "nested deeper than 64 levels" in why_unreadable("[" * 65 + "]" * 65)
    assert "nested deeper than 64 levels" in why_unreadable("[" * 100_000)


def test_a_five_megabyte_scalar_is_read() -> None:
    text = "x" * 5_000_000
    assert data_of(f'a: "{text}"\n') == {"a": text}


def test_a_problem_in_a_line_of_five_megabytes_shows_a_piece_of_it() -> None:
    source = Source("f", "x" * 2_500_000 + "!" + "x" * 2_500_000)
    rendered = source.problem(2_500_000, "here").render().split("\n")
    assert rendered[0] == "f:1:2500001: here"
    assert len(rendered[1]) < 200
    assert rendered[1][rendered[2].index("^")] == "!"
