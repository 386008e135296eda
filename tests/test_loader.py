"""A right pipeline file becomes a Pipeline: everything resolved, inferred and merged."""

from __future__ import annotations

import graphlib
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.errors import FailureKind, Mark, PipelineError, Problem
from llmflow.language.checks import cycles_of, unruled_joins
from llmflow.language.loader import load
from llmflow.language.pipeline import (
    UNLIMITED,
    EstimateSpec,
    Input,
    MessageTemplate,
    OnError,
    Output,
    Pipeline,
    ProviderSpec,
    Retry,
    Scheduling,
    Task,
    Timeout,
)
from llmflow.language.templates import Structure, parse_condition, parse_template
from llmflow.scheduling.graph import Graph


def loaded(text: str) -> Pipeline:
    return load("-", text=text.encode())


def task_of(body: str, rest: str = "") -> Task:
    """The task `t` of a pipeline whose `t` has the lines of `body`."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    return loaded(f"tasks:\n  t:\n{lines}{rest}").tasks["t"]


def test_the_smallest_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "hello.yaml"
    path.write_text(
        """\
tasks:
  people:
    prompt: "List the people named in this text: {{ inputs.text }}"
  letter:
    prompt: "Write a one-line greeting to {{ tasks.people.output }}"
"""
    )
    people = parse_template("List the people named in this text: {{ inputs.text }}")
    letter = parse_template("Write a one-line greeting to {{ tasks.people.output }}")
    shown = str(path)
    assert load(path) == Pipeline(
        path=shown,
        name="hello",
        named=False,
        description="",
        inputs={"text": Input("text", required=True, mark=Mark(shown, 3, 53))},
        providers={},
        models={},
        scheduling=Scheduling(),
        tasks={
            "people": Task("people", "model", Mark(shown, 2, 3), messages=(MessageTemplate("user", people),)),
            "letter": Task(
                "letter",
                "model",
                Mark(shown, 4, 3),
                messages=(MessageTemplate("user", letter),),
                dependencies=("people",),
            ),
        },
        outputs=None,
        env=(),
    )


EVERYTHING = """\
version: 1
name: everything
description: All the words.
inputs:
  text: {type: string, description: what to read}
  count: {type: integer, default: 3}
  kind: {enum: [a, b], required: false}
  data: {type: file, format: csv}
  free:
providers:
  gpu: {kind: openai, endpoints: ["http://gpu1:8000/v1", "http://gpu2:8000/v1/"], workers: 4, api_key_env: GPU_KEY}
  sim: {kind: simulated, speed: 20, answers: {a: "yes"}, workers: unlimited}
  local:
models:
  fast: gpu/small
  both: [gpu/small, openai/gpt-5.5]
defaults:
  model: both
  system: "You speak {{ inputs.kind }}."
  params: {temperature: 0.5, stop: ["END"], extra: {a: 1, b: 2}}
  timeout: 5m
  retry: {max_attempts: 2, backoff: {initial: 2s, max: 10s}}
scheduling: {workers: 8, policy: fifo, fail_fast: true}
env: [HOME]
tasks:
  last:
    value:
      all: ["{{ tasks.first.output }}", 1, null, true]
    depends_on: [second]
    trigger_rule: all_done
  first:
    prompt: "Read {{ inputs.text }} in {{ env.HOME }}"
    tags: a
    priority: -3
    estimate: {duration: 3s, output_tokens: 50}
  second:
    messages:
      - {role: system, content: "Be brief."}
      - {role: user, content: "{{ tasks.first.output.label }} {{ extra.x }}"}
    system: ""
    model: [fast, sim/x]
    params: {temperature: 0, extra: {b: 3}}
    with: {extra: {x: "{{ inputs.count }}"}}
    when: inputs.count > 2
    trigger_rule: none_failed
    output:
      schema: {label: "enum[bug, billing]", note: "string?"}
      validate: output.label != "bug"
      on_invalid: {attempts: 3, feedback: false}
      on_truncated: extend
    timeout: {idle: 20s}
    retry: {on: [timeout, server], backoff: {jitter: false}}
    on_error: {default: {label: "{{ inputs.kind }}"}}
    save: "out/{{ run.id }}.json"
    tags: [x, y]
    description: The second one.
outputs:
  answer: "{{ tasks.last.output }}"
"""


def test_every_field_arrives() -> None:
    both = ("gpu/small", "openai/gpt-5.5")
    defaults = {"temperature": 0.5, "stop": ["END"], "extra": {"a": 1, "b": 2}}
    assert loaded(EVERYTHING) == Pipeline(
        path="-",
        name="everything",
        named=True,
        description="All the words.",
        inputs={
            "text": Input("text", required=True, description="what to read", mark=Mark("<stdin>", 5, 3)),
            "count": Input("count", "integer", default=3, mark=Mark("<stdin>", 6, 3)),
            "kind": Input("kind", enum=("a", "b"), mark=Mark("<stdin>", 7, 3)),
            "data": Input("data", "file", required=True, format="csv", mark=Mark("<stdin>", 8, 3)),
            "free": Input("free", required=True, mark=Mark("<stdin>", 9, 3)),
        },
        providers={
            "gpu": ProviderSpec(
                "gpu",
                "openai",
                endpoints=("http://gpu1:8000/v1", "http://gpu2:8000/v1"),
                api_key_env="GPU_KEY",
                workers=4,
                mark=Mark("<stdin>", 11, 3),
            ),
            "sim": ProviderSpec(
                "sim", "simulated", workers=UNLIMITED, speed=20, answers={"a": "yes"}, mark=Mark("<stdin>", 12, 3)
            ),
            "local": ProviderSpec("local", "local", mark=Mark("<stdin>", 13, 3)),
        },
        models={"fast": ("gpu/small",), "both": both},
        scheduling=Scheduling(workers=8, policy="fifo", fail_fast=True),
        tasks={
            "last": Task(
                "last",
                "value",
                Mark("<stdin>", 26, 3),
                value=Structure({"all": [parse_template("{{ tasks.first.output }}"), 1, None, True]}),
                dependencies=("first", "second"),
                order_only=("second",),
                trigger_rule="all_done",
            ),
            "first": Task(
                "first",
                "model",
                Mark("<stdin>", 31, 3),
                messages=(MessageTemplate("user", parse_template("Read {{ inputs.text }} in {{ env.HOME }}")),),
                system=parse_template("You speak {{ inputs.kind }}."),
                models=both,
                params=Structure(defaults),
                timeout=Timeout(total=300.0),
                retry=Retry(max_attempts=2, initial=2.0, max=10.0),
                estimate=EstimateSpec(3.0, output_tokens=50),
                priority=-3,
                tags=("a",),
            ),
            "second": Task(
                "second",
                "model",
                Mark("<stdin>", 36, 3),
                messages=(
                    MessageTemplate("system", parse_template("Be brief.")),
                    MessageTemplate("user", parse_template("{{ tasks.first.output.label }} {{ extra.x }}")),
                ),
                system=parse_template(""),
                models=("gpu/small", "sim/x"),
                params=Structure({"temperature": 0, "stop": ["END"], "extra": {"a": 1, "b": 3}}),
                names={"extra": Structure({"x": parse_template("{{ inputs.count }}")})},
                dependencies=("first",),
                when=parse_condition("inputs.count > 2"),
                trigger_rule="none_failed",
                output=Output(
                    schema={
                        "type": "object",
                        "properties": {
                            "label": {"type": "string", "enum": ["bug", "billing"]},
                            "note": {"type": "string"},
                        },
                        "required": ["label"],
                        "additionalProperties": False,
                    },
                    validate=(parse_condition('output.label != "bug"'),),
                    attempts=3,
                    feedback=False,
                    on_truncated="extend",
                ),
                timeout=Timeout(total=300.0, idle=20.0),
                retry=Retry(
                    max_attempts=2,
                    on=(FailureKind.TIMEOUT, FailureKind.SERVER),
                    initial=2.0,
                    max=10.0,
                    jitter=False,
                ),
                on_error=OnError("default", Structure({"label": parse_template("{{ inputs.kind }}")})),
                save=parse_template("out/{{ run.id }}.json"),
                tags=("x", "y"),
                description="The second one.",
            ),
        },
        outputs={"answer": parse_template("{{ tasks.last.output }}")},
        env=("HOME",),
    )


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('prompt: "{{ tasks.a.output }}"', None),
        ('prompt: "{{ tasks.a.status }}"', None),
        ('prompt: "{{ tasks.a.usage.output_tokens }}"', None),
        ('prompt: "{% if tasks.a.output %}x{% endif %}"', None),
        ('prompt: "x"\nsystem: "{{ tasks.a.output }}"', None),
        ('prompt: "x"\nparams: {seed: "{{ tasks.a.output }}"}', None),
        ('prompt: "x"\nparams: {own: ["{{ tasks.a.output }}"]}', None),
        ('prompt: "x"\nwhen: tasks.a.output == "x"', None),
        ('prompt: "x"\nwith: {n: {deep: "{{ tasks.a.output }}"}}', None),
        ('prompt: "x"\nsave: "{{ tasks.a.output }}.txt"', None),
        ('prompt: "x"\non_error: {default: "{{ tasks.a.output }}"}', None),
        ('prompt: "x"\noutput: {validate: output == tasks.a.output}', None),
        ('messages: [{role: user, content: "{{ tasks.a.output }}"}]', None),
        ('value: [{x: "{{ tasks.a.output | upper }}"}]', None),
    ],
)
def test_an_edge_is_inferred_from_every_template_of_a_task(line: str, field: None) -> None:
    task = task_of(line, "  a: {prompt: x}\n")
    assert task.dependencies == ("a",)
    assert task.order_only == ()


def test_an_edge_that_is_written_and_used_is_not_order_only() -> None:
    task = task_of('prompt: "{{ tasks.a.output }}"\ndepends_on: [b, a, b]', "  a: {prompt: x}\n  b: {prompt: x}\n")
    assert task.dependencies == ("a", "b")
    assert task.order_only == ("b",)


def test_text_that_only_looks_like_a_reference_makes_no_edge() -> None:
    task = task_of('prompt: "{% raw %}{{ tasks.a.output }}{% endraw %} tasks.a.output {# {{ tasks.a.output }} #}"')
    assert task.dependencies == ()


def test_a_prompt_file_is_a_template_whose_references_count(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "p.md").write_bytes(b"\xef\xbb\xbfOne\r\n{{ tasks.a.output }}\r\n")
    (tmp_path / "f.yaml").write_text("tasks:\n  a: {prompt: x}\n  t: {prompt_file: prompts/p.md}\n")
    task = load(tmp_path / "f.yaml").tasks["t"]
    assert task.messages == (MessageTemplate("user", parse_template("One\n{{ tasks.a.output }}\n")),)
    assert task.dependencies == ("a",)


def test_a_json_schema_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object"}')
    (tmp_path / "f.yaml").write_text("tasks:\n  t: {prompt: x, output: {json_schema: s.json}}\n")
    assert load(tmp_path / "f.yaml").tasks["t"].output == Output(schema={"type": "object"})


@pytest.mark.parametrize("kind", ["openai", "anthropic", "ollama", "local", "simulated", "mock"])
def test_a_kind_works_as_an_undeclared_provider(kind: str) -> None:
    assert task_of(f"prompt: x\nmodel: {kind}/some/model:7b").models == (f"{kind}/some/model:7b",)


def test_a_declared_provider_of_another_kind_is_not_judged_by_its_name() -> None:
    text = "providers: {anthropic: {kind: openai, base_url: 'http://127.0.0.1:1'}}\n"
    text += "tasks: {t: {prompt: x, model: anthropic/x, params: {temperature: 1}}}\n"
    assert loaded(text).tasks["t"].models == ("anthropic/x",)


def test_a_model_named_twice_is_tried_once() -> None:
    task = task_of("prompt: x\nmodel: [fast, openai/a, openai/b]", "models: {fast: [openai/b, openai/c]}\n")
    assert task.models == ("openai/b", "openai/c", "openai/a")


@pytest.mark.parametrize(
    ("default", "own", "timeout"),
    [
        ("5m", None, Timeout(300.0)),
        ("5m", "90s", Timeout(90.0)),
        ("5m", "{idle: 3s}", Timeout(300.0, 3.0)),
        ("{total: 5m, idle: 3s}", "90s", Timeout(90.0)),
        ("{total: 5m, idle: 3s}", "{total: 90s}", Timeout(90.0, 3.0)),
    ],
)
def test_mappings_of_defaults_merge_and_scalars_replace(default: str, own: str | None, timeout: Timeout) -> None:
    body = "prompt: x" + (f"\ntimeout: {own}" if own else "")
    assert task_of(body, f"defaults: {{timeout: {default}}}\n").timeout == timeout


def test_a_value_task_takes_no_defaults() -> None:
    rest = "defaults: {model: openai/a, system: x, params: {seed: 1}, timeout: 5m, retry: {max_attempts: 9}}\n"
    assert task_of("value: 3", rest) == Task("t", "value", Mark("<stdin>", 2, 3), value=Structure(3))


def test_quantiles_are_those_of_a_log_normal_distribution() -> None:
    spec = task_of("prompt: x\nestimate: {p50: 10s, p95: 40s}").estimate
    assert spec is not None
    sigma = math.log(4) / 1.6448536269514722
    assert math.isclose(spec.mean, 10 * math.exp(sigma**2 / 2))
    assert math.isclose(spec.sd, spec.mean * math.sqrt(math.exp(sigma**2) - 1))


def test_without_inputs_an_input_that_is_used_anywhere_is_a_required_string() -> None:
    text = """\
defaults: {system: "{{ inputs.a }}"}
tasks:
  t: {prompt: "{{ inputs.b }}", when: inputs.c == "x"}
outputs: {o: "{{ inputs.d }} {{ inputs.b }}"}
"""
    inputs = loaded(text).inputs
    assert list(inputs) == ["a", "b", "c", "d"]
    assert all(i.required and i.type == "string" for i in inputs.values())


def test_with_an_empty_inputs_key_there_are_no_inputs() -> None:
    with pytest.raises(PipelineError, match="undeclared input `a`"):
        loaded('inputs: {}\ntasks: {t: {prompt: "{{ inputs.a }}"}}\n')


def test_history_is_keyed_by_the_name_or_else_by_the_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.yaml").write_text("tasks: {t: {prompt: x}}\n")
    monkeypatch.chdir(tmp_path)
    assert load("f.yaml").key == str(tmp_path / "f.yaml")
    assert loaded("name: n\ntasks: {t: {prompt: x}}\n").key == "n"


def test_names_that_python_and_jinja_use_are_good_ids() -> None:
    names = ["items", "keys", "values", "output", "tasks", "inputs", "on", "class", "_x"]
    text = "tasks:\n" + "".join(f"  {n}: {{prompt: x}}\n" for n in names)
    text += "  t:\n    prompt: '" + " ".join(f"{{{{ tasks.{n}.output }}}}" for n in names) + "'\n"
    assert loaded(text).tasks["t"].dependencies == tuple(names)


def test_anchors_and_merge_keys_share_fields_of_tasks() -> None:
    text = """\
tasks:
  a: &base
    prompt: "Hello"
    tags: [x]
  b:
    <<: *base
    tags: [y]
"""
    tasks = loaded(text).tasks
    assert (tasks["b"].messages, tasks["b"].tags) == (tasks["a"].messages, ("y",))


_edges = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=14)


@given(_edges)
def test_a_cycle_is_found_exactly_where_graphlib_finds_one(edges: list[tuple[int, int]]) -> None:
    above: dict[str, set[str]] = {f"t{n}": set() for n in range(9)}
    for task, dependency in edges:
        if task != dependency:
            above[f"t{task}"].add(f"t{dependency}")
    text = "tasks:\n"
    for task, dependencies in above.items():
        text += f"  {task}: {{prompt: '{' '.join(f'{{{{ tasks.{d}.output }}}}' for d in dependencies)}.'}}\n"
    try:
        graphlib.TopologicalSorter(above).prepare()
    except graphlib.CycleError:
        with pytest.raises(PipelineError, match="in a circle") as caught:
            loaded(text)
        for problem in caught.value.problems:
            circle = problem.message.removeprefix("tasks depend on each other in a circle: ").split(" -> ")
            assert circle[0] == circle[-1]
            assert all(first in above[then] for first, then in itertools.pairwise(circle))
    else:
        pipeline = loaded(text)
        assert {t.id: set(t.dependencies) for t in pipeline} == above


def test_every_knot_of_tasks_is_named_once() -> None:
    cycles, _ = cycles_of({"a": ("b",), "b": ("a",), "c": ("d",), "d": ("e",), "e": ("c", "a"), "f": ()})
    assert sorted(sorted(set(c)) for c in cycles) == [["a", "b"], ["c", "d", "e"]]


def _can_be_skipped_apart(graph: Graph, conditional: list[int], task: int) -> bool:
    """By trying every outcome of the conditions, under the default rule."""
    for outcome in itertools.product([True, False], repeat=len(conditional)):
        false = {c for c, holds in zip(conditional, outcome, strict=True) if not holds}
        skipped: set[int] = set()
        for t in range(len(graph)):
            if t in false or any(d in skipped for d in graph.dependencies[t]):
                skipped.add(t)
        if len({d in skipped for d in graph.dependencies[task]}) > 1:
            return True
    return False


@given(
    st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=2, max_size=7),
    st.sets(st.integers(0, 6), max_size=4),
)
def test_a_join_needs_a_rule_exactly_where_a_skip_can_meet_a_task_that_ran(
    rows: list[set[int]], conditions: set[int]
) -> None:
    graph = Graph()
    for n, row in enumerate(rows):
        graph.add(f"t{n}", sorted(d for d in row if d < n))
    conditional = sorted(c for c in conditions if c < len(rows))
    joins = unruled_joins(graph, {f"t{c}" for c in conditional}, {})
    apart = {f"t{t}" for t in range(len(rows)) if _can_be_skipped_apart(graph, conditional, t)}
    assert set(joins) == apart


@pytest.mark.parametrize(
    ("rule", "below_needs_a_rule"),
    [
        ("all_success", True),
        ("all_done", False),
        ("none_failed", False),
        ("one_success", False),
        ("none_failed_min_one_success", False),
        ("one_failed", True),
        ("all_failed", True),
    ],
)
def test_a_rule_decides_whether_a_skip_goes_on_below_the_join(rule: str, below_needs_a_rule: bool) -> None:
    graph = Graph.of({"a": (), "b": (), "join": ("a", "b"), "c": (), "below": ("join", "c")})
    joins: dict[str, Any] = unruled_joins(graph, {"a"}, {"join": rule})
    assert joins == ({"below": ("join", "c")} if below_needs_a_rule else {})


def test_loading_leaves_the_garbage_collector_as_it_was() -> None:
    import gc

    assert gc.isenabled()
    with pytest.raises(PipelineError):
        loaded("[")
    assert gc.isenabled()
    gc.disable()
    try:
        loaded("tasks: {t: {prompt: x}}\n")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_without_the_c_parser_the_same_pipeline_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(EVERYTHING)
    program = (
        "import sys; sys.modules['yaml.cyaml'] = None\n"
        "from llmflow.language import loader, yaml_reader\n"
        "assert yaml_reader._Parser.__module__ == 'yaml.loader'\n"
        "print(loader.load(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{load(path)}\n"


def test_a_pipeline_is_read_from_standard_input(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("Hello")
    program = "from llmflow.language.loader import load; p = load('-'); print(p.path, p.name, p.tasks['t'].messages)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="tasks: {t: {prompt_file: p.md}}",
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    message = MessageTemplate("user", parse_template("Hello"))
    assert done.stdout == f"- stdin {(message,)}\n"


_PIECES = [
    "{{",
    "}}",
    " *a",
    " &a ",
    "<<: ",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "\n",
    "\t",
    ": ",
    "- ",
    "|\n",
    "~",
    "3",
    "é",
]
_PIECES += ["yes", "\u2028", "#", "!!str ", "tasks", "when: ", "value: ", "output: ", "\r\n", "? ", "...", "{% raw %}"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(["", *_PIECES])), min_size=1, max_size=4)
)
def test_a_damaged_file_is_read_or_gets_problems_with_places(damages: list[tuple[float, int, str]]) -> None:
    text = EVERYTHING
    for where, length, piece in damages:
        at = int(where * len(text))
        text = text[:at] + piece + text[at + length :]
    problems: tuple[Problem, ...] = ()
    try:
        loaded(text)
    except PipelineError as error:
        problems = error.problems
    assert all(p.mark.line and p.mark.column and p.render() for p in problems)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(PipelineError):
        load("-", text=data)
