"""Templates from a stranger's file: what they must not reach, and work that must be stopped before it is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmflow.errors import CallFailed
from llmflow.language.templates import TemplateProblem, parse_condition, parse_template

WORK = "the template does too much work (more than 1,000,000 steps)"
TEXT = "the template makes too much text (one text may have 8,388,608 characters)"
ALL_TEXT = "the template handles too much text (more than 67,108,864 characters in all)"
NUMBER = "a number in the template is too large"
DEEP = "the template calls itself, or its data is nested, too deeply"

GROWING = "{% set ns = namespace(x=START) %}{% for i in range(200) %}{% set ns.x = STEP %}{% endfor %}END"


def growing(start: str, step: str, end: str = "{{ ns.x | length }}") -> str:
    return GROWING.replace("START", start).replace("STEP", step).replace("END", end)


def often(body: str) -> str:
    """`body` a hundred thousand times."""
    return "{% for a in inputs.l %}" + body + "{% endfor %}"


HOSTILE: dict[str, str] = {
    # loops
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}": WORK,
    often("{% for b in inputs.l if false %}{% endfor %}"): WORK,
    "{% for a in range(10 ** 9) %}{% endfor %}": WORK,
    "{{ range(10 ** 30) }}": "the range is too long",
    "{% for a in range(900000) %}{{ a }}{% endfor %}": WORK,
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}": DEEP,
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}": WORK,
    "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}": DEEP,
    # much text out of little
    "{{ 'a' | center(900000000) }}": TEXT,
    "{{ 'a'.center(900000000) }}": TEXT,
    "{{ 'a'.ljust(10 ** 9) }}{{ 'a'.rjust(10 ** 9) }}": TEXT,
    "{{ 'a'.zfill(10 ** 9) }}": TEXT,
    "{{ 'a' * 1000000000 }}": TEXT,
    "{{ 1000000000 * 'a' }}": TEXT,
    "{{ '%999999999d' % 1 }}": "a format may not be wider than 9,999 characters",
    "{{ '%.999999999f' % 1 }}": "a format may not be wider than 9,999 characters",
    "{{ '%*d' % (999999999, 1) }}": ("the format `%*d` has a `%` that is no directive; write `%%` for a percent sign"),
    "{{ '%999999999s' | format('a') }}": "a format may not be wider than 9,999 characters",
    "{{ ('%9999d' * 100000) % 1 }}": TEXT,
    "{{ '{:>999999999}'.format(1) }}": "the value.format does not exist: the value is text",
    "{{ range(100000) | join('x' * 1000000) }}": TEXT,
    "{{ ('x' * 1000000).join(['a'] * 100000) }}": TEXT,
    "{{ inputs.big.replace('x', 'y' * 1000) }}": TEXT,
    "{{ inputs.big | replace('', 'y' * 1000) }}": TEXT,
    "{{ inputs.big | indent(1000000000) }}": TEXT,
    "{{ ('\\n' * 100000) | indent('x' * 100000) }}": TEXT,
    "{{ 1 | tojson(1000000000) }}": "tojson takes an indent between 0 and 16",
    "{{ inputs.big | truncate(10, false, inputs.big) }}": (
        "in `{{ inputs.big | truncate(10, false, inputs.big) }}`: expected length >= 1000000, got 10"
    ),
    often("y" * 5000): TEXT,
    "{% set x %}" + often("y" * 5000) + "{% endset %}{{ x | length }}": WORK,
    "{% macro f() %}" + often("y" * 5000) + "{% endmacro %}{{ f() | length }}": WORK,
    "{% filter upper %}" + often("y" * 5000) + "{% endfilter %}": WORK,
    growing("'ab'", "ns.x ~ ns.x"): TEXT,
    growing("'ab'", "ns.x + ns.x"): TEXT,
    growing("[]", "ns.x + ['a' * 8000000]"): ALL_TEXT,
    # much data out of little
    "{{ [1] * 1000000000 }}": WORK,
    "{{ [1] | batch(1000000000, 'x') }}": WORK,
    "{{ [1] | slice(1000000000) }}": WORK,
    growing("[1]", "ns.x + ns.x"): WORK,
    growing("[1]", "[ns.x, ns.x]", "{{ ns.x }}"): WORK,
    growing("[1]", "[ns.x, ns.x]", "{{ ns.x == ns.x }}"): WORK,
    growing("[1]", "[ns.x, ns.x]", "{{ ns.x | tojson | length }}"): WORK,
    growing("[1]", "[ns.x, ns.x]", "{{ [ns.x] | sort | length }}"): WORK,
    # large numbers
    "{{ 10 ** 1000000 }}": NUMBER,
    "{{ 7 ** 77777 % 10 }}": NUMBER,
    growing("3", "ns.x * ns.x"): NUMBER,
    "{{ ('9' * 4000) | int }}": NUMBER,
    "{{ ('1' * 8000000) | int(0, 2) }}": NUMBER,
    "{{ 1.5 | round(1000000000) }}": "round takes a precision between -100 and 100",
    # cheap to write, dear to do, many times
    often("{{ a in inputs.l }}"): WORK,
    often("{{ inputs.l == inputs.l }}"): WORK,
    often("{{ inputs.l.count(1) }}"): WORK,
    often("{{ inputs.l | sort | first }}"): WORK,
    often("{{ inputs.l | sum }}"): WORK,
    often("{{ inputs.l | unique | first }}"): WORK,
    often("{{ inputs.l | reverse | first }}"): WORK,
    often("{{ inputs.l | select('odd') | first }}"): WORK,
    often("{{ inputs.objects | map(attribute='a') | first }}"): WORK,
    often("{{ inputs.objects | groupby('a') | first }}"): WORK,
    often("{{ inputs.l[::2] | first }}"): WORK,
    often("{{ inputs.big[1:] | length }}"): ALL_TEXT,
    often("{{ inputs.big | upper | length }}"): ALL_TEXT,
    often("{{ inputs.big | wordcount }}"): ALL_TEXT,
    often("{{ inputs.big.count('y') }}"): ALL_TEXT,
    often("{{ inputs.big.split('x') | length }}"): WORK,
    often("{{ 'y' in inputs.big }}"): WORK,
    often("{{ inputs.big is lower }}"): WORK,
    often("{{ inputs.l | tojson | length }}"): WORK,
    often("{{ loop.changed(inputs.l) }}"): WORK,
    # the budget itself
    "{{ [1] | map('spend steps', -1000000000) }}": "there is no filter `spend steps`",
    "{{ [1] | map('look up', ('x', '__class__')) }}": "there is no filter `look up`",
    # sources that are too much to read
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }}": "the expression is nested too deeply",
    "{{ " + "not " * 5000 + "1 }}": "the expression is nested too deeply",
    "{{ 1" + " | abs" * 5000 + " }}": "the template is nested too deeply",
    "{{ " + "9" * 5000 + " }}": "a number in it has too many digits",
    "{{ a" + ".b" * 5000 + " | upper }}": "the reference is too long",
    "{{ a" + "[a]" * 5000 + " }}": "the template is nested too deeply",
    "{{ 1" + " + 1" * 50000 + " }}": "the template is too long",
    "{% if 1 %}" * 60 + "{% endif %}" * 60: "the template is nested too deeply",
    "{% for a in [1] %}" * 15 + "{% endfor %}" * 15: "the template is nested too deeply",
}

CHILD = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (768 << 20, 768 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
from llmflow.errors import CallFailed
from llmflow.language.templates import TemplateProblem, parse_template

big = {"l": list(range(100000)), "big": "x" * 1000000, "objects": [{"a": n} for n in range(50000)]}
said = {}
for source in json.load(sys.stdin):
    try:
        said[source] = "value: " + repr(parse_template(source).value({"inputs": big}))[:80]
    except TemplateProblem as problem:
        said[source] = problem.message
    except CallFailed as error:
        said[source] = error.detail
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="address space limits are POSIX")
def test_hostile_templates_are_stopped_within_bounded_memory_and_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(list(HOSTILE)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == HOSTILE


REACHING = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ inputs.__class__ }}{{ 1 }}",
    "{{ inputs['__class__'] }}",
    "{{ inputs['__init__'].__globals__ }}",
    "{{ [inputs] | map(attribute='__class__') }}",
    "{{ [inputs] | map(attribute='get.__self__') }}",
    "{{ [inputs] | groupby('__class__') }}",
    "{{ [inputs] | sort(attribute='__class__') }}",
    "{{ [inputs] | selectattr('__class__') }}",
    "{{ inputs.get.__self__ }}",
    "{{ inputs.text.upper.owner }}",
    "{{ inputs.text.upper.run }}",
    "{{ range.__globals__ }}",
    "{{ dict.mro() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace(a=1).__class__ }}",
    "{{ namespace(a=1)._Namespace__attrs }}",
    "{% macro m() %}{% endmacro %}{{ m.__class__ }}{{ m._func }}",
    "{% for a in [1] %}{{ loop.__class__ }}{% endfor %}",
    "{% for a in [1] %}{{ loop._iterable }}{% endfor %}",
    "{% for a in [1] %}{{ loop.cycle.__func__ }}{% endfor %}",
    "{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ (1).bit_length() }}",
    "{{ 1.5.hex() }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ '%(a)s' % inputs.__dict__ }}",
    "{{ inputs.l.append(1) }}",
    "{{ inputs.l.pop() }}",
    "{{ inputs.l.sort() }}",
    "{{ inputs.update({'text': 'x'}) }}",
    "{{ inputs.pop('text') }}",
    "{{ inputs.clear() }}",
    "{{ inputs.call('x') }}",
    "{{ lipsum.__globals__ }}",
    "{{ cycler.__init__ }}",
    "{{ joiner() }}",
    "{{ missing.x }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ llmflow_result }}",
    "{{ inputs | attr('__class__') }}",
    "{{ self.__init__ }}",
    "{{ super() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% extends inputs.text %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% do inputs.clear() %}",
    "{% debug %}",
    "{{ inputs.text | e }}",
    "{{ inputs.text | safe }}",
    "{{ inputs.text | urlize }}",
    "{{ inputs.l | random }}",
    "{{ inputs.l | pprint }}",
    "{{ inputs.text is callable }}",
    "{{ inputs.text is filter }}",
]


@pytest.mark.parametrize("source", REACHING)
def test_nothing_but_data_can_be_reached_or_changed(source: str) -> None:
    def call(command: str) -> None:
        raise AssertionError("a function in the data was called")

    scope = {"inputs": {"text": "hi", "l": [3, 1, 2], "call": call}}
    with pytest.raises((TemplateProblem, CallFailed)):
        parse_template(source).value(scope)
    assert scope == {"inputs": {"text": "hi", "l": [3, 1, 2], "call": call}}


def test_a_condition_is_bounded_like_a_template() -> None:
    with pytest.raises(CallFailed, match="too much work"):
        parse_condition("range(10 ** 9) | length > 1").holds({})
    with pytest.raises(TemplateProblem, match="nested too deeply"):
        parse_condition("not " * 5000 + "a")


def test_the_deepest_and_longest_templates_that_are_accepted_do_run() -> None:
    assert parse_template("{{ 1" + " + 1" * 48 + " }}").value({}) == 49
    assert parse_template("{{ 1" + " | abs" * 48 + " }}").value({}) == 1
    assert parse_template("{{ 'a'" + " ~ 'b'" * 1000 + " }}").value({}) == "a" + "b" * 1000
    assert parse_template("{% for a in [1] %}" * 10 + "x" + "{% endfor %}" * 10).text({}) == "x"
    assert parse_template("{% if 1 %}" * 45 + "x" + "{% endif %}" * 45).text({}) == "x"
    assert len(parse_template("{{ a + 1 }}\n" * 4000).text({"a": 1})) == 8000


def test_each_rendering_has_a_budget_of_its_own() -> None:
    template = parse_template("{% for a in range(300000) %}{% endfor %}done")
    assert [template.text({}) for _ in range(4)] == ["done"] * 4
