"""`llmflow plan` as a whole: its odds, its variations, mixed pools, growing graphs; and that a run does as planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import EXAMPLES, llmflow, pipeline
from random_schedules import random_graph
from virtual_run import on_virtual_time

from llmflow.binding.compile import Compiled
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.binding.planning import Question
from llmflow.binding.planning import plan_of as plan_in_process
from llmflow.history.store import Store
from llmflow.history.stories import runs

WORKED = str(EXAMPLES / "worked_example.yaml")

MIXED = """
name: mixed
providers:
  hosted: {kind: simulated}
  gpu: {kind: simulated, workers: 1}
defaults: {model: hosted/any}
tasks:
  a: {prompt: x, estimate: 2s}
  b: {prompt: x, estimate: 3s}
  c: {prompt: "{{ tasks.a.output }}", estimate: 4s, model: gpu/any}
  d: {prompt: "{{ tasks.b.output }}", estimate: 5s, model: gpu/any}
  e: {prompt: "{{ tasks.c.output }}", estimate: 6s}
"""

RISKY = MIXED.replace("estimate: 3s", "estimate: {p50: 3s, p95: 12s}").replace("simulated", "simulated, speed: 500")


def plan_of(file: Path | str, *words: str) -> dict[str, Any]:
    ended = llmflow("plan", str(file), "--json", *words)
    assert (ended.code, ended.err) == (0, "")
    document: dict[str, Any] = json.loads(ended.out)
    return document


def test_the_plan_of_mixed_pools_with_what_would_change_it(tmp_path: Path) -> None:
    file = pipeline(tmp_path, MIXED)
    ended = llmflow(
        "plan", str(file), "--what-if", "pool:gpu=2", "--what-if", "workers=1", "--what-if", "model=hosted/b"
    )
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "mixed: 5 tasks; workers: hosted × unlimited, gpu × 1\n"
        "\n"
        "0  a, b\n"
        "1  c ← a\n"
        "1  d ← b\n"
        "2  e ← c\n"
        "\n"
        "   TASK   RANK  SLACK  START  FINISH  WORKER    ESTIMATE  FROM\n"
        "*  a     12.00   0.00   0.00    2.00  hosted/0      2.00  author\n"
        "*  c     10.00   0.00   2.00    6.00  gpu/0         4.00  author\n"
        "   b      8.00   4.00   0.00    3.00  hosted/1      3.00  author\n"
        "*  e      6.00   0.00   6.00   12.00  hosted/0      6.00  author\n"
        "   d      5.00   4.00   6.00   11.00  gpu/0         5.00  author\n"
        "\n"
        "critical path  a → c → e = 12.00 s\n"
        "makespan       stochastic        12.00 s  (chosen)\n"
        "               critical-path     12.00 s\n"
        "               fifo              12.00 s\n"
        "               level             12.00 s\n"
        "               longest-task      12.00 s\n"
        "               random            12.00 s\n"
        "               one worker        20.00 s\n"
        "               unlimited workers 12.00 s\n"
        "order          critical-path: the critical path meets the lower bound: no schedule is shorter\n"
        "lower bound    12.00 s (critical path); ratio of makespan to lower bound 1.000\n"
        "\n"
        "one more       gpu 1 → 2: 12.00 s (±0 %)\n"
        "what if        pool:gpu=2: 12.00 s (±0 %); lower bound 12.00\n"
        "               workers=1: 20.00 s (+67 %); lower bound 20.00\n"
        "               model=hosted/b: 12.00 s (±0 %); lower bound 12.00\n"
        "\n"
        "gpu/0     ···············│c────────────────────────────│d───────────────────────────────────········\n"
        "hosted/0  │a─────────────······························│e───────────────────────────────────────────\n"
        "hosted/1  │b────────────────────····································································\n"
        "          0                                                                                  12.00 s\n"
    )


def test_uncertain_durations_give_odds(tmp_path: Path) -> None:
    file = pipeline(tmp_path, RISKY)
    plan = plan_of(file)
    assert plan == plan_of(file)
    assert plan["samples"] == 200
    assert plan["p10"] <= plan["p50"] <= plan["p90"]
    assert plan["p50"] == plan["forecasts"][plan["policy"]]["p50"]
    assert list(plan["forecasts"]) == list(plan["policies"])
    assert plan["criticality"]["a"] == plan["criticality"]["c"] == plan["criticality"]["e"]
    assert plan["criticality"]["b"] == plan["criticality"]["d"]
    assert plan["criticality"]["a"] + plan["criticality"]["b"] == pytest.approx(1.0)
    # The file's estimate of b is a median of 3 s and is drawn with its own mean and spread.
    assert plan["tasks"]["b"]["expected_start"] == 0.0
    assert plan["tasks"]["b"]["expected_finish"] == pytest.approx(plan["tasks"]["b"]["estimate"], rel=0.3)


def test_each_change_in_per_cent_is_of_the_figure_beside_it(tmp_path: Path) -> None:
    file = pipeline(tmp_path, RISKY)
    plan = plan_of(file, "-j", "2", "--what-if", "workers=1")
    (changed,) = plan["what_if"]
    assert changed["change"] == pytest.approx(changed["makespan"] / plan["makespan"] - 1)
    before = plan["forecasts"][plan["policy"]]["mean"]
    assert changed["mean_change"] == pytest.approx(changed["mean"] / before - 1)
    assert abs(changed["mean_change"] - changed["change"]) > 0.005
    shown = llmflow("plan", str(file), "-j", "2", "--what-if", "workers=1").out
    assert (
        f"workers=1: {changed['makespan']:.2f} s (+{100 * changed['change']:.0f} %); sampled: mean "
        f"{changed['mean']:.2f} (+{100 * changed['mean_change']:.0f} %), P50 {changed['p50']:.2f}"
    ) in shown
    assert f"{plan['makespan']:.2f} s  mean {before:.2f}, P50 {plan['p50']:.2f}, P90" in shown


def test_the_seed_decides_what_is_drawn_and_the_same_one_gives_the_same_plan(tmp_path: Path) -> None:
    file = pipeline(tmp_path, RISKY)
    words = ("-j", "2", "--plan-budget", "60s")
    first, again, other = (
        plan_of(file, *words),
        plan_of(file, *words, "--seed", "0"),
        plan_of(file, *words, "--seed", "7"),
    )
    assert first == again
    assert first["p50"] != other["p50"]
    assert other == plan_of(file, *words, "--seed", "7")


def test_a_policy_by_name_is_planned_alone_and_without_samples(tmp_path: Path) -> None:
    file = pipeline(tmp_path, RISKY)
    plan = plan_of(file, "--policy", "critical-path")
    assert list(plan["policies"]) == ["critical-path"]
    assert (plan["samples"], plan["p50"], plan["criticality"], plan["one_more_worker"]) == (0, None, None, [])
    assert plan_of(file, "--policy", "critical-path", "--samples", "30")["samples"] == 30


def test_one_more_worker_and_what_ifs_stand_beside_the_plan() -> None:
    plan = plan_of(WORKED, "-j", "3", "--what-if", "workers=4", "--what-if", "workers=unlimited")
    assert plan["makespan"] == 53.0
    assert plan["one_more_worker"] == [
        {
            "what": "workers 3 → 4",
            "makespan": 52.0,
            "change": 52 / 53 - 1,
            "lower_bound": 52.0,
            "mean": None,
            "mean_change": None,
            "p50": None,
            "p90": None,
        }
    ]
    assert [(w["what"], w["makespan"]) for w in plan["what_if"]] == [("workers=4", 52.0), ("workers=unlimited", 52.0)]


def test_changes_that_do_not_contradict_each_other_are_planned_together_too(tmp_path: Path) -> None:
    file = pipeline(tmp_path, MIXED)
    plan = plan_of(file, "--what-if", "workers=1", "--what-if", "pool:gpu=2", "--what-if", "model=gpu/b")
    assert [w["what"] for w in plan["what_if"]] == ["workers=1", "pool:gpu=2", "model=gpu/b", "all of these"]
    together = plan_of(file, "-j", "1", "--model", "gpu/b")
    assert plan["what_if"][-1]["makespan"] == together["makespan"] == 20.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "gpus=3",
            "--what-if cannot read 'gpus=3'\n"
            "  hint: write workers=N, pool:NAME=N or model:ALIAS=provider/name (N may be `unlimited`)\n",
        ),
        ("pool:gpus=3", "the pipeline uses no pool 'gpus'\n  hint: did you mean gpu?\n"),
        ("pool:gpu=0", "--what-if pool:gpu= takes a number from 1 or `unlimited`, not '0'\n"),
        (
            "model:quick=gpu/b",
            "unknown alias `quick`\n  hint: the pipeline defines none; `--model X` replaces the model of every task\n",
        ),
        ("workers=many", "--what-if workers= takes a number from 1 or `unlimited`, not 'many'\n"),
    ],
)
def test_a_change_that_cannot_be_made_is_said(tmp_path: Path, change: str, said: str) -> None:
    ended = llmflow("plan", str(pipeline(tmp_path, MIXED)), "--what-if", change)
    assert (ended.code, ended.out, ended.err) == (2, "", said)


def test_without_a_budget_the_critical_path_is_planned_and_a_wrong_budget_is_refused() -> None:
    plan = plan_of(WORKED, "-j", "4", "--plan-budget", "0")
    assert (plan["makespan"], plan["policy"]) == (52.0, "stochastic")
    assert plan["decision"] == {
        "order": "critical-path",
        "reason": "no time to search was given",
        "samples": 0,
        "evidence": [],
    }
    ended = llmflow("plan", WORKED, "--plan-budget", "2")
    assert (ended.code, ended.err) == (
        2,
        "--plan-budget: `2` has no unit; write `2s` for seconds, or use `ms`, `m` or `h`\n",
    )


def test_a_priority_of_the_author_moves_the_plan(tmp_path: Path) -> None:
    text = """
name: urgent
providers: {sim: {kind: simulated, workers: 1}}
defaults: {model: sim/any}
tasks:
  long: {prompt: x, estimate: 9s}
  first: {prompt: x, estimate: 1s}
  urgent: {prompt: "{{ tasks.first.output }}", estimate: 1s, priority: 5}
"""
    plan = plan_of(pipeline(tmp_path, text))
    assert [row["task"] for row in plan["schedule"]] == ["first", "urgent", "long"]
    assert plan["decision"]["reason"] == "no order beat the critical path as planned"
    calm = plan_of(pipeline(tmp_path, text.replace(", priority: 5", "")))
    assert [row["task"] for row in calm["schedule"]] == ["long", "first", "urgent"]


GROWING = """
name: growing
providers: {sim: {kind: simulated, speed: 500, workers: 2}}
defaults: {model: sim/any}
tasks:
  words: {value: ["a", "b", "c", "d"]}
  each: {foreach: {items: "{{ tasks.words.output }}"}, prompt: "{{ item }}", estimate: 3s}
  sum: {prompt: "{{ tasks.each.outputs }}", estimate: 2s}
finally:
  tidy: {prompt: x, estimate: 100s}
"""


def test_a_growing_graph_is_planned_with_the_items_that_history_saw(tmp_path: Path) -> None:
    file, store = pipeline(tmp_path, GROWING), str(tmp_path / "store")
    before = plan_of(file, "--store", store)
    assert before["notes"] == ["each: how many items it will have is not known; 1 is assumed"]
    assert before["makespan"] == 5.0  # what is tidied up finally is no part of it
    assert llmflow("run", str(file), "--store", store).code == 0
    after = plan_of(file, "--store", store, "--plan-budget", "60s")
    assert after["notes"] == ["each: 4 items, as in its last run"]
    assert after["makespan"] == 8.0
    assert [row["task"] for row in after["schedule"]][-5:] == ["each[0]", "each[1]", "each[2]", "each[3]", "sum"]
    assert after["decision"]["reason"] == "no order beat the critical path as planned"
    assert "note: each: 4 items, as in its last run\n" in llmflow("plan", str(file), "--store", store).out


def stored_forecast(store: Path) -> dict[str, Any]:
    with Store.open(store) as history:
        (run,) = runs(history)
    assert run.record.forecast is not None
    return dict(run.record.forecast)


def test_a_run_stores_what_it_was_predicted_to_take_and_why_it_went_in_this_order(tmp_path: Path) -> None:
    file, store = pipeline(tmp_path, RISKY), tmp_path / "store"
    assert llmflow("run", str(file), "--store", str(store)).code == 0
    forecast = stored_forecast(store)
    plan = plan_of(file)
    assert forecast["makespan"] == plan["makespan"]
    assert forecast["p10"] <= forecast["p50"] <= forecast["p90"]
    assert forecast["samples"] >= 20
    assert forecast["decision"] == plan["decision"]


def test_a_run_without_any_estimate_has_no_forecast(tmp_path: Path) -> None:
    text = "name: x\nproviders: {sim: {kind: simulated, speed: 500, workers: 1}}\n"
    file = pipeline(tmp_path, text + "defaults: {model: sim/any}\ntasks: {a: {prompt: x}, b: {prompt: y}}\n")
    assert llmflow("run", str(file), "--store", str(tmp_path / "store")).code == 0
    decision = {
        "order": "critical-path",
        "reason": "no history: the shape of the graph decides",
        "samples": 0,
        "evidence": [],
    }
    assert stored_forecast(tmp_path / "store") == {
        "tokens": None,
        "timeouts": {},
        "decision": decision,
        "layout": {"finals": [], "own_workers": []},
    }
    unknown = plan_of(file, "--store", str(tmp_path / "elsewhere"))
    assert (unknown["p50"], unknown["criticality"], unknown["estimated"]) == (None, None, False)


ALIASES = """
name: aliases
providers:
  fast: {kind: simulated, workers: 2}
  slow: {kind: simulated, workers: 1}
models: {writer: fast/a}
tasks:
  a: {prompt: x, estimate: 4s, model: writer}
  b: {prompt: x, estimate: 4s, model: writer}
"""


def test_another_model_is_planned_on_its_own_pool(tmp_path: Path) -> None:
    plan = plan_of(pipeline(tmp_path, ALIASES), "--what-if", "model:writer=slow/b", "--what-if", "model=slow/b")
    assert plan["makespan"] == 4.0
    assert [(w["what"], w["makespan"], w["lower_bound"]) for w in plan["what_if"]] == [
        ("model:writer=slow/b", 8.0, 8.0),
        ("model=slow/b", 8.0, 8.0),
        ("all of these", 8.0, 8.0),
    ]


def searched(folder: Path) -> Path:
    """A pipeline on 2 workers whose best order no rule finds."""
    graph, durations = random_graph(21, 20, density=0.1)
    lines = [
        "name: searched",
        "providers: {sim: {kind: simulated, workers: 2}}",
        "defaults: {model: sim/any}",
        "tasks:",
    ]
    for task, deps in enumerate(graph.dependencies):
        needed = ", ".join(f"t{d}" for d in deps)
        lines.append(f"  t{task}: {{prompt: x, estimate: {durations[task] or 1.0}s, depends_on: [{needed}]}}")
    return pipeline(folder, "\n".join(lines) + "\n")


def test_a_run_takes_what_its_plan_says_in_an_order_that_only_a_search_finds(tmp_path: Path) -> None:
    file = searched(tmp_path)
    compiled = bind(load_file(str(file)), model_choice(()), None)
    plan = plan_in_process(compiled, None, Question("stochastic", budget_s=60.0))
    assert plan.makespan == plan.policies["stochastic"] < plan.policies["critical-path"]
    assert plan.decision.order in ("forward-backward", "iterated-greedy")
    assert plan.decision.evidence[-1].mean == plan.makespan

    async def run() -> RunResult:
        options = RunOptions({}, "stochastic", believed(compiled, None), environment={}, plan_budget=60.0)
        return await execute(compiled, options)

    result = on_virtual_time(run())
    assert result.summary.makespan == pytest.approx(plan.makespan)
    started = {name: task["started"] for name, task in result.tasks.items()}
    assert started == {task.name: pytest.approx(task.start) for task in plan.tasks}


FROM_INPUTS = """
name: from-inputs
inputs: {cities: {type: list, default: [Lima, Oslo, Kyoto]}, n: {type: integer, default: 2}}
providers: {sim: {kind: simulated, workers: 2}}
defaults: {model: sim/any}
tasks:
  each: {foreach: "{{ inputs.cities }}", prompt: "{{ item }}", estimate: 2s}
  many: {foreach: "{{ range(inputs.n) | list }}", prompt: "{{ item }}", estimate: 1s}
  join: {reduce: {items: "{{ tasks.each.outputs }}", mode: tree, batch: 2}, prompt: "{{ items }}", estimate: 3s}
"""


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["each[0]", "each[1]", "each[2]", "many[0]", "many[1]", "join[0]", "join[1]", "join[2]"]),
        (("-i", 'cities:=["a"]', "-i", "n=0"), ["each[0]", "join[0]"]),
        (
            ("-i", 'cities:=["a", "b", "c", "d", "e"]', "-i", "n=1"),
            [*(f"each[{i}]" for i in range(5)), "many[0]", *(f"join[{i}]" for i in range(6))],
        ),
    ],
)
def test_inputs_say_how_many_items_a_plan_has_and_a_tree_joins_them_level_by_level(
    tmp_path: Path, words: tuple[str, ...], names: list[str]
) -> None:
    plan = plan_of(pipeline(tmp_path, FROM_INPUTS), *words)
    assert plan["notes"] == []
    assert sorted(name for name, task in plan["tasks"].items() if task["source"]) == sorted(names)


def test_the_last_piece_of_a_tree_waits_for_all_before_it(tmp_path: Path) -> None:
    tasks = plan_of(pipeline(tmp_path, FROM_INPUTS))["tasks"]
    assert tasks["join[0]"]["depends_on"] == ["join", "each[0]", "each[1]"]
    assert tasks["join[1]"]["depends_on"] == ["join", "each[2]"]
    assert tasks["join[2]"]["depends_on"] == ["join", "join[0]", "join[1]"]


def run_in_process(compiled: Compiled, store: Store | None) -> RunResult:
    async def run() -> RunResult:
        return await execute(compiled, RunOptions({}, "stochastic", believed(compiled, store), environment={}))

    return on_virtual_time(run())


CAPPED = """
name: capped
providers: {sim: {kind: simulated}}
defaults: {model: sim/any}
tasks:
  each: {foreach: {items: [1, 2, 3, 4, 5, 6, 7], workers: 3}, prompt: "{{ item }}", estimate: 2s}
  flow:
    foreach: {items: "{{ tasks.each.outputs }}", workers: 1}
    prompt: "{{ item }}"
    estimate: 1s
"""


def test_items_that_may_not_all_be_under_way_at_once_are_planned_one_after_the_other(tmp_path: Path) -> None:
    file = pipeline(tmp_path, CAPPED)
    plan = plan_of(file)
    assert plan["notes"] == ["each: at most 3 items at once", "flow: at most 1 item at once"]
    compiled = bind(load_file(str(file)), model_choice(()), None)
    result = run_in_process(compiled, None)
    assert plan["makespan"] == 9.0 == pytest.approx(result.summary.makespan)
    assert (result.summary.lower_bound, result.summary.fifo_makespan) == pytest.approx((9.0, 9.0))
    begun = {row["task"]: row["start"] for row in plan["schedule"]}
    assert [begun[f"each[{k}]"] for k in range(7)] == [0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 4.0]


LOOPING = """
name: looping
providers: {sim: {kind: simulated, speed: 500, workers: 2}}
defaults: {model: sim/any}
tasks:
  x1: {prompt: x, estimate: 6s}
  x2: {prompt: x, estimate: 6s}
  x3: {prompt: x, estimate: 6s}
  loop: {prompt: "{{ iteration }}", repeat: {max_iterations: 9, until: "iteration == 4"}, estimate: 5s}
  last: {prompt: "{{ tasks.loop.output }}", estimate: 1s}
  twice: {foreach: [1, 2], prompt: "x", repeat: {max_iterations: 2, until: "iteration == 2"}, estimate: 1s}
"""


def test_a_loop_is_planned_with_as_many_calls_as_it_made_before_and_begins_early_enough(tmp_path: Path) -> None:
    file, folder = pipeline(tmp_path, LOOPING), str(tmp_path / "store")
    unknown = "how many calls in a row it will make is not known; 1 is assumed"
    before = plan_of(file, "--store", folder)
    assert before["notes"] == [f"loop: {unknown}", f"twice: {unknown}"]
    assert llmflow("run", str(file), "--store", folder).code == 0
    after = plan_of(file, "--store", folder)
    assert after["notes"] == [
        "loop: 4 calls in a row, as in earlier runs",
        "twice: 2 calls in a row, as in earlier runs",
    ]
    tasks = after["tasks"]
    assert tasks["last"]["depends_on"] == ["loop, call 4"]
    assert tasks["loop, call 4"]["depends_on"] == ["loop, call 3"]
    assert tasks["twice[1], call 2"]["depends_on"] == ["twice[1]"]
    assert (before["makespan"], after["makespan"]) == (13.0, 22.0)
    compiled = bind(load_file(str(file)), model_choice(()), None)
    with Store.open(tmp_path / "store") as history:
        result = run_in_process(compiled, history)
    assert result.tasks["loop"]["started"] == 0.0
    assert result.summary.makespan == pytest.approx(after["makespan"])
