"""`llmflow.run()` and its twin: what a Python program is given back, and what it is refused with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import EXAMPLES, pipeline

import llmflow
from llmflow.errors import PipelineError, SetupError, UsageError

MOCK = """
name: letters
inputs: {name: {type: string}, copies: {type: integer, default: 1}}
providers: {mock: {answers: {greet: "Hello", count: {words: 2}, bad: {error: refusal, detail: never}}}}
defaults: {model: mock/any}
"""
GREET = MOCK + "tasks: {greet: {prompt: 'Greet {{ inputs.name }} {{ inputs.copies }} times'}}"


def test_a_run_gives_back_outputs_status_tasks_and_usage(tmp_path: Path) -> None:
    result = llmflow.run(pipeline(tmp_path, GREET), {"name": "Ada"})
    assert (result.status, result.exit_code, result.outputs) == ("succeeded", 0, "Hello")
    assert result.tasks["greet"]["status"] == "succeeded"
    assert result.usage.output_tokens > 0
    assert result.document["schema"] == "llmflow.run/1"
    assert result.document["run"] == result.run
    assert result.summary.makespan >= result.summary.lower_bound > 0


def test_values_keep_their_types(tmp_path: Path) -> None:
    text = (
        "{inputs: {a: {type: object}}, tasks: {t: {value: {doubled: '{{ inputs.a.n * 2 }}', given: '{{ inputs.a }}'}}}}"
    )
    assert llmflow.run(str(pipeline(tmp_path, text)), {"a": {"n": 21}}).outputs == {"doubled": 42, "given": {"n": 21}}


def test_a_failed_task_is_a_result_and_not_an_exception(tmp_path: Path) -> None:
    text = MOCK + "tasks: {bad: {prompt: x}, after: {prompt: '{{ tasks.bad.output }}'}}"
    result = llmflow.run(pipeline(tmp_path, text), inputs={"name": "Ada"})
    assert (result.status, result.exit_code, result.outputs) == ("failed", 1, None)
    assert {name: task["status"] for name, task in result.tasks.items()} == {"bad": "failed", "after": "blocked"}
    assert result.tasks["bad"]["error"] == {"kind": "refusal", "detail": "never", "accepted": False}


def test_what_is_wrong_is_an_exception_with_its_data(tmp_path: Path) -> None:
    wrong = pipeline(tmp_path, "tasks: {a: {promt: x}, b: {prompt: '{{ tasks.c.output }}'}}")
    with pytest.raises(PipelineError) as caught:
        llmflow.run(wrong)
    assert {(problem.mark.line, problem.hint != "") for problem in caught.value.problems} >= {(1, True)}
    with pytest.raises(UsageError, match="unknown input `nam`"):
        llmflow.run(pipeline(tmp_path, GREET), {"nam": "Ada"})
    with pytest.raises(UsageError, match="no policy 'quickest'"):
        llmflow.run(pipeline(tmp_path, GREET), {"name": "Ada"}, policy="quickest")
    with pytest.raises(SetupError, match="OPENAI_API_KEY is not set"):
        llmflow.run(EXAMPLES / "hosted_api.yaml", {"topic": "tides"})


def test_a_run_leaves_a_history_where_it_is_told_to(tmp_path: Path) -> None:
    llmflow.run(pipeline(tmp_path, GREET), {"name": "Ada"}, store=tmp_path / "here")
    assert (tmp_path / "here" / "history.db").is_file()
    assert not Path(os.environ["LLMFLOW_STORE"]).exists()


def test_workers_policy_and_model_are_what_the_command_line_calls_them(tmp_path: Path) -> None:
    text = MOCK + "tasks: {a: {prompt: x, model: openai/gpt-5}, b: {prompt: x, priority: 1}, c: {prompt: x}}"
    result = llmflow.run(pipeline(tmp_path, text), {"name": "x"}, workers=1, policy="fifo", model="simulated/any")
    began = sorted(result.tasks, key=lambda name: result.tasks[name]["started"])
    assert began == ["b", "a", "c"], "one after another, the priority first"


def test_two_runs_share_one_event_loop(tmp_path: Path) -> None:
    path = pipeline(tmp_path, GREET)

    async def both() -> list[llmflow.RunResult]:
        return await asyncio.gather(*(llmflow.run_async(path, {"name": name}) for name in ("Ada", "Grace")))

    results = asyncio.run(both())
    assert [result.outputs for result in results] == ["Hello", "Hello"]
    assert len({result.run for result in results}) == 2


def test_importing_llmflow_loads_nothing_of_it_and_a_run_draws_nothing(tmp_path: Path) -> None:
    path = pipeline(tmp_path, GREET)
    program = (
        "import sys, llmflow\n"
        "print([name for name in sys.modules if name.startswith(('llmflow.', 'openai', 'yaml'))])\n"
        f"print(llmflow.run({str(path)!r}, {{'name': 'Ada'}}).outputs)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\nHello\n", "")


def test_the_public_names_are_these() -> None:
    assert sorted(llmflow.__all__) == ["RunResult", "__version__", "run", "run_async"]
    assert all(hasattr(llmflow, name) for name in llmflow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'ruin'"):
        _ = llmflow.ruin
