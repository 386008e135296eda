from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import llmflow
from llmflow.errors import CallFailed, FailureKind
from llmflow.language import templates
from llmflow.language.filters import FILTERS, TESTS
from llmflow.language.sandbox import compile_template
from llmflow.language.syntax import read_template
from llmflow.language.templates import (
    Reference,
    Structure,
    TemplateProblem,
    parse_condition,
    parse_template,
)

SCOPE: dict[str, Any] = {
    "inputs": {"text": "Ada met Grace.", "n": 3, "on": True, "ratio": 0.5, "list": [1, "é", True, None], "items": 5},
    "tasks": {
        "people": {"output": ["Ada", "Grace"], "status": "succeeded"},
        "label": {"output": {"label": "bug", "keys": "own"}, "status": "succeeded"},
        "skipped": {"output": None, "status": "skipped"},
        "failed": {"output": None, "status": "failed"},
        "silent": {"output": None, "status": "succeeded"},
    },
}


class LazyMap(Mapping[str, Any]):
    """A map that looks its values up when asked, as a run's names do."""

    secret = "an attribute"

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)


class LazyList(Sequence[Any]):
    """A list that is none of Python's own."""

    def __init__(self, *data: Any) -> None:
        self._data = data

    def __getitem__(self, index: Any) -> Any:
        return self._data[index]

    def __len__(self) -> int:
        return len(self._data)


def failing(work: Any) -> str:
    """The sentence of the CallFailed that `work()` raises."""
    with pytest.raises(CallFailed) as caught:
        work()
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.TEMPLATE, False)
    return caught.value.detail


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("no template at all", "no template at all"),
        ("", ""),
        ("{{ inputs.n }}", 3),
        ("  {{ inputs.on }}\n", True),
        ("{{inputs.list}}", [1, "é", True, None]),
        ("{{ tasks.skipped.output }}", None),
        ("{{ inputs.n + 1 }}", 4),
        ("{{- inputs.n * 2.5 -}}", 7.5),
        ("{{ inputs.text == 'x' }}", False),
        ("{{ [{'x': 1, 'y': 'a'}, {'x': 2}] | selectattr('x', 'equalto', 1) }}", [{"x": 1, "y": "a"}]),
        ("{{ [{'x': 1, 'y': 'a'}, {'x': 2}] | rejectattr('x', 'eq', 1) }}", [{"x": 2}]),
        ("{{ [1, 5, 3] | select('greaterthan', 2) }}", [5, 3]),
        ("{{ [1, 5, 3] | select('lessthan', 2) }}", [1]),
        ("{{ inputs.n is equalto 3 and inputs.n is greaterthan 2 and inputs.n is lessthan 4 }}", True),
        ("{{ {'a': [1, inputs.n]} }}", {"a": [1, 3]}),
        ("{{ (1, 2) }}", [1, 2]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ tasks.people.output | map('upper') }}", ["ADA", "GRACE"]),
        ("{{ inputs.list[1:3] }}", ["é", True]),
        ("{{ inputs.n }}!", "3!"),
        ("{{ inputs.n }}{{ inputs.n }}", "33"),
        ("{# why #}{{ inputs.n }}", "3"),
    ],
)
def test_a_field_that_is_exactly_one_expression_keeps_its_values_type(source: str, value: Any) -> None:
    got = parse_template(source).value(SCOPE)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ inputs.text }}", "Ada met Grace."),
        (" {{ inputs.n }} ", " 3 "),
        ("a {{ inputs.list }} b", 'a [1, "é", true, null] b'),
        ("a {{ tasks.label.output }}", 'a {"label": "bug", "keys": "own"}'),
        ("{{ inputs.on }} {{ inputs.ratio }}", "true 0.5"),
        ("{{ inputs.on and inputs.on }}", "true"),
        ("{{ 'on: ' ~ inputs.on ~ [true] }}", "on: true[true]"),
        ("{{ inputs.list[:3] | join(', ') }}", "1, é, true"),
        ("{{ '%s is %d%%, %.1f' | format([true], 5, 2.25) }}", "[true] is 5%, 2.2"),
        ("{% for p in tasks.people.output %}{{ loop.index }}. {{ p }}\n{% endfor %}", "1. Ada\n2. Grace\n"),
        ("<{{ '<b>&' }}> {{ '\"' }}", '<<b>&> "'),
        ("{{ tasks.skipped.output or 'nobody' }}!", "nobody!"),
        ("{{ tasks.skipped.output | default('nobody', true) }}!", "nobody!"),
        ("{{ inputs.nothing | default('-') }}{{ nothing | default('-') }}", "--"),
        ("{{ inputs.nothing is defined }} {{ inputs.text is defined }}", "false true"),
        ("{% raw %}{{ inputs.text }}{% endraw %}", "{{ inputs.text }}"),
        ("a } b }} c %} d { e", "a } b }} c %} d { e"),
        ("line\r\nline\r{{ inputs.n }}\r\n", "line\nline\n3\n"),
        ("line\r\nline\r{{ inputs.n + 1 }}\r\n", "line\nline\n4\n"),
        (
            "{% macro tag(x, y='!') %}<{{ x }}{{ y }}>{% endmacro %}{{ tag(1) }}{{ tag('a', y='?') }}",
            "<1!><a?>",
        ),
        ("{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "6"),
        ("{% filter upper %}a{{ inputs.n }}b{% endfilter %}", "A3B"),
        ("{% set x %}[{{ inputs.n }}]{% endset %}{{ x * 2 }}", "[3][3]"),
        ("{% macro m() %}({{ caller('x') }}){% endmacro %}{% call(v) m() %}{{ v }}{% endcall %}", "(x)"),
        ("{% with a = 1 %}{{ a }}{% endwith %}", "1"),
        (
            "{% for x in [[1, [2, []]], [3, []]] recursive %}{{ x[0] }}{{ loop([x[1]]) if x[1] else '' }};{% endfor %}",
            "12;;3;",
        ),
        (
            "{% for label, all in [{'l': 'b'}, {'l': 'a'}, {'l': 'b'}] | groupby('l') %}{{ label }}={{ all | length }} "
            "{% endfor %}",
            "a=1 b=2 ",
        ),
        ("{% for g in [{'l': 'b'}] | groupby('l') %}{{ g.grouper }}{{ g.list }}{% endfor %}", 'b[{"l": "b"}]'),
        (
            "{{ {'b': 1, 'a': [true]} | tojson }}{{ '[1, {\"a\": \"<é>\"}]' | fromjson }}",
            '{"b": 1, "a": [true]}[1, {"a": "<é>"}]',
        ),
        ("{{ tasks.label.output.items() | list | length }}{{ {'a': 1}.get('b', 2) }}", "22"),
    ],
)
def test_inside_text_lists_maps_and_booleans_are_json(source: str, text: str) -> None:
    assert parse_template(source).text(SCOPE) == text


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x {{ tasks.skipped.output }}", "tasks.skipped.output is none: the task was skipped"),
        (
            "x {{ tasks.failed.output | upper }}{{ 1 }}",
            "the value is none and cannot stand in text; `or` and `default(…, true)` give a way out "
            "(tasks.failed.output is none: the task failed)",
        ),
        (
            "{% for x in tasks.skipped.output %}{% endfor %}",
            "a list is needed here, not none (tasks.skipped.output is none: the task was skipped)",
        ),
        (
            "{{ inputs.n + tasks.skipped.output }}",
            "in `{{ inputs.n + tasks.skipped.output }}`: unsupported operand type(s) for +: 'int' and 'NoneType' "
            "(tasks.skipped.output is none: the task was skipped)",
        ),
        ("{{ tasks.silent.output | join }}", "a list is needed here, not none (tasks.silent.output is none)"),
        ("x {{ tasks['failed'].output }}", "tasks.failed.output is none: the task failed"),
        ("x {{ tasks.skipped.output or tasks.failed.output }}", "tasks.skipped.output is none: the task was skipped"),
        ("{{ 'x' ~ tasks.skipped.output }}", "tasks.skipped.output is none: the task was skipped"),
        (
            "x {{ tasks.silent.output }}",
            "tasks.silent.output is none and cannot stand in text; `or` and `default(…, true)` give a way out",
        ),
        (
            "x {{ tasks.skipped.output.name }}",
            "tasks.skipped.output is none, so tasks.skipped.output.name does not exist",
        ),
        (
            "x {{ inputs.list[3] }}",
            "inputs.list[3] is none and cannot stand in text; `or` and `default(…, true)` give a way out",
        ),
        ("x {{ none or none }}", "the expression is none and cannot stand in text"),
        (
            "{{ inputs.list | join }}",
            "an element of the list is none and cannot stand in text; `or` and `default(…, true)` give a way out",
        ),
        ("{{ inputs.txt }}", "inputs.txt does not exist: inputs has no key `txt` (did you mean `text`?)"),
        ("{{ inputs.txt | upper }}", "inputs.txt does not exist: inputs has no key `txt` (did you mean `text`?)"),
        ("{{ [inputs.txt] }}", "inputs.txt does not exist: inputs has no key `txt` (did you mean `text`?)"),
        ("{{ [inputs.txt] | tojson }}", "inputs.txt does not exist: inputs has no key `txt` (did you mean `text`?)"),
        ("{{ tasks.peple.output }}", "tasks.peple does not exist: tasks has no key `peple` (did you mean `people`?)"),
        ("{{ tasks.people.output.name }}", "tasks.people.output.name does not exist: tasks.people.output is a list"),
        ("{{ tasks.people.output[7] }}", "tasks.people.output[7] does not exist: tasks.people.output is a list"),
        ("{{ inputs.text.first }}", "inputs.text.first does not exist: inputs.text is text"),
        ("{{ tusks.people }}", "`tusks` is not defined"),
        ("x {{ tusks }} {{ 1 }}", "`tusks` is not defined"),
        ("x {{ inputs.text.upper }}", "inputs.text.upper is a method (`()` calls it) and cannot stand in text"),
        ("{{ inputs.text.upper }}", "the expression gives a method (`()` calls it), which is not data"),
        ("x {{ 'y' if false }}", "the `if` of the expression is false and there is no `else`"),
        ("x {{ 1 / 0 }}", "in `{{ 1 / 0 }}`: division by zero"),
        ("{{ inputs.text + 1 }}", 'in `{{ inputs.text + 1 }}`: can only concatenate str (not "int") to str'),
        ("{{ inputs.n() }}", "only methods, macros, `range`, `dict` and `namespace` can be called"),
        ("{% for x in inputs.n %}{% endfor %}", "a list is needed here, not an integer"),
        ("{{ [1, 'a'] | sum }}", "sum adds numbers, not text"),
        ("{{ 'x' | fromjson }}", "fromjson: the text is not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_what_cannot_be_rendered_is_said_with_the_reference(source: str, sentence: str) -> None:
    assert failing(lambda: parse_template(source).value(SCOPE)) == sentence


def test_keys_win_over_methods_in_every_way_of_writing() -> None:
    data = {"items": 1, "keys": 2, "values": 3, "get": 4, "update": 5}
    sources = [
        "{{ d.items }}{{ d.keys }}{{ d.values }}{{ d.get }}{{ d.update }}",
        "{{ d['items'] }}{{ d['keys'] }}{{ d.values }}{{ d.get }}{{ d.update }}",
        "{% set e = d %}{{ e.items }}{{ e.keys }}{{ e.values }}{{ e.get }}{{ e.update }}",
    ]
    for kind in (dict, LazyMap):
        assert [parse_template(source).text({"d": kind(data)}) for source in sources] == ["12345"] * 3


def test_lazy_maps_and_lists_are_read_like_pythons_own() -> None:
    scope = LazyMap({"tasks": LazyMap({"a": LazyMap({"output": LazyList("x", LazyMap({"k": True}))})})})
    assert parse_template("{{ tasks.a.output }}").value(scope) == ["x", {"k": True}]
    assert parse_template("= {{ tasks.a.output }}").text(scope) == '= ["x", {"k": true}]'
    assert parse_template("= {{ tasks.a.output | length }}").text(scope) == "= 2"
    assert parse_template("{{ tasks.a.output[1] }}").value(scope) == {"k": True}
    assert parse_template("{{ tasks }}").value(scope) == {"a": {"output": ["x", {"k": True}]}}
    assert parse_condition("tasks.a.output[1].k").holds(scope) is True


def test_attributes_of_python_objects_do_not_exist() -> None:
    scope = {"x": LazyMap({}), "f": test_attributes_of_python_objects_do_not_exist}
    assert (
        failing(lambda: parse_template("{{ x.secret }}").value(scope))
        == "x.secret does not exist: x has no key `secret`"
    )
    assert (
        failing(lambda: parse_template("{{ x._data }}").value(scope)) == "x._data does not exist: x has no key `_data`"
    )
    assert failing(lambda: parse_template("= {{ f }}").value(scope)) == "f is a function and cannot stand in text"
    assert (
        failing(lambda: parse_template("{{ f() }}").value(scope))
        == "only methods, macros, `range`, `dict` and `namespace` can be called"
    )


CANARIES = ["{{7*7}}", "{% for x in [1] %}", "{# gone #}", "{{ inputs.text }}", "{% raw %}", "}}", "%}"]


def test_values_are_data_and_are_never_rendered_again_over_five_chained_renderings() -> None:
    for source in ("{{ tasks.t.output }}", "{{ tasks.t.output }} ", "{{ tasks.t.output | trim }}{{ '' }}"):
        for canary in CANARIES:
            output = canary
            for _ in range(5):
                output = parse_template(source).text({"tasks": {"t": {"output": output}}}).strip()
            assert output == canary


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("inputs.on", True),
        (" {{ inputs.on }} ", True),
        ("not inputs.on", False),
        ("inputs.n > 2 and tasks.label.output.label == 'bug'", True),
        ("{{ inputs.n in [1, 2] }}", False),
        ("'Ada' in tasks.people.output", True),
        ("tasks.skipped.output is none", True),
        ("inputs.nothing is defined", False),
        ("true", True),
    ],
)
def test_a_condition_is_a_bare_expression_or_exactly_one_in_braces(source: str, holds: bool) -> None:
    assert parse_condition(source).holds(SCOPE) is holds


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("inputs.text", 'the condition `inputs.text` must give true or false, not the text "Ada met Grace."'),
        ("{{ 'false' }}", "the condition `{{ 'false' }}` must give true or false, not the text \"false\""),
        ("inputs.n", "the condition `inputs.n` must give true or false, not an integer"),
        ("inputs.n - 3", "the condition `inputs.n - 3` must give true or false, not an integer"),
        ("tasks.skipped.output", "the condition `tasks.skipped.output` must give true or false, not none"),
        ("tasks.people.output", "the condition `tasks.people.output` must give true or false, not a list"),
        ("inputs.onn", "inputs.onn does not exist: inputs has no key `onn` (did you mean `on`?)"),
        ("inputs.onn or true", "inputs.onn does not exist: inputs has no key `onn` (did you mean `on`?)"),
    ],
)
def test_a_condition_must_give_a_boolean(source: str, sentence: str) -> None:
    assert failing(lambda: parse_condition(source).holds(SCOPE)) == sentence


def test_a_structure_replaces_its_templates_and_nothing_else() -> None:
    structure = Structure(
        {
            "n": parse_template("{{ inputs.n }}"),
            "deep": [
                1,
                (parse_template("<{{ inputs.text }}>"), None),
                {"x": parse_template("{{ tasks.people.output }}")},
            ],
            "text": "{{ inputs.n }}",
        }
    )
    assert structure.references == (
        Reference(("inputs", "n"), 3),
        Reference(("inputs", "text"), 4),
        Reference(("tasks", "people", "output"), 3),
    )
    assert structure.value(SCOPE) == {
        "n": 3,
        "deep": [1, ["<Ada met Grace.>", None], {"x": ["Ada", "Grace"]}],
        "text": "{{ inputs.n }}",
    }
    assert Structure(7).value(SCOPE) == 7


def test_templates_and_conditions_are_equal_by_source() -> None:
    assert parse_template("{{ a }}") == parse_template("{{ a }}")
    assert parse_template("{{ a | upper }}") == parse_template("{{ a | upper }}")
    assert parse_template("{{ a }}") != parse_template("{{ b }}")
    assert len({parse_template("{{ a }}"), parse_template("{{ a }}"), parse_template("x")}) == 2
    assert parse_condition("a") == parse_condition("a") != parse_condition("a ")
    assert len({parse_condition("a or b"), parse_condition("a or b")}) == 1
    assert repr(parse_template("x")) == "Template('x')"
    assert repr(parse_condition("x")) == "Condition('x')"


def test_a_number_with_too_many_digits_cannot_stand_in_text() -> None:
    for source in ("= {{ n }}", "= {{ n or 1 }}"):
        sentence = failing(lambda source=source: parse_template(source).text({"n": 10**5000}))
        assert sentence.endswith("is a number with too many digits for a text")


def test_a_text_may_have_eight_mebibytes_on_either_path() -> None:
    scope = {"a": "x" * (5 * 1024 * 1024)}
    for source in ("{{ a }}{{ a }}", "{{ a }}{{ a | trim }}"):
        assert (
            failing(lambda source=source: parse_template(source).text(scope))
            == "the template makes too much text (one text may have 8,388,608 characters)"
        )
        assert len(parse_template("{{ a }}").text(scope)) == 5 * 1024 * 1024


NAMES = st.sampled_from(
    ["a", "b", "a.b", "b.a.b", "a.items", "b.upper", "nope", "a.nope.b", "true", "range", "tasks.a.output"]
)
PIECES = st.one_of(
    st.builds(
        lambda left, name, right: "{{" + left + name + right + "}}",
        st.sampled_from(["", " ", "\n\t", "-", " \r\n"]),
        NAMES,
        st.sampled_from(["", " ", "  ", " -"]),
    ),
    st.sampled_from(
        [
            "{",
            "}",
            "{{",
            "}}",
            "{%",
            "%}",
            "{#",
            "#}",
            "%",
            "#",
            "-",
            "\n",
            "\r\n",
            "\r",
            " ",
            "a.b",
            "\u2028",
            "\u00a0",
        ]
    ),
    st.text(max_size=4),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(CANARIES),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "items", "nope", "output"]), inner, max_size=4),
    ),
    max_leaves=8,
)


def outcome(work: Any) -> tuple[str, str]:
    try:
        return "value", repr(work())
    except CallFailed as error:
        return "failed", error.detail


def problem_of(work: Any) -> tuple[int, str] | None:
    try:
        work()
    except TemplateProblem as problem:
        return problem.offset, problem.message
    return None


@settings(deadline=None, max_examples=200)
@example("{{{ a }}", {"a": 1})
@example("{{{ a }}}", {"a": 1})
@example("{ {{ a }}}", {"a": 1})
@example("{%{{ a }}", {"a": 1})
@example("{#{{ a }}#}{{ a }}", {"a": 1})
@example("{{ a }}{{", {"a": 1})
@example("{{ a }}{", {"a": 1})
@example("{{ true }}", {"true": 1})
@example("\r\n{{ a }}\r{{ b.a }}\n", {"a": 1, "b": {"a": None}})
@given(
    st.lists(PIECES, max_size=6).map("".join),
    st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "tasks": VALUES}),
)
def test_the_direct_path_means_exactly_what_jinja_means(source: str, scope: dict[str, Any]) -> None:
    if (refused := problem_of(lambda: read_template(source))) is not None:
        assert problem_of(lambda: parse_template(source)) == refused
        return
    references, single = read_template(source)
    template = parse_template(source)
    program = compile_template(source, single)
    assert (template.references, template.single) == (references, single)
    assert outcome(lambda: template.text(scope)) == outcome(lambda: program.text(scope))
    if single:
        assert outcome(lambda: template.value(scope)) == outcome(lambda: program.value(scope))


@settings(deadline=None)
@given(NAMES, st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "tasks": VALUES}))
def test_a_plain_condition_means_what_the_same_expression_means_to_jinja(name: str, scope: dict[str, Any]) -> None:
    plain, jinja = parse_condition(name), parse_condition(f"({name})")
    assert [r.path for r in plain.references] == [r.path for r in jinja.references]
    left, right = outcome(lambda: plain.holds(scope)), outcome(lambda: jinja.holds(scope))
    assert left == (right[0], right[1].replace(f"`({name})`", f"`{name}`"))


def test_plain_templates_conditions_and_structures_never_import_jinja() -> None:
    code = (
        "import sys\n"
        "from llmflow.language.templates import Structure, parse_condition, parse_template\n"
        "t = parse_template('Hello {{ inputs.who }}, {{ tasks.a.output }} { } {{x}}')\n"
        "scope = {'inputs': {'who': 'you', 'on': True}, 'tasks': {'a': {'output': [1, True]}}, 'x': 1.5}\n"
        "print(t.text(scope), len(t.references), parse_condition('inputs.on').holds(scope))\n"
        "print(Structure({'a': parse_template('{{ tasks.a.output }}')}).value(scope))\n"
        "print('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Hello you, [1, true] { } 1.5 3 True\n{'a': [1, True]}\nFalse\n"


def test_the_documentation_lists_the_filters_and_tests_there_are() -> None:
    text = templates.__doc__ or ""
    filters = re.search(r"- filters: (.*?)\n- tests", text, re.S)
    tests = re.search(r"- tests: (.*?),\s+and the signs `(.*?)`", text, re.S)
    assert filters
    assert tests
    assert filters[1].split() == sorted(FILTERS)
    assert sorted([*tests[1].split(), *tests[2].split()]) == sorted(TESTS)


def test_only_the_sandbox_turns_a_text_into_a_program() -> None:
    root = Path(llmflow.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in ("from_string", "compile_expression", "from_code", "eval", "exec"):
                found.append(f"{path.relative_to(root).as_posix()}: {name}")
    assert found == ["language/sandbox.py: from_string"]
