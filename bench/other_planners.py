"""Other people's planners on the same cases; each runs in an environment of its own, llmflow is not there.

    python bench/other_planners.py saga|ortools SECONDS < cases.jsonl

A line is `{"durations": […], "dependencies": [[…], …], "workers": N}`; tasks are 0, 1, … For each, a
line `{"makespan": …, "cpu_s": …}` comes back; building the planner's own input is left out of the time.
SECONDS bounds the search of OR-tools, in its own deterministic time, about seconds of CPU: a busy machine
takes nothing away from it. SAGA's HEFT takes what it takes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import process_time

Edges = list[list[int]]


def saga(durations: list[float], dependencies: Edges, workers: int, seconds: float) -> tuple[float, float]:
    """HEFT on equal workers without communication: no data on the edges."""
    from saga import Network, TaskGraph
    from saga.schedulers.heft import HeftScheduler

    names = [f"w{i}" for i in range(workers)]
    network = Network.create([(n, 1.0) for n in names], [(a, b, 1.0) for a in names for b in names if a <= b])
    graph = TaskGraph.create(
        [(f"t{i}", float(d)) for i, d in enumerate(durations)],
        [(f"t{d}", f"t{i}", 0.0) for i, before in enumerate(dependencies) for d in before],
    )
    began = process_time()
    schedule = HeftScheduler().schedule(network, graph)
    return float(schedule.makespan), process_time() - began


def ortools(durations: list[float], dependencies: Edges, workers: int, seconds: float) -> tuple[float, float]:
    """CP-SAT with one search worker; durations must be whole numbers."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    whole = [int(d) for d in durations]
    horizon = sum(whole)
    starts = [model.new_int_var(0, horizon, f"s{i}") for i in range(len(whole))]
    bodies = [model.new_fixed_size_interval_var(starts[i], d, f"i{i}") for i, d in enumerate(whole)]
    for i, before in enumerate(dependencies):
        for d in before:
            model.add(starts[i] >= starts[d] + whole[d])
    model.add_cumulative(bodies, [1] * len(bodies), workers)
    end = model.new_int_var(0, horizon, "end")
    for s, d in zip(starts, whole, strict=True):
        model.add(end >= s + d)
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = seconds
    began = process_time()
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        raise SystemExit(f"CP-SAT found nothing: {solver.status_name(status)}")
    return float(solver.objective_value), process_time() - began


PLANNERS: dict[str, Callable[[list[float], Edges, int, float], tuple[float, float]]] = {
    "saga": saga,
    "ortools": ortools,
}


def main() -> None:
    planner, seconds = PLANNERS[sys.argv[1]], float(sys.argv[2])
    for line in sys.stdin:
        case = json.loads(line)
        makespan, cpu_s = planner(case["durations"], case["dependencies"], case["workers"], seconds)
        print(json.dumps({"makespan": makespan, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    main()
