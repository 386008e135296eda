"""How close plans come to the lower bound on recorded workflows (WfCommons traces).

    python -m bench.wfinstances FOLDER [--every K] [--budget MS] [--workers 2,4,8,16]

FOLDER is searched for `.json` traces. Budgets are CPU milliseconds per case. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import process_time

from bench.instances import wfinstances
from llmflow.scheduling.graph import upward_ranks
from llmflow.scheduling.improve import plan
from llmflow.scheduling.list_schedule import list_schedule


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--every", type=int, default=1)
    arguments.add_argument("--budget", type=float, default=100.0, help="CPU milliseconds per case")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--workers", default="2,4,8,16")
    given = arguments.parse_args()
    cases = list(wfinstances(given.folder, tuple(map(int, given.workers.split(",")))))[:: given.every]
    print(f"{'trace':45s} {'tasks':>6s} {'workers':>7s} {'fifo':>8s} {'path':>8s} {'plan':>8s}  bound")
    columns: dict[str, list[float]] = {"fifo": [], "path": [], "plan": []}
    for case in cases:
        graph, durations, n = case.graph, case.durations, case.workers
        planned = plan(graph, durations, n, budget_s=given.budget / 1000, seed=given.seed, clock=process_time)
        bound = planned.bound.value
        columns["fifo"].append(list_schedule(graph, durations, [0.0] * len(graph), n).makespan / bound)
        columns["path"].append(list_schedule(graph, durations, upward_ranks(graph, durations), n).makespan / bound)
        columns["plan"].append(planned.makespan / bound)
        ratios = " ".join(f"{column[-1]:8.4f}" for column in columns.values())
        print(f"{case.name[:45]:45s} {len(graph):6d} {n:7d} {ratios}  {planned.bound.kind}")
    means = {name: sum(column) / len(column) for name, column in columns.items()}
    print(f"{'mean ratio to the bound':60s} " + " ".join(f"{m:8.4f}" for m in means.values()))
    print(
        json.dumps(
            {
                "bench": "wfinstances",
                "cases": len(cases),
                "budget_ms": given.budget,
                "seed": given.seed,
                "mean": means,
                "max": {name: max(column) for name, column in columns.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
