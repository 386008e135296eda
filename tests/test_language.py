"""Items, pieces, loops, code, sub-pipelines and last words: what right files become, and what no file may do."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_text import pipeline_text

from llmflow.errors import PipelineError, Problem, UsageError
from llmflow.language.data_types import plain_data
from llmflow.language.loader import load
from llmflow.language.pipeline import UNLIMITED, Foreach, Pipeline, ProviderSpec, Retry, Task
from llmflow.language.reading import Reading
from llmflow.language.schema import json_schema
from llmflow.language.source import Source
from llmflow.language.templates import Structure, parse_template
from llmflow.language.yaml_reader import read_yaml

GOLDEN = Path(__file__).parent / "golden" / "pipelines"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))
VALIDATOR = jsonschema.Draft7Validator(json_schema())


def loaded(text: str, **options: Any) -> Pipeline:
    return load("-", text=text.encode(), **options)


def task_of(body: str, rest: str = "") -> Task:
    """The task `t` of a pipeline whose `t` has the lines of `body`."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    return loaded(f"tasks:\n  t:\n{lines}{rest}").tasks["t"]


# ---- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_large_file_becomes_exactly_this_pipeline(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    assert pipeline_text(load(f"{case}.yaml")) == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_the_schema_takes_a_large_file(case: str) -> None:
    source = Source("f", (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8"))
    data = plain_data(read_yaml(source)[0], Reading(source, Path()))
    assert [e.message for e in VALIDATOR.iter_errors(data)] == []


@pytest.mark.parametrize("case", CASES)
def test_a_file_without_one_of_its_lines_is_read_or_gets_problems(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    lines = (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8").split("\n")
    for n in range(len(lines)):
        problems: tuple[Problem, ...] = ()
        try:
            load(f"{case}.yaml", text="\n".join(lines[:n] + lines[n + 1 :]).encode())
        except PipelineError as error:
            problems = error.problems
        assert all(problem.mark.line and problem.render() for problem in problems)


_PIECES = [
    "",
    "{}",
    "[]",
    "x",
    "3",
    "null",
    "true",
    '"{{ item }}"',
    '"{{ tasks.t01.output }}"',
    "{items: x}",
    "{file: x}",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CASES), st.integers(0, 10_000), st.sampled_from(_PIECES))
def test_what_the_loader_takes_of_a_damaged_file_the_schema_takes_too(case: str, seed: int, piece: str) -> None:
    """One value of the file, wherever it stands, is replaced by something else."""
    text = (GOLDEN / f"{case}.yaml").read_text(encoding="utf-8")
    dice = random.Random(seed)
    colons = [at for at, c in enumerate(text) if text.startswith(": ", at)]
    at = dice.choice(colons) + 2
    end = min((e for e in (text.find(stop, at) for stop in (", ", "}", "\n")) if e > 0), default=len(text))
    damaged = text[:at] + piece + text[end:]
    try:
        load(GOLDEN / f"{case}.yaml", text=damaged.encode())
    except PipelineError:
        return
    source = Source("f", damaged)
    data = plain_data(read_yaml(source)[0], Reading(source, Path()))
    assert [e.message for e in VALIDATOR.iter_errors(data)] == []


# ---- items that flow ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "source", "results"),
    [
        ('"{{ tasks.a.outputs }}"', "a", False),
        ('"{{ tasks.a.results }}"', "a", True),
        ('"{{tasks.a.outputs}} "', "a", False),
        ('{items: "{{ tasks.a.results }}", as: r}', "a", True),
        ('"{{ tasks.a.outputs | list }}"', "", False),
        ('"{{ tasks.a.outputs[1:] }}"', "", False),
        ('["{{ tasks.a.outputs }}"]', "", False),
        ('{zip: ["{{ tasks.a.outputs }}"]}', "", False),
    ],
)
def test_items_flow_only_from_exactly_the_outputs_or_results_of_a_foreach(
    items: str, source: str, results: bool
) -> None:
    task = task_of(f"foreach: {items}\nprompt: x", "  a: {foreach: [1], prompt: x}\n")
    assert task.foreach is not None
    assert (task.foreach.source, task.foreach.source_results) == (source, results)
    assert task.dependencies == (() if source else ("a",))


@pytest.mark.parametrize(
    ("line", "dependencies"),
    [
        ('prompt: "{{ tasks.a.output }} {{ tasks.a.status }} {{ tasks.z.output }}"', ()),
        ('prompt: "{{ tasks.a.outputs | length }}"', ("a",)),
        ('prompt: x\nwhen: tasks.a.status == "succeeded"', ("a",)),
        ('prompt: x\nsave: "{{ tasks.z.usage.output_tokens }}"', ("z",)),
        ("prompt: x\ndepends_on: a", ("a",)),
        ('prompt: x\nwith: {n: "{{ tasks.a.output }}"}', ()),
        ("prompt: x\noutput: {validate: output != tasks.z.output}", ()),
    ],
)
def test_inside_an_item_its_own_way_there_is_no_dependency(line: str, dependencies: tuple[str, ...]) -> None:
    rest = '  a: {foreach: "{{ tasks.z.results }}", prompt: x}\n  z: {foreach: [1], prompt: x}\n'
    assert task_of(f'foreach: "{{{{ tasks.a.outputs }}}}"\n{line}', rest).dependencies == dependencies


def test_a_tree_takes_outputs_one_by_one_and_a_fold_waits_for_all() -> None:
    rest = "  a: {matrix: {x: [1]}, prompt: x}\n"
    tree = task_of('reduce: {items: "{{ tasks.a.outputs }}", mode: tree}\nprompt: x', rest)
    fold = task_of('reduce: {items: "{{ tasks.a.outputs }}"}\nprompt: x', rest)
    by_results = task_of('reduce: {items: "{{ tasks.a.results }}", mode: tree}\nprompt: x', rest)
    assert [(t.source, t.dependencies) for t in (tree, fold, by_results)] == [("a", ()), ("", ("a",)), ("", ("a",))]


_LINK = st.tuples(st.integers(0, 5), st.sampled_from(["outputs", "results", "barrier", "prompt", "order"]))


@given(st.lists(st.none() | _LINK, min_size=1, max_size=6))
def test_a_cycle_is_found_whatever_its_edges_are_made_of(links: list[tuple[int, str] | None]) -> None:
    """Each task has at most one link to another: items that flow or wait for all, a prompt, an order."""
    above: dict[int, int] = {}
    lines = ["tasks:"]
    for n, link in enumerate(links):
        to, how = link or (n, "")
        to %= len(links)
        fields = {"foreach": "[1]", "prompt": "x"}
        if link is not None:
            above[n] = to
            if how == "order":
                fields["depends_on"] = f"t{to}"
            elif how == "prompt":
                fields["prompt"] = f'"{{{{ tasks.t{to}.outputs }}}}"'
            else:
                fields["foreach"] = f'"{{{{ tasks.t{to}.{"outputs | list" if how == "barrier" else how} }}}}"'
        lines.append(f"  t{n}: {{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}")
    try:
        pipeline = loaded("\n".join(lines))
    except PipelineError as error:
        messages = [problem.message for problem in error.problems]
        told = all(any(w in m for w in ("in a circle", "refers to itself", "depends on itself")) for m in messages)
    else:
        messages, told = [], True
        assert {n: f"t{to}" for n, to in above.items()} == {
            n: t.source or t.dependencies[0] for n, t in enumerate(pipeline) if t.source or t.dependencies
        }
    assert told
    assert bool(messages) == any(_leads_back(n, above) for n in above)


def _leads_back(start: int, above: dict[int, int]) -> bool:
    seen: set[int] = set()
    at = start
    while at in above and at not in seen:
        seen.add(at)
        at = above[at]
    return at in seen


# ---- what holds without being written -------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attempts"),
    [
        ("prompt: x", 4),
        ('python: "package.module:function"', 1),
        ("command: ls", 1),
        ('http: {url: "http://127.0.0.1/"}', 4),
        ('http: {url: "http://127.0.0.1/", method: DELETE}', 4),
        ('http: {url: "http://127.0.0.1/", method: POST}', 1),
        ('http: {url: "http://127.0.0.1/", method: PATCH}', 1),
    ],
)
def test_what_may_have_done_something_is_tried_once_unless_retry_is_written(body: str, attempts: int) -> None:
    assert task_of(body).retry == Retry(max_attempts=attempts)
    assert task_of(f"{body}\nretry: {{max_attempts: 7}}").retry == Retry(max_attempts=7)
    assert task_of(body, "defaults: {retry: {max_attempts: 3}}\n").retry == Retry(max_attempts=3)


def test_a_command_is_words_and_with_a_shell_one_line() -> None:
    words = task_of("command: \"sort -k '2 3' --reverse\"").command
    line = task_of('command: "sort | uniq"\nshell: true').command
    assert words is not None
    assert line is not None
    assert (words.words, words.line, words.shell) == (("sort", "-k", "2 3", "--reverse"), "", False)
    assert (line.words, line.line, line.shell) == ((), "sort | uniq", True)


def test_the_pools_of_code_take_workers_without_a_kind() -> None:
    providers = loaded(
        "providers: {host: {workers: 3}, http: {workers: unlimited}}\ntasks: {t: {command: ls}}\n"
    ).providers
    found = {name: (spec.kind, spec.workers) for name, spec in providers.items()}
    assert found == {"host": ("host", 3), "http": ("http", UNLIMITED)}


def test_a_file_that_another_task_may_make_need_not_be_there(tmp_path: Path) -> None:
    text = "tasks:\n  make: {command: make}\n  t: {foreach: {file: out.jsonl}, prompt: x, depends_on: make}\n"
    (tmp_path / "p.yaml").write_text(text)
    assert load(tmp_path / "p.yaml").tasks["t"].foreach == Foreach(file=parse_template("out.jsonl"))


def test_arguments_may_be_called_what_templates_know_already() -> None:
    task = task_of('foreach: [1]\npython: "a.b:c"\nwith: {item: "{{ item }}", items: [1], output: x}')
    assert task.names == {
        "item": Structure(parse_template("{{ item }}")),
        "items": Structure([1]),
        "output": Structure("x"),
    }


def test_a_python_file_is_read_and_never_run(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("raise SystemExit('it was run')\ndef f(a): ...\n")
    (tmp_path / "p.yaml").write_text('tasks: {t: {python: "steps.py:f", with: {a: 1}}}\n')
    assert load(tmp_path / "p.yaml").tasks["t"].python == "steps.py:f"


# ---- sub-pipelines --------------------------------------------------------------------------------


def test_a_used_file_is_looked_for_beside_the_file_that_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "top.yaml").write_text("tasks: {t: {uses: a/middle.yaml}}\n")
    (tmp_path / "a" / "middle.yaml").write_text("tasks: {t: {uses: b/low.yaml}}\n")
    (tmp_path / "a" / "b" / "low.yaml").write_text("tasks: {t: {prompt_file: p.md}}\n")
    (tmp_path / "a" / "b" / "p.md").write_text("Hello")
    monkeypatch.chdir("/")
    middle = load(tmp_path / "top.yaml").tasks["t"].uses
    assert middle is not None
    low = middle.tasks["t"].uses
    assert low is not None
    assert low.path == str(tmp_path / "a" / "b" / "low.yaml")
    assert low.tasks["t"].messages[0].content.source == "Hello"


def test_a_circle_through_a_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tasks: {t: {uses: link.yaml}}\n")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    with pytest.raises(PipelineError, match=r"circle: .*a\.yaml -> .*link\.yaml"):
        load(tmp_path / "a.yaml")


def test_files_that_multiply_are_stopped(tmp_path: Path) -> None:
    for n in range(30):
        tasks = "".join(f"  t{k}: {{uses: f{n + 1}.yaml}}\n" for k in range(10))
        (tmp_path / f"f{n}.yaml").write_text(f"tasks:\n{tasks}")
    (tmp_path / "f30.yaml").write_text("tasks: {t: {prompt: x}}\n")
    with pytest.raises(PipelineError, match="add more than 200,000 tasks"):
        load(tmp_path / "f0.yaml")


def test_files_deeper_than_a_bound_are_refused(tmp_path: Path) -> None:
    for n in range(40):
        (tmp_path / f"f{n}.yaml").write_text(f"tasks: {{t: {{uses: f{n + 1}.yaml}}}}\n")
    (tmp_path / "f40.yaml").write_text("tasks: {t: {prompt: x}}\n")
    with pytest.raises(PipelineError, match="more than 32 files deep"):
        load(tmp_path / "f0.yaml")


def test_a_provider_declared_alike_in_two_files_is_one_pool(tmp_path: Path) -> None:
    line = "providers: {sim: {kind: simulated, workers: 2}}\n"
    (tmp_path / "a.yaml").write_text(line + "tasks: {t: {uses: b.yaml}}\n")
    (tmp_path / "b.yaml").write_text("\n" + line + "tasks: {t: {prompt: x, model: sim/x}}\n")
    providers = load(tmp_path / "a.yaml").providers
    assert [(spec.name, spec.workers) for spec in providers.values()] == [("sim", 2)]


# ---- models from the command line -----------------------------------------------------------------

ALIASED = """\
providers: {sim: {kind: simulated}}
models: {fast: openai/small, best: [openai/large, sim/x]}
defaults: {model: fast}
tasks:
  a: {prompt: x}
  b: {prompt: x, model: [best, fast]}
"""


@pytest.mark.parametrize(
    ("aliases", "a", "b"),
    [
        ({}, ("openai/small",), ("openai/large", "sim/x", "openai/small")),
        ({"fast": "sim/y"}, ("sim/y",), ("openai/large", "sim/x", "sim/y")),
        ({"fast": "best"}, ("openai/large", "sim/x"), ("openai/large", "sim/x")),
        ({"best": "anthropic/claude"}, ("openai/small",), ("anthropic/claude", "openai/small")),
    ],
)
def test_the_command_line_replaces_single_aliases(
    aliases: dict[str, str], a: tuple[str, ...], b: tuple[str, ...]
) -> None:
    tasks = loaded(ALIASED, aliases=aliases).tasks
    assert (tasks["a"].models, tasks["b"].models) == (a, b)


def test_the_model_in_an_alias_place_is_checked_like_one_that_is_written() -> None:
    text = ALIASED.replace("a: {prompt: x}", "a: {prompt: x, params: {temperature: 1}}")
    with pytest.raises(PipelineError, match="not taken by anthropic models"):
        loaded(text, aliases={"fast": "anthropic/claude"})


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ({"fsat": "sim/x"}, "unknown alias `fsat`\n  hint: did you mean `fast`?"),
        ({"zzz": "sim/x"}, "unknown alias `zzz`\n  hint: there are best, fast"),
        ({"fast": "smi/x"}, "unknown model `smi/x` for alias `fast`\n  hint: did you mean `sim/x`?"),
        ({"fast": "bset"}, "unknown model `bset` for alias `fast`\n  hint: did you mean `best`?"),
    ],
)
def test_a_wrong_alias_is_a_usage_error(aliases: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(ALIASED, aliases=aliases)
    assert str(caught.value) == message


def test_an_alias_without_any_is_told_what_there_is_instead() -> None:
    with pytest.raises(UsageError) as caught:
        loaded("tasks: {t: {prompt: x}}\n", aliases={"fast": "openai/x"})
    hint = "the pipeline defines none; `--model X` replaces the model of every task"
    assert str(caught.value) == f"unknown alias `fast`\n  hint: {hint}"


def test_an_alias_of_a_used_file_is_replaced_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("models: {fast: openai/x}\ntasks: {t: {uses: b.yaml}}\n")
    (tmp_path / "b.yaml").write_text("models: {low: openai/y}\ntasks: {t: {prompt: x, model: low}}\n")
    used = load(tmp_path / "a.yaml", aliases={"low": "openai/z"}).tasks["t"].uses
    assert used is not None
    assert used.tasks["t"].models == ("openai/z",)


def test_a_provider_of_two_used_files_must_be_equal(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tasks: {t: {uses: b.yaml}, u: {uses: c.yaml}}\n")
    (tmp_path / "b.yaml").write_text("providers: {sim: {kind: simulated}}\ntasks: {t: {prompt: x, model: sim/x}}\n")
    (tmp_path / "c.yaml").write_text("providers: {sim: {kind: mock}}\ntasks: {t: {prompt: x, model: sim/x}}\n")
    with pytest.raises(PipelineError) as caught:
        load(tmp_path / "a.yaml")
    b, c = tmp_path / "b.yaml", tmp_path / "c.yaml"
    assert [p.message for p in caught.value.problems] == [
        f"`c.yaml` declares another provider `sim` ({c}:1:13) than {b}:1:13"
    ]


def test_a_spec_of_a_provider_knows_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("tasks: {t: {uses: b.yaml}}\n")
    (tmp_path / "b.yaml").write_text("providers: {sim: {kind: simulated}}\ntasks: {t: {prompt: x, model: sim/x}}\n")
    spec = load(tmp_path / "a.yaml").providers["sim"]
    assert isinstance(spec, ProviderSpec)
    assert str(spec.mark) == f"{tmp_path / 'b.yaml'}:1:13"
