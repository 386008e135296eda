"""`llmflow graph` as a whole: drawings, Mermaid and DOT of the examples, hostile texts, graphs too large to draw."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from command_line import EXAMPLES, Ended, llmflow, pipeline

from llmflow.reports.graph_drawing import Shape, draw

GOLDEN = Path(__file__).parent / "golden" / "graph"
DRAWN = ("approval", "cleanup", "fan_out", "matrix", "refine_loop", "sub_pipeline", "worked_example")
FORMATS = {"terminal": "txt", "mermaid": "mmd", "dot": "dot"}

HOSTILE = r"""
name: 'a "name" %%{init: {}}%% end ]; <script> &lt;'
providers: {sim: {kind: simulated, workers: 2}}
models: {m: 'sim/we"ird];--><b>x</b>\N`é`'}
defaults: {model: m}
tasks:
  end: {prompt: x, description: "end\"] --> x; \\N <img> `md` #quot; \e[2J\a\u202e second"}
  class: {prompt: "{{ tasks.end.output }}"}
  graph: {command: [touch, "executed"], depends_on: [class]}
  style: {python: "absent.module:f", depends_on: [end]}
"""


def anywhere(ended: Ended) -> Ended:
    """As on a machine with two processors."""
    return replace(ended, out=re.sub(r"host × \d+", "host × 2", ended.out))


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("name", DRAWN)
def test_the_graph_of_an_example(name: str, style: str) -> None:
    ended = llmflow("graph", str(EXAMPLES / f"{name}.yaml"), "--format", style, COLUMNS="100")
    assert anywhere(ended) == Ended(0, (GOLDEN / f"{name}.{FORMATS[style]}").read_text(encoding="utf-8"), "")


@pytest.mark.parametrize("style", FORMATS)
def test_nothing_that_an_author_writes_has_power_over_the_reader(style: str, tmp_path: Path) -> None:
    file = pipeline(tmp_path, HOSTILE, "hostile.yaml")
    ended = llmflow("graph", str(file), "--format", style, cwd=tmp_path)
    assert anywhere(ended) == Ended(0, (GOLDEN / f"hostile.{FORMATS[style]}").read_text(encoding="utf-8"), "")
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.yaml"]


def test_texts_in_mermaid_are_letters_and_entity_codes(tmp_path: Path) -> None:
    out = llmflow("graph", str(pipeline(tmp_path, HOSTILE)), "--format", "mermaid").out
    for label in re.findall(r'"(.*)"', out):
        assert re.fullmatch(r"(?:[\w .,:/+×≤…·-]|<br/>|#\d+;)*", label), label
    assert "%%{" not in out


def test_the_command_line_decides_about_workers_model_and_file(tmp_path: Path) -> None:
    file = tmp_path / "graph.txt"
    ended = llmflow("graph", str(EXAMPLES / "hello.yaml"), "-j", "3", "--model", "mock/any", "-o", str(file))
    assert ended == Ended(0, "", "")
    assert file.read_text(encoding="utf-8").splitlines()[0] == "hello: 2 tasks, 1 edge; workers: mock × 3"
    assert llmflow("graph", str(EXAMPLES / "hello.yaml"), "--format", "svg").code == 2


def test_what_history_knows_is_shown_and_the_store_is_not_made(tmp_path: Path) -> None:
    text = "providers: {mock: {answers: hi}}\ndefaults: {model: mock/any}\n"
    text += "tasks: {list: {value: [1, 2, 3]}, each: {foreach: '{{ tasks.list.output }}', prompt: x}}\n"
    file, store = pipeline(tmp_path, text), tmp_path / "store"
    before = llmflow("graph", str(file), "--store", str(store)).out
    assert not store.exists()
    assert "every task counts as 1 unit" in before
    assert "(foreach)" in before
    assert llmflow("run", str(file), "--store", str(store)).code == 0
    after = llmflow("graph", str(file), "--store", str(store)).out
    assert "(foreach × 3)" in after
    assert "every task counts as 1 unit" not in after


def chain(length: int) -> str:
    tasks = {"t0": {"value": 1}} | {f"t{i}": {"value": f"{{{{ tasks.t{i - 1}.output }}}}"} for i in range(1, length)}
    return json.dumps({"name": "chain", "tasks": tasks})


def wide(width: int) -> str:
    """Pairs, so that no two tasks share a box."""
    tasks: dict[str, dict[str, object]] = {f"a{i}": {"value": i} for i in range(width // 2)}
    tasks |= {f"b{i}": {"value": f"{{{{ tasks.a{i}.output }}}}"} for i in range(width // 2)}
    return json.dumps({"name": "wide", "tasks": tasks})


@pytest.mark.parametrize(("make", "edges"), [(chain, 9_999), (wide, 5_000)])
def test_of_ten_thousand_tasks_the_layers_are_listed(make: object, edges: int, tmp_path: Path) -> None:
    assert callable(make)
    file = pipeline(tmp_path, make(10_000))
    lines = llmflow("graph", str(file)).out.splitlines()
    assert f"10,000 tasks, {edges:,} edges" in lines[0]
    assert "10,000 boxes are too many to draw; the layers are listed instead:" in lines
    assert lines[-1] == "… 9,960 more tasks of lower rank"
    assert len(lines) < 100
    mermaid = llmflow("graph", str(file), "--format", "mermaid").out
    assert f"{edges:,} edges: Mermaid draws 500 unless its maxEdges is raised" in mermaid
    assert mermaid.count(" --> ") == edges
    assert llmflow("graph", str(file), "--format", "dot").out.count(" -> ") == edges


def test_a_layer_that_does_not_fit_is_listed(tmp_path: Path) -> None:
    ended = llmflow("graph", str(pipeline(tmp_path, wide(40))), COLUMNS="60")
    assert "the drawing would be wider than 60 columns; the layers are listed instead:" in ended.out


def test_ten_thousand_tasks_that_are_alike_share_one_box(tmp_path: Path) -> None:
    tasks = {f"t{i}": {"value": i} for i in range(10_000)}
    out = llmflow("graph", str(pipeline(tmp_path, json.dumps({"name": "many", "tasks": tasks})))).out
    assert "… 9,994 more" in out


# ---- the drawing itself ---------------------------------------------------------------------------------


def drawn(text: str, style: str = "data") -> str:
    """The drawing of `a>c b>c …`."""
    pairs = [pair.split(">") for pair in text.split()]
    names = sorted({name for pair in pairs for name in pair})
    lines = draw([Shape((n,)) for n in names], [(names.index(a), names.index(b), style) for a, b in pairs], 80)
    assert lines is not None
    return "\n".join(lines)


def test_a_diamond() -> None:
    assert drawn("a>b a>c b>d c>d") == (
        "    ┌───┐\n"
        "    │ a │\n"
        "    └─┬─┘\n"
        "  ┌───┴──┐\n"
        "  ▼      ▼\n"
        "┌───┐  ┌───┐\n"
        "│ b │  │ c │\n"
        "└─┬─┘  └─┬─┘\n"
        "  └───┐  │\n"
        "      ├──┘\n"
        "      ▼\n"
        "    ┌───┐\n"
        "    │ d │\n"
        "    └───┘"
    )


def test_lines_of_two_sources_to_each_other_s_side_do_not_run_into_one_another() -> None:
    text = drawn("a>c a>d b>c b>d")
    assert text.count("▼") == 2
    for above, below in pairwise(text.splitlines()):
        for column, mark in enumerate(below):
            if mark in "▼│└┘├┤┴┼":  # what reaches up has something above it
                assert above[column : column + 1] not in ("", " ") or mark == "│", text
