"""How often, and how closely, plans meet the proved optimum of Standard Task Graphs.

    python -m bench.stg FOLDER [--every K] [--budget MS] [--seed S]

FOLDER holds `stg/` and a table of optima (`--optima`, default `stg_optima_dev.csv`). Budgets are CPU
milliseconds per case, bound included. Prints a table by workers and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from bench.instances import Instance, proved_stg
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.list_schedule import list_schedule

METHODS = ("fifo-ids", "critical-path", "plan")


def makespans(case: Instance, budget_s: float, seed: int) -> tuple[dict[str, float], float, bool]:
    """Each method's makespan, the CPU seconds of the plan, and whether the bound proves it."""
    graph, durations, workers = case.graph, case.durations, case.workers
    began = process_time()
    planned = plan(graph, durations, workers, budget_s=budget_s, seed=seed, clock=process_time)
    spent = process_time() - began
    return (
        {
            "fifo-ids": list_schedule(graph, durations, [0.0] * len(graph), workers).makespan,
            "critical-path": list_schedule(graph, durations, upward_ranks(graph, durations), workers).makespan,
            "plan": planned.makespan,
        },
        spent,
        planned.proved,
    )


def row(label: str, ratios: Sequence[float]) -> str:
    optimal = sum(r <= 1 for r in ratios) / len(ratios)
    return f"{label:28s} {len(ratios):6d} {optimal:9.2%} {sum(ratios) / len(ratios):9.5f} {max(ratios):8.4f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--optima", default="stg_optima_dev.csv")
    arguments.add_argument("--every", type=int, default=1)
    arguments.add_argument("--budget", type=float, default=100.0, help="CPU milliseconds per case")
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    cases = list(proved_stg(given.folder / "stg", given.folder / given.optima))[:: given.every]
    ratios: dict[tuple[str, int], list[float]] = {}
    spent: list[float] = []
    proved = 0
    for case in cases:
        found, seconds, is_proved = makespans(case, given.budget / 1000, given.seed)
        spent.append(seconds)
        proved += is_proved
        for method in METHODS:
            for key in ((method, case.workers), (method, 0)):
                ratios.setdefault(key, []).append(found[method] / case.best)
        if found["plan"] > case.best:
            print(f"missed: {case.name} on {case.workers}: {found['plan']:g}, optimum {case.best:g}")
    print(f"{'method, workers':28s} {'cases':>6s} {'optimal':>9s} {'mean':>9s} {'max':>8s}")
    for (method, workers), values in sorted(ratios.items(), key=lambda kv: (METHODS.index(kv[0][0]), kv[0][1])):
        print(row(f"{method}, {workers or 'all'}", values))
    spent.sort()
    whole = ratios["plan", 0]
    print(
        json.dumps(
            {
                "bench": "stg",
                "cases": len(cases),
                "budget_ms": given.budget,
                "seed": given.seed,
                "optimal": sum(r <= 1 for r in whole) / len(whole),
                "mean": sum(whole) / len(whole),
                "max": max(whole),
                "proved_by_us": proved / len(cases),
                "cpu_ms_median": spent[len(spent) // 2] * 1000,
                "cpu_ms_max": spent[-1] * 1000,
            }
        )
    )


if __name__ == "__main__":
    main()
