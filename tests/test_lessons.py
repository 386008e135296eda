"""What a run learns from its own answers: the order of what is left follows them, at a bounded cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import llmflow, pipeline
from virtual_run import on_virtual_time

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice

LETTER = """
name: letter
inputs: {letter: {}}
tasks:
  read: {prompt: "{{ inputs.letter }}"}
  tone: {prompt: "{{ tasks.read.output }}"}
  topic: {prompt: "{{ tasks.tone.output }}"}
  tags: {prompt: "{{ tasks.topic.output }}"}
  draft: {prompt: "{{ tasks.read.output }}"}
  reply: {prompt: "{{ tasks.tags.output }} {{ tasks.draft.output }}"}
"""

LETTERS = """
name: letters
providers:
  sim: {kind: simulated, speed: SPEED, workers: 5, durations: {draft: 12s}}
defaults: {model: sim/any}
tasks:
  letter:
    foreach: {items: [a, b, c, d, e, f, g, h, i, j, k, l], window: 4}
    uses: letter.yaml
    with: {letter: "{{ item }}"}
"""
"""Nobody is told beforehand that a draft takes twelve times as long as all else."""

TWO_MODELS = """
name: two models
providers:
  sim: {kind: simulated, workers: 2, durations: {first: 9s, large_1: 9s, large_2: 9s}}
defaults: {model: sim/small}
tasks:
  first: {prompt: x, model: sim/large}
  a1: {prompt: x, depends_on: [first]}
  a2: {prompt: x, depends_on: [a1]}
  a3: {prompt: x, depends_on: [a2]}
  b1: {prompt: x, depends_on: [first]}
  b2: {prompt: x, depends_on: [b1]}
  b3: {prompt: x, depends_on: [b2]}
  large_1: {prompt: x, model: sim/large, depends_on: [first]}
"""


def letters(folder: Path, speed: int = 1) -> Path:
    pipeline(folder, LETTER, "letter.yaml")
    return pipeline(folder, LETTERS.replace("SPEED", str(speed)), "letters.yaml")


def run(file: Path, policy: str = "critical-path", *, learns: bool = True) -> RunResult:
    """On virtual time, without any history."""
    choice = model_choice(())
    compiled = bind(load_file(str(file), choice), choice, None)
    options = RunOptions({}, policy, believed(compiled, None), environment={}, learns=learns)
    return on_virtual_time(execute(compiled, options))


@pytest.mark.parametrize("policy", ["critical-path", "stochastic"])
def test_items_teach_their_brothers_and_a_first_run_becomes_shorter(policy: str, tmp_path: Path) -> None:
    file = letters(tmp_path)
    deaf, taught = run(file, policy, learns=False), run(file, policy)
    assert (deaf.status, taught.status) == ("succeeded", "succeeded")
    assert (deaf.summary.makespan, taught.summary.makespan) == (pytest.approx(48.0), pytest.approx(44.0))
    assert deaf.document["ranks_renewed"] == 0
    assert 1 <= taught.document["ranks_renewed"] <= 30


def test_a_task_on_a_model_teaches_what_others_on_it_will_take(tmp_path: Path) -> None:
    file = pipeline(tmp_path, TWO_MODELS)
    deaf, taught = run(file, learns=False), run(file)
    assert deaf.summary.makespan == pytest.approx(9 + 2 + 9)
    assert taught.summary.makespan == pytest.approx(9 + 1 + 9)


@pytest.mark.parametrize("policy", ["fifo", "level", "random"])
def test_an_order_that_does_not_go_by_durations_is_left_alone(policy: str, tmp_path: Path) -> None:
    file = letters(tmp_path)
    assert run(file, policy).document["ranks_renewed"] == 0


def test_where_no_worker_is_short_nothing_is_ranked_anew(tmp_path: Path) -> None:
    letters(tmp_path)
    file = pipeline(tmp_path, LETTERS.replace("SPEED", "1").replace("workers: 5, ", ""), "letters.yaml")
    assert run(file).document["ranks_renewed"] == 0


def test_a_written_estimate_of_a_simulated_task_is_its_truth_and_leaves_nothing_to_learn(tmp_path: Path) -> None:
    text = (
        "providers: {sim: {kind: simulated, workers: 1}}\ndefaults: {model: sim/any, }\ntasks:\n"
        "  a: {prompt: x, estimate: 2s}\n  b: {prompt: x, estimate: 3s}\n"
    )
    done = run(pipeline(tmp_path, text))
    assert (done.summary.makespan, done.document["ranks_renewed"]) == (pytest.approx(5.0), 0)


def test_a_thousand_tasks_of_their_own_are_not_ranked_anew_at_each_end(tmp_path: Path) -> None:
    tasks = "".join(f"  t{i}: {{prompt: x}}\n" for i in range(1000))
    text = f"providers: {{sim: {{kind: simulated, workers: 50}}}}\ndefaults: {{model: sim/any}}\ntasks:\n{tasks}"
    done = run(pipeline(tmp_path, text))
    assert done.status == "succeeded"
    assert 1 <= done.document["ranks_renewed"] <= 12


def test_many_items_are_ranked_anew_as_rarely_as_their_number_doubles(tmp_path: Path) -> None:
    items = ", ".join(f"i{i}" for i in range(1500))
    text = (
        "providers: {sim: {kind: simulated, workers: 8, durations: {each: 2s}}}\ndefaults: {model: sim/any}\ntasks:\n"
        f"  each: {{foreach: [{items}], prompt: 'x {{{{ item }}}}'}}\n"
    )
    done = run(pipeline(tmp_path, text))
    assert done.status == "succeeded"
    assert 8 <= done.document["ranks_renewed"] <= 24


def test_the_command_line_runs_shorter_where_the_order_goes_by_what_was_learned(tmp_path: Path) -> None:
    file = letters(tmp_path, speed=20)
    ended = llmflow("run", file.name, "--json", "--plain", "--policy", "critical-path", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["ranks_renewed"] > 0


def test_what_really_happened_teaches_the_next_run_though_an_estimate_was_written(tmp_path: Path) -> None:
    text = (
        "name: wrong\nproviders: {sim: {kind: simulated, speed: 100, durations: {a: 8s}}}\n"
        "defaults: {model: sim/any}\ntasks:\n  a: {prompt: x, estimate: 2s}\n  b: {prompt: x, estimate: 3s}\n"
    )
    file = pipeline(tmp_path, text)
    before = json.loads(llmflow("plan", file.name, "--json", cwd=tmp_path).out)["tasks"]
    assert llmflow("run", file.name, cwd=tmp_path).code == 0
    after = json.loads(llmflow("plan", file.name, "--json", cwd=tmp_path).out)["tasks"]
    assert [(before[t]["estimate"], before[t]["source"]) for t in "ab"] == [(2.0, "author"), (3.0, "author")]
    assert after["a"]["estimate"] > 4.0
    assert after["a"]["source"] == "task"
    assert (after["b"]["estimate"], after["b"]["source"]) == (3.0, "author")


def test_a_plan_says_whether_a_task_was_seen_with_this_prompt_and_on_this_model(tmp_path: Path) -> None:
    text = (
        "name: changed\nproviders: {sim: {kind: simulated, speed: 1000, durations: {a: 8s}}}\n"
        "tasks:\n  a: {model: sim/old, prompt: x}\n"
    )
    file = pipeline(tmp_path, text)
    assert llmflow("run", file.name, cwd=tmp_path).code == 0
    for changed, told in (
        (text, "task (1 sample)"),
        (text.replace("prompt: x", "prompt: y"), "task, other prompt (1 sample)"),
        (text.replace("sim/old", "sim/new"), "task, other model (1 sample)"),
    ):
        file.write_text(changed)
        planned = llmflow("plan", file.name, cwd=tmp_path)
        assert told in planned.out, planned.out
