"""Flow without barriers: items go from stage to stage on their own, through a window, with the keys of the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from fan_out_run import Ran, run

from llmflow.scheduling import events as ev
from llmflow.scheduling.groups import Settling


def head(answers: str, workers: int = 4) -> str:
    return (
        f"providers: {{mock: {{kind: mock, workers: {workers}, answers: {answers}}}}}\n"
        "defaults: {model: mock/any, retry: {max_attempts: 1}}\n"
    )


SECOND_EACH = "{one: {text: a, delay: 1}, two: {text: b, delay: 1}, three: {text: c, delay: 1}}"
THREE_STAGES = """
tasks:
  one: {foreach: {items: "{{ range(COUNT) | list }}"WINDOW}, prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: x}
  three: {foreach: "{{ tasks.two.outputs }}", prompt: x}
"""


def three_stages(count: int, window: int | None = None) -> str:
    return THREE_STAGES.replace("COUNT", str(count)).replace("WINDOW", "" if window is None else f", window: {window}")


def chains_at_once(ran: Ran, last: str) -> int:
    """The most items that had been let in and had not left the last stage."""
    inside = most = 0
    for event in ran.story:
        if isinstance(event, ev.TasksAdded) and ran.names[event.first].startswith("one["):
            inside += event.size
            most = max(most, inside)
        elif isinstance(event, Settling) and ran.names[event.task].startswith(f"{last}["):
            inside -= 1
    return most


@pytest.mark.parametrize("policy", ["fifo", "critical-path", "stochastic"])
def test_the_first_item_is_out_early_and_no_time_is_lost(tmp_path: Path, policy: str) -> None:
    ran = run(tmp_path, head(SECOND_EACH, workers=4) + three_stages(200, 8), policy=policy)
    spans = ran.spans()
    assert spans["three[0]"][0][1] < 10
    assert ran.result.summary.makespan == pytest.approx(3 * 200 / 4, rel=0.02)
    assert ran.outputs == ["c"] * 200


@pytest.mark.parametrize("window", [1, 2, 5, 32])
def test_never_more_chains_are_under_way_than_the_window_lets_in(tmp_path: Path, window: int) -> None:
    ran = run(tmp_path, head(SECOND_EACH, workers=3) + three_stages(100, window))
    assert chains_at_once(ran, "three") == window


@pytest.mark.parametrize(("workers", "window"), [("2", 32), ("20", 80), ("unlimited", 1024)])
def test_an_unwritten_window_follows_the_workers(tmp_path: Path, workers: str, window: int) -> None:
    ran = run(tmp_path, head(SECOND_EACH, workers=workers) + three_stages(1200))  # type: ignore[arg-type]
    assert chains_at_once(ran, "three") == window


def test_a_filter_makes_a_barrier(tmp_path: Path) -> None:
    text = (
        head("{one: {text: a, delay: 1}, two: {text: b, delay: 1}}", workers=2)
        + """
tasks:
  one: {foreach: [0, 1, 2, 3], prompt: x}
  two: {foreach: "{{ tasks.one.outputs | list }}", prompt: x}
"""
    )
    spans = run(tmp_path, text).spans()
    assert min(start for name, [(start, _)] in spans.items() if name.startswith("two")) == pytest.approx(2)
    assert max(end for name, [(_, end)] in spans.items() if name.startswith("one")) == pytest.approx(2)


MIXED = '{"one[1]": {error: server, detail: broken}, one: a, two: b}'


def test_over_outputs_nothing_follows_an_item_without_one(tmp_path: Path) -> None:
    text = (
        head(MIXED)
        + """
tasks:
  one: {foreach: {items: [0, 1, 2, 3], tolerate: 1, when: item != 3}, prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: x}
outputs: {two: "{{ tasks.two.results | map(attribute='key') | list }}"}
"""
    )
    assert run(tmp_path, text).outputs == {"two": ["0", "2"]}


def test_over_results_one_follows_each_item_and_sees_how_it_ended(tmp_path: Path) -> None:
    text = (
        head(MIXED)
        + """
tasks:
  one: {foreach: {items: [5, 6, 7, 8], tolerate: 1, when: item != 8}, prompt: x}
  two: {foreach: {items: "{{ tasks.one.results }}", as: r}, value: "{{ [r.key, r.item, r.output, r.status, r.error] }}"}
"""
    )
    assert run(tmp_path, text).outputs == [
        ["0", 5, "a", "succeeded", None],
        ["1", 6, None, "failed", "broken"],
        ["2", 7, "a", "succeeded", None],
        ["3", 8, None, "skipped", None],
    ]


@pytest.mark.parametrize("kind", ["outputs", "results"])
def test_a_stage_that_fails_as_a_whole_does_not_block_the_next(tmp_path: Path, kind: str) -> None:
    text = (
        head(MIXED)
        + f"""
tasks:
  one: {{foreach: [0, 1, 2], prompt: x}}
  two: {{foreach: "{{{{ tasks.one.{kind} }}}}", prompt: x}}
  whole: {{value: "{{{{ tasks.one.{kind} }}}}"}}
"""
    )
    ran = run(tmp_path, text)
    statuses = ran.statuses()
    assert (ran.status, statuses["one"], statuses["two"], statuses["whole"]) == (
        "failed",
        "failed",
        "succeeded",
        "blocked",
    )
    assert len([name for name in statuses if name.startswith("two[")]) == (2 if kind == "outputs" else 3)


def test_a_third_stage_reaches_back_to_its_own_item_of_the_first(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  one: {foreach: {items: [a, b, c], key: "k{{ item }}"}, value: "one {{ item }}"}
  two: {foreach: {items: "{{ tasks.one.outputs }}", as: text}, value: "two of {{ text }}"}
  three: {foreach: "{{ tasks.two.outputs }}", value: "{{ tasks.one.output }} | {{ tasks.two.output }} | {{ item }}"}
outputs: {three: "{{ tasks.three.results }}"}
"""
    )
    assert [(row["key"], row["output"]) for row in run(tmp_path, text).outputs["three"]] == [
        (f"k{x}", f"one {x} | two of one {x} | two of one {x}") for x in "abc"
    ]


def test_outputs_are_in_the_order_of_the_first_stage_however_the_items_overtake(tmp_path: Path) -> None:
    text = (
        head('{"one[0]": {text: a, delay: 9}, "one[1]": {text: b, delay: 5}, "one[2]": {text: c, delay: 1}}')
        + """
tasks:
  one: {foreach: [0, 1, 2], prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", value: "{{ item }}!"}
outputs: {outputs: "{{ tasks.two.outputs }}", keys: "{{ tasks.two.results | map(attribute='key') | list }}"}
"""
    )
    ran = run(tmp_path, text)
    assert ran.outputs == {"outputs": ["a!", "b!", "c!"], "keys": ["0", "1", "2"]}
    assert ran.starts("two") == ["two", "two[2]", "two[1]", "two[0]"]


def test_a_stage_that_begins_late_gets_what_ended_before(tmp_path: Path) -> None:
    text = (
        head("{one: {text: a, delay: 1}, slow: {text: s, delay: 20}, two: {text: b, delay: 1}}", workers=2)
        + """
tasks:
  slow: {prompt: x}
  one: {foreach: [0, 1, 2, 3], prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", depends_on: [slow], prompt: x}
"""
    )
    ran = run(tmp_path, text)
    assert ran.outputs == ["b"] * 4
    assert ran.result.summary.makespan == pytest.approx(22)


def test_a_stage_that_is_skipped_lets_its_source_run_to_its_end(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  one: {foreach: "{{ range(100) | list }}", prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", when: "false", prompt: x}
  three: {foreach: "{{ tasks.two.outputs }}", prompt: x}
"""
    )
    ran = run(tmp_path, text)
    statuses = ran.statuses()
    assert [statuses[name] for name in ("one", "two", "three")] == ["succeeded", "skipped", "skipped"]


def test_two_stages_may_flow_from_one(tmp_path: Path) -> None:
    text = (
        head("{one: {text: a, delay: 1}, two: {text: b, delay: 1}, other: {text: c, delay: 3}}", workers=2)
        + """
tasks:
  one: {foreach: {items: "{{ range(30) | list }}", window: 4}, prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: x}
  other: {foreach: "{{ tasks.one.outputs }}", prompt: x}
outputs: {two: "{{ tasks.two.outputs }}", other: "{{ tasks.other.outputs }}"}
"""
    )
    ran = run(tmp_path, text)
    assert ran.outputs == {"two": ["b"] * 30, "other": ["c"] * 30}
    assert chains_at_once(ran, "other") <= 4 + 1


def test_a_key_twice_in_a_later_stage_ends_that_stage_alone(tmp_path: Path) -> None:
    text = (
        head("{one: {text: a, delay: 1}, two: b, tree: t}", workers=1)
        + """
tasks:
  one: {foreach: [0, 1, 2, 3], prompt: x}
  two: {foreach: {items: "{{ tasks.one.outputs }}", key: "{{ item }}"}, prompt: x}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree, batch: 2}, prompt: x}
"""
    )
    ran = run(tmp_path, text)
    assert ran.failures() == {"two": "items 0 and 1 have the same key: a"}
    assert (ran.outputs, ran.statuses()["one"], ran.statuses()["tree"]) == ("t", "succeeded", "succeeded")
