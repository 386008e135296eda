"""What is known of a template before anything runs: what it refers to, where, and what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from llmflow.language.filters import FILTERS
from llmflow.language.templates import TemplateProblem, parse_condition, parse_template


@pytest.mark.parametrize(
    ("source", "references"),
    [
        ("nothing", []),
        ("é{{ a.b }}{{a}}", [(("a", "b"), 4), (("a",), 12)]),
        ("{{ tasks.people.output.name }}", [(("tasks", "people", "output", "name"), 3)]),
        ("{{  a\n}}\r\n{{ b }}", [(("a",), 4), (("b",), 13)]),
        ("x\r\ny {{ a | upper }}\r\n{{ b }}", [(("a",), 8), (("b",), 25)]),
        (
            '{{ tasks["x"].output + tasks[inputs.which].output }}',
            [(("tasks", "x", "output"), 3), (("tasks",), 23), (("inputs", "which"), 29)],
        ),
        ("{{ a.b[0].c }}", [(("a", "b"), 3)]),
        ("{{ a.b.upper().c }}", [(("a", "b"), 3)]),
        ("{{ a.items() }}{{ a.items }}", [(("a",), 3), (("a", "items"), 18)]),
        ("{{- a -}}  {%- if b -%} {{ c }} {%- endif %}", [(("a",), 4), (("b",), 18), (("c",), 27)]),
        (
            "{% for x in xs %}{{ x.y }}{{ z }}{{ loop.index }}{% else %}{{ x }}{% endfor %}{{ x }}",
            [(("xs",), 12), (("z",), 29), (("x",), 62), (("x",), 81)],
        ),
        ("{% for k, v in d.items() if k != skip %}{{ k }}{{ v }}{% endfor %}", [(("d",), 15), (("skip",), 33)]),
        ("{{ x }}{% set x = y %}{{ x }}", [(("x",), 3), (("y",), 18)]),
        ("{% set x %}{{ y }}{% endset %}{{ x }}", [(("y",), 14)]),
        ("{% set ns = namespace(a=b) %}{% set ns.a = c %}{{ ns.a }}", [(("b",), 24), (("c",), 43)]),
        ("{% with a = b, c = a %}{{ a }}{{ c }}{% endwith %}", [(("b",), 12), (("a",), 19)]),
        (
            "{% macro m(p, q=r) %}{{ p }}{{ q }}{{ s }}{{ varargs }}{% endmacro %}{{ m(t) }}",
            [(("r",), 16), (("s",), 38), (("t",), 74)],
        ),
        ("{% call(p) m() %}{{ p }}{{ q }}{% endcall %}", [(("m",), 11), (("q",), 27)]),
        ("{{ xs | map(attribute='y') | join(sep) }}", [(("xs",), 3), (("sep",), 34)]),
        ("{{ x is divisibleby n }}{{ range(k) }}", [(("x",), 3), (("n",), 20), (("k",), 33)]),
        ("{% raw %}{{ a }}{% endraw %}{{ b }}{# {{ c }} #}{{ '{{ d }}' }}", [(("b",), 31)]),
        ("{{ 'a.b' }} {{ {'k': v}.k }}", [(("v",), 21)]),
        ("{{ true }}{{ none }}", []),
        ("{{ 'x' if a else b }}", [(("a",), 10), (("b",), 17)]),
    ],
)
def test_references_come_from_the_syntax_tree_with_their_offsets(source: str, references: list[Any]) -> None:
    found = parse_template(source).references
    assert list(found) == references
    for path, offset in found:
        assert source.startswith(path[0], offset)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (
            "ab {{ a",
            (
                6,
                "unexpected end of template, expected 'end of print statement'.",
                "close it with `}}`, or write `{% raw %}…{% endraw %}` around text that is no template",
            ),
        ),
        ("{{ a b }}", (5, "expected token 'end of print statement', got 'b'", "")),
        ("{{ a.b && c }}", (7, "unexpected `&`", "write `and`")),
        ("{{ !a }}", (3, "unexpected `!`", "write `not`")),
        ("é\r\n{{ a || b }}", (9, "expected token 'name', got '|'", "write `or`")),
        ("{{ a | frist }}", (7, "there is no filter `frist`", "did you mean `first`?")),
        ("{{ a is defind }}", (5, "there is no test `defind`", "did you mean `defined`?")),
        ("{{ }}", (3, "expected an expression, got 'end of print statement'", "")),
        (
            "{% if a %}x",
            (
                10,
                "unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. "
                "The innermost block that needs to be closed is 'if'.",
                "",
            ),
        ),
        ("x {% include 'y' %}", (5, "`{% include %}` cannot be used in a template", "")),
        ("x {% import 'y' as z %}", (5, "`{% import %}` cannot be used in a template", "")),
        ("x {% from 'y' import z %}", (5, "`{% from %}` cannot be used in a template", "")),
        ("{% extends 'y' %}", (3, "`{% extends %}` cannot be used in a template", "")),
        ("{% block y %}{% endblock %}", (3, "`{% block %}` cannot be used in a template", "")),
        ("{% autoescape true %}{% endautoescape %}", (3, "`{% autoescape %}` cannot be used in a template", "")),
        ("{% set tasks = 1 %}", (7, "`tasks` is taken: choose another name", "")),
        ("{% for inputs in a %}{% endfor %}", (7, "`inputs` is taken: choose another name", "")),
        ("{% macro f(run) %}{% endmacro %}", (11, "`run` is taken: choose another name", "")),
        ("{{ self.x }}", (3, "`self` cannot be used in a template", "")),
        ("{{ f(*a) }}", (4, "`*` and `**` cannot be used in a call", "")),
        ("{{ a.b(**c) }}", (6, "`*` and `**` cannot be used in a call", "")),
        ("{# never closed", (2, "missing end of comment tag", "")),
        ("{% raw %}never closed", (9, "missing end of raw directive", "")),
    ],
)
def test_a_wrong_template_is_refused_when_it_is_parsed_with_its_place(
    source: str, problem: tuple[int, str, str]
) -> None:
    with pytest.raises(TemplateProblem) as caught:
        parse_template(source)
    assert (caught.value.offset, caught.value.message, caught.value.hint) == problem


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", (0, "the condition is empty", "write an expression, such as `inputs.urgent`")),
        ("yes {{ a }}", (0, "a condition is one expression, without text around it", "write it without `{{ }}`")),
        (
            "{{ a }} and {{ b }}",
            (0, "a condition is one expression, without text around it", "write it without `{{ }}`"),
        ),
        ("a = b", (2, "unexpected '=' after the expression", "write `==`")),
        ("a >", (2, "unexpected 'end of template'", "")),
        ("a | nofilter", (4, "there is no filter `nofilter`", "there are: " + " ".join(sorted(FILTERS)))),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(source: str, problem: tuple[int, str, str]) -> None:
    with pytest.raises(TemplateProblem) as caught:
        parse_condition(source)
    assert (caught.value.offset, caught.value.message, caught.value.hint) == problem


def test_a_conditions_references_have_their_offsets() -> None:
    assert parse_condition(" {{ a.b }}").references == ((("a", "b"), 4),)
    assert parse_condition("  a.b").references == ((("a", "b"), 2),)
    assert parse_condition("not a.b and c.d in e").references == ((("a", "b"), 4), (("c", "d"), 12), (("e",), 19))
    assert parse_condition("{{ not a }}").references == ((("a",), 7),)
