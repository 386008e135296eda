"""The benchmarks of schedules run on generated data and print what they promise; no test looks at speeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from random_schedules import best_makespan, random_graph

ROOT = Path(__file__).resolve().parent.parent
SIZE = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small Standard Task Graphs with their optima by trying every order, and one trace."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "stg" / "7").mkdir(parents=True)
    optima = ["graph,workers,lower_bound,best_known,status"]
    for seed in range(4):
        graph, durations = random_graph(seed, SIZE, density=0.2)
        # A dummy first, on which all depend, and a dummy last, which depends on all: as the set has them.
        rows = [str(SIZE), "0 0 0"]
        for task, before in enumerate(graph.dependencies):
            needed = [0, *(d + 1 for d in before)]
            rows.append(" ".join(map(str, [task + 1, int(durations[task]), len(needed), *needed])))
        rows.append(" ".join(map(str, [SIZE + 1, 0, SIZE, *range(1, SIZE + 1)])))
        (folder / "stg" / "7" / f"g{seed}.stg").write_text("\n".join([*rows, "# made for a test"]))
        for workers in (2, 4):
            best = best_makespan(graph, durations, workers)
            optima.append(f"7/g{seed},{workers},{best:g},{best:g},proved")
    (folder / "optima.csv").write_text("\n".join(optima))
    workflow = {
        "specification": {"tasks": [{"id": "a", "parents": []}, {"id": "b", "parents": ["a"]}]},
        "execution": {"tasks": [{"id": "a", "runtimeInSeconds": 1.5}, {"id": "b", "runtimeInSeconds": 2}]},
    }
    (folder / "trace.json").write_text(json.dumps({"workflow": workflow}))
    return folder


def printed(name: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """All that a benchmark prints, and the JSON line at its end."""
    ran = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout, json.loads(ran.stdout.splitlines()[-1])


def test_small_graphs_are_planned_optimally(folder: Path) -> None:
    _, found = printed("stg", str(folder), "--optima", "optima.csv")
    assert (found["cases"], found["optimal"], found["mean"], found["max"]) == (8, 1.0, 1.0, 1.0)


def test_ours_stands_beside_the_simple_rules_where_no_other_planner_is_wanted(folder: Path) -> None:
    text, found = printed("beside", str(folder), "--optima", "optima.csv", "--every", "1", "--alone")
    assert list(found["planners"]) == ["fifo", "critical path", "plan, 100 ms"]
    assert (found["cases"], found["planners"]["plan, 100 ms"]["optimal"]) == (8, 1.0)
    assert "8 cases with a proved optimum" in text


def test_a_chain_from_a_trace_meets_its_bound(folder: Path) -> None:
    _, found = printed("wfinstances", str(folder), "--workers", "1,2")
    assert (found["cases"], found["mean"]) == (2, {"fifo": 1.0, "path": 1.0, "plan": 1.0})


def test_policies_meet_the_same_draws_in_every_regime_that_is_asked_for(folder: Path) -> None:
    arguments = ("--every", "4", "--draws", "6", "--regimes", "CVs differ,stragglers")
    _, found = printed("random_durations", str(folder), *arguments)
    assert (found["cases"], found["draws"], list(found["regimes"])) == (2, 6, ["CVs differ", "stragglers"])
    for figures in found["regimes"].values():
        assert figures["critical-path"] == 1.0
        assert figures["clairvoyant"] <= 1.0 + 1e-9


def test_plans_of_other_shapes_keep_what_is_checked_of_them() -> None:
    text, found = printed("shapes", "--sizes", "12", "--budget", "3")
    assert found["cases"] == 45
    assert "| fork and join, 12" in text


def test_puzzles_are_measured_by_the_best_that_was_ever_found(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    arguments = ("--count", "4", "--budget", "2", "--seeds", "1,2", "--known", str(known))
    _, found = printed("puzzles", *arguments)
    assert (found["graphs"], found["mean"] >= 1.0) == (4, True)
    makespans = json.loads(known.read_text())
    assert len(makespans) == 4
    known.write_text(json.dumps([makespan / 2 for makespan in makespans]))
    _, again = printed("puzzles", *arguments)
    assert (again["met"], again["above"], again["mean"] >= 2.0) == (0.0, 8, True)
    assert json.loads(known.read_text()) == [makespan / 2 for makespan in makespans]


def test_planning_is_counted_per_task_and_dispatching_per_decision() -> None:
    _, planned = printed("planning", "--sizes", "50,100")
    assert [row["tasks"] for row in planned["per_task"]] == [50, 100]
    _, decided = printed("dispatch", "--quick")
    assert [(row["ready"], row["decisions"]) for row in decided["by_ready"]] == [(50, 50), (100, 100)]


def test_hedging_is_measured_simulated_and_over_http(folder: Path) -> None:
    text, found = printed("hedging", str(folder), "--every", "5", "--quick")
    regimes = ("stragglers", "CV 1", "half alike", "95 % alike")
    assert {f"{regime}, all" for regime in regimes} <= found["simulated"].keys()
    assert all(figures["extra"] <= 0.08 for name, figures in found["simulated"].items() if name != "learning")
    assert "2 pairs of real runs of stg/7/g0, 7 calls: " in text
