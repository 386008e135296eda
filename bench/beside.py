"""Our plans beside other people's planners, on Standard Task Graphs with proved optima.

    python -m bench.beside FOLDER [--every K] [--budget MS] [--seconds S] [--python PATH]

FOLDER holds `stg/` and a table of optima (`--optima`), as for `bench.stg`. Beside it run SAGA's HEFT
(needs Python 3.12 or newer: PATH, default `python3.12`) and, as a judge, CP-SAT of OR-tools with S
of its deterministic seconds of search per case. Each gets an environment of its own below `bench/.env`,
made on demand; one that cannot be made is said and left out. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time

from bench.instances import Instance, proved_stg
from bench.measuring import ROOT, print_table, say_machine
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.list_schedule import list_schedule

Found = tuple[float, float]
"""A makespan and the CPU seconds it took to find."""


def ours(cases: Sequence[Instance], makespan: Callable[[Instance], float]) -> list[Found]:
    found = []
    for case in cases:
        began = process_time()
        length = makespan(case)
        found.append((length, process_time() - began))
    return found


def environment(planner: str, python: str) -> str | None:
    """The interpreter of the planner's own environment, made on demand; None, and why, where it cannot be."""
    folder = ROOT / "bench" / ".env" / planner
    interpreter = folder / "bin" / "python"
    marker = folder / "complete"
    if marker.exists():
        return str(interpreter)
    wanted = ROOT / "bench" / f"requirements-{planner}.txt"
    for command in (
        [python, "-m", "venv", "--clear", str(folder)],
        [str(interpreter), "-m", "pip", "install", "-q", "-r", str(wanted)],
    ):
        try:
            made = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            print(f"{planner} is left out: {error}")
            return None
        if made.returncode:
            print(f"{planner} is left out: {(made.stderr.strip() or made.stdout.strip()).splitlines()[0]}")
            return None
    marker.touch()
    return str(interpreter)


def theirs(planner: str, python: str, cases: Sequence[Instance], seconds: float) -> list[Found]:
    lines = [
        json.dumps({"durations": c.durations, "dependencies": c.graph.dependencies, "workers": c.workers})
        for c in cases
    ]
    ran = subprocess.run(
        [python, str(ROOT / "bench" / "other_planners.py"), planner, str(seconds)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise SystemExit(f"{planner}: {ran.stderr.strip().splitlines()[-1]}")
    return [(f["makespan"], f["cpu_s"]) for f in map(json.loads, ran.stdout.splitlines())]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--optima", default="stg_optima_dev.csv")
    arguments.add_argument("--every", type=int, default=8)
    arguments.add_argument("--budget", type=float, default=100.0, help="CPU milliseconds per case for our plan")
    arguments.add_argument("--seconds", type=float, default=1.0, help="CP-SAT, deterministic seconds per case")
    arguments.add_argument("--python", default="python3.12", help="the Python that SAGA is installed for")
    arguments.add_argument("--alone", action="store_true", help="leave the other planners out")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    say_machine()
    cases = list(proved_stg(given.folder / "stg", given.folder / given.optima))[:: given.every]
    results = {
        "fifo": ours(cases, lambda c: list_schedule(c.graph, c.durations, [0.0] * len(c.graph), c.workers).makespan),
        "critical path": ours(
            cases,
            lambda c: list_schedule(c.graph, c.durations, upward_ranks(c.graph, c.durations), c.workers).makespan,
        ),
        f"plan, {given.budget:g} ms": ours(
            cases,
            lambda c: (
                plan(
                    c.graph, c.durations, c.workers, budget_s=given.budget / 1000, seed=given.seed, clock=process_time
                ).makespan
            ),
        ),
    }
    if not given.alone:
        for planner, label, python in (
            ("saga", "SAGA's HEFT", given.python),
            ("ortools", f"CP-SAT, {given.seconds:g} s", sys.executable),
        ):
            interpreter = environment(planner, python)
            if interpreter:
                results[label] = theirs(planner, interpreter, cases, given.seconds)
    rows, figures = [], {}
    for name, found in results.items():
        ratios = [length / case.best for (length, _), case in zip(found, cases, strict=True)]
        optimal = sum(r <= 1 + 1e-9 for r in ratios) / len(ratios)
        mean, worst = sum(ratios) / len(ratios), max(ratios)
        cost = sum(spent for _, spent in found) / sum(len(c.graph) for c in cases) * 1e6
        rows.append([name, f"{optimal:.1%}", f"{mean:.5f}", f"{worst:.4f}", f"{cost:,.1f}"])
        figures[name] = {"optimal": optimal, "mean": mean, "max": worst, "us_per_task": cost}
    head = ["", "optimal", "mean ratio", "worst", "CPU µs per task"]
    print_table(f"{len(cases)} cases with a proved optimum", head, rows)
    print(json.dumps({"bench": "beside", "cases": len(cases), "seed": given.seed, "planners": figures}))


if __name__ == "__main__":
    main()
