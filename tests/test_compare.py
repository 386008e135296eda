"""`llmflow compare`: whole outputs, really executed runs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import EXAMPLES, llmflow, pipeline

from llmflow.reports.comparison import Comparison, Configuration, Structure, findings, planned_path
from llmflow.reports.comparison_text import render_comparison
from llmflow.reports.plan import make_plan
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.tasks import TaskSpec

WORKED = str(EXAMPLES / "worked_example.yaml")

GOLDEN = """\
worked-example: 17 tasks, 16 edges, 6 levels, at most 12 on one; simulated
critical path  S1 → Gate → C1 → C2 → C3 → End = 52.00 s
work           95.00 s

WORKERS    POLICY         MAKESPAN  BOUND  RATIO  SPEED-UP   BUSY  CRITICAL PATH
1          fifo              95.00  95.00  1.000      1.00  100 %  S1 ⇢ S2 ⇢ S3 ⇢ S4 ⇢ M1 ⇢ M2 → … …
1          critical-path     95.00  95.00  1.000      1.00  100 %  S1 ⇢ S2 ⇢ S3 ⇢ S4 → Gate → C1 → …
1          stochastic        95.00  95.00  1.000      1.00  100 %  S1 ⇢ S2 ⇢ S3 ⇢ S4 → Gate → C1 → …
4          fifo              62.00  52.00  1.192      1.53   38 %  S1 ⇢ M1 ⇢ M5 ⇢ Gate → C1 → C2 → …
4          critical-path     52.00  52.00  1.000      1.83   46 %  S1 → Gate → C1 → C2 → C3 → End
4          stochastic        52.00  52.00  1.000      1.83   46 %  S1 → Gate → C1 → C2 → C3 → End
unlimited  fifo              52.00  52.00  1.000      1.83   15 %  S1 → Gate → C1 → C2 → C3 → End
unlimited  critical-path     52.00  52.00  1.000      1.83   15 %  S1 → Gate → C1 → C2 → C3 → End
unlimited  stochastic        52.00  52.00  1.000      1.83   15 %  S1 → Gate → C1 → C2 → C3 → End

findings
- with 1 worker the policy makes no difference
- with 4 workers, critical-path takes 52.00 s where fifo takes 62.00: 16 % less
- with unlimited workers the policy makes no difference
- with 4 workers, critical-path meets the lower bound of 52.00 s: no schedule is shorter
- beyond 4 workers nothing is gained: 52.00 s is as fast as it gets
- 4 workers are 1.83 times as fast as 1 worker, 46 % busy
- work ÷ critical path = 1.83: so many workers could be busy on average at best
"""


def test_the_worked_example_compared() -> None:
    ended = llmflow("compare", WORKED)
    assert (ended.code, ended.err, ended.out) == (0, "", GOLDEN)


def test_a_comparison_is_saved_as_data(tmp_path: Path) -> None:
    saved = tmp_path / "results.json"
    ended = llmflow("compare", WORKED, "-j", "1,4", "--policy", "fifo,critical-path", "-o", str(saved), "--json")
    document = json.loads(saved.read_text(encoding="utf-8"))
    assert (ended.code, json.loads(ended.out)) == (0, document)
    assert [(c["workers"], c["policy"], c["makespan"]) for c in document["configurations"]] == [
        (1, "fifo", 95.0),
        (1, "critical-path", 95.0),
        (4, "fifo", 62.0),
        (4, "critical-path", 52.0),
    ]
    assert document.pop("configurations")[2] == {
        "workers": 4,
        "policy": "fifo",
        "order": "fifo",
        "makespan": 62.0,
        "mean": None,
        "p50": None,
        "p90": None,
        "lower_bound": 52.0,
        "ratio": 62 / 52,
        "speed_up": 95 / 62,
        "utilisation": 95 / (4 * 62),
        "critical_path": ["S1", "M1", "M5", "Gate", "C1", "C2", "C3", "End"],
    }
    assert document.pop("findings")
    assert document == {
        "schema": "llmflow.compare/1",
        "name": "worked-example",
        "executed": False,
        "estimated": True,
        "limits": {},
        "structure": {
            "tasks": 17,
            "edges": 16,
            "levels": 6,
            "widest": 12,
            "work": 95.0,
            "critical_path": ["S1", "Gate", "C1", "C2", "C3", "End"],
            "critical_path_length": 52.0,
            "parallelism": 95 / 52,
        },
    }


KEPT = """
name: kept
providers: {gpu: {kind: simulated, workers: 2}, hosted: {kind: simulated}}
defaults: {model: gpu/any}
tasks:
  all: {foreach: [1, 2, 3, 4], prompt: x, estimate: 3s}
"""


@pytest.mark.parametrize(
    ("model", "workers", "limits", "said"),
    [
        ("gpu/any", "1,2,unlimited", {"gpu": 2}, ": 6.00 s is what the providers allow (gpu takes 2 at once)"),
        ("hosted/any", "1,2,3", {}, " up to 3: 6.00 s where the critical path is 3.00"),
        ("hosted/any", "2,4,unlimited", {}, ": 3.00 s is as fast as it gets"),
    ],
)
def test_why_more_workers_gain_nothing(
    tmp_path: Path, model: str, workers: str, limits: dict[str, int], said: str
) -> None:
    file = str(pipeline(tmp_path, KEPT))
    document = json.loads(llmflow("compare", file, "--model", model, "--workers", workers, "--json").out)
    assert document["limits"] == limits
    (gained,) = (finding for finding in document["findings"] if "nothing is gained" in finding)
    assert (
        gained.removeprefix("beyond 2 workers nothing is gained").removeprefix("beyond 4 workers nothing is gained")
        == said
    )
    told = "at most        gpu × 2 at once, whatever the run allows\n"
    assert (told in llmflow("compare", file, "--model", model, "--workers", workers).out) == bool(limits)


FAST = """
name: fast
providers: {sim: {kind: simulated, speed: 100}}
defaults: {model: sim/any}
tasks:
  a: {prompt: x, estimate: 10s}
  b: {prompt: x, estimate: 10s}
  c: {prompt: "{{ tasks.b.output }}", estimate: 20s}
"""


def test_executed_configurations_really_run(tmp_path: Path) -> None:
    file = pipeline(tmp_path, FAST)
    ended = llmflow("compare", str(file), "--execute", "-j", "1,unlimited", "--policy", "critical-path", "--json")
    assert (ended.code, ended.err) == (
        0,
        "running critical-path with -j 1\nrunning critical-path with -j unlimited\n",
    )
    document = json.loads(ended.out)
    assert document["executed"] is True
    one, unlimited = document["configurations"]
    # What really passed is never less than what the estimates say.
    assert one["makespan"] >= 40
    assert 30 <= unlimited["makespan"] <= one["makespan"]
    assert (one["critical_path"], unlimited["critical_path"]) == (["b", "c", "a"], ["b", "c"])
    assert one["utilisation"] > unlimited["utilisation"]


def test_uncertain_durations_are_compared_on_common_samples(tmp_path: Path) -> None:
    file = pipeline(tmp_path, FAST.replace("estimate: 10s", "estimate: {p50: 10s, p95: 30s}"))
    document = json.loads(llmflow("compare", str(file), "-j", "1", "--policy", "fifo,random", "--json").out)
    first, second = document["configurations"]
    assert first["p50"] == pytest.approx(second["p50"])  # one worker does all the work, in whatever order
    assert first["p50"] < first["p90"]
    assert llmflow("compare", str(file), "-j", "1", "--policy", "fifo", "--seed", "3").out != (
        llmflow("compare", str(file), "-j", "1", "--policy", "fifo").out
    )


def test_what_was_sampled_is_judged_by_its_mean() -> None:
    """As planned `fifo` is ahead, on average `stochastic` is: whatever is said of them is said of one figure."""
    rows = [(1, "fifo", 40.0, 44.0), (2, "fifo", 26.0, 30.0), (2, "stochastic", 27.0, 22.0)]
    found = tuple(
        Configuration(workers, policy, policy, makespan, 20.0, 0.8, (), (), mean, mean, 2 * mean)
        for workers, policy, makespan, mean in rows
    )
    structure = Structure(tasks=4, edges=0, levels=1, widest=4, work=40.0, length=10.0, critical_path=("a",))
    comparison = Comparison("risky", structure, found, executed=False, estimated=True)
    assert [comparison.speed_up(c) for c in found] == [1.0, 44 / 30, 2.0]
    assert findings(comparison) == [
        "with 2 workers, stochastic takes 22.00 s where fifo takes 30.00 on average: 27 % less",
        "2 workers are 2.00 times as fast as 1 worker, 80 % busy",
        "work ÷ critical path = 4.00: so many workers could be busy on average at best",
    ]
    assert "MAKESPAN   MEAN    P50    P90" in render_comparison(comparison)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--execute"],
            "--execute runs every configuration, and calls of openai cost money or time\n"
            "  hint: leave --execute out, or bind the tasks to a simulated provider with --model\n",
        ),
        (["--policy", "fifo,critical"], "no policy 'critical'\n  hint: did you mean critical-path?\n"),
        (["-j", "1,some"], "--workers takes a number from 1 or `unlimited`, not 'some'\n"),
        (
            ["-j", ","],
            "--workers has an empty place in ','\n  hint: write a list such as 1,4,unlimited or fifo,critical-path\n",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    file = pipeline(tmp_path, "name: x\ndefaults: {model: openai/gpt-5}\ntasks: {a: {prompt: x}}\n")
    ended = llmflow("compare", str(file), *words)
    assert (ended.code, ended.out, ended.err) == (2, "", said)


def test_the_chain_that_makes_a_planned_run_so_long_is_unbroken() -> None:
    graph = Graph.of({"a": [], "b": [], "c": ["b"], "d": ["a"]})
    estimates = [Estimate(d, 0.0, "author") for d in (3.0, 2.0, 4.0, 1.0)]
    specs = [TaskSpec(pools=(task % 2,)) for task in range(4)]
    plan = make_plan(graph, specs, [PoolSpec("p"), PoolSpec("q")], estimates, policy="fifo", compare=[], workers=1)
    # a, b, then d or c: the cap of one worker joins two pools.
    assert planned_path(plan) == (("a", "b", "d", "c"), ("dependency", "worker", "worker", "worker"))
    alone = make_plan(Graph(), [], [], [], policy="fifo", compare=[])
    assert planned_path(alone) == ((), ())


def test_nothing_known_is_compared_in_units(tmp_path: Path) -> None:
    file = pipeline(tmp_path, "name: x\ntasks: {a: {prompt: x}, b: {prompt: y}}\n")
    ended = llmflow("compare", str(file), "-j", "1,2", "--policy", "fifo", "--model", "openai/gpt-5")
    assert ended.out == (
        "x: 2 tasks, 0 edges, 1 level, at most 2 on one; simulated\n"
        "no history: every task counts as 1 unit\n"
        "critical path  a = 1.00 units\n"
        "work           2.00 units\n"
        "\n"
        "WORKERS  POLICY  MAKESPAN  BOUND  RATIO  SPEED-UP   BUSY  CRITICAL PATH\n"
        "1        fifo        2.00   2.00  1.000      1.00  100 %  a ⇢ b\n"
        "2        fifo        1.00   1.00  1.000      2.00  100 %  a\n"
        "\n"
        "findings\n"
        "- with 2 workers, fifo meets the lower bound of 1.00 units: no schedule is shorter\n"
        "- 2 workers are 2.00 times as fast as 1 worker, 100 % busy\n"
        "- work ÷ critical path = 2.00: so many workers could be busy on average at best\n"
    )
