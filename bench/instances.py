"""Problems to schedule, read from a folder: Standard Task Graphs (`.stg`) and WfCommons traces (`.json`)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmflow.scheduling.graph import Graph

WORKERS = (2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Instance:
    """A graph with known durations on `workers` workers. `best` is the proved optimum, 0.0 where none is known."""

    name: str
    graph: Graph
    durations: list[float]
    workers: int
    best: float = 0.0


def read_stg(path: Path) -> tuple[Graph, list[float]]:
    """Rows `id duration n_predecessors predecessor…`; the dummies of no length at both ends stay in."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    count = int(rows[0][0]) + 2
    graph, durations = Graph(), []
    for name, duration, n_before, *before in rows[1 : count + 1]:
        graph.add(name, map(int, before[: int(n_before)]))
        durations.append(float(duration))
    return graph, durations


def proved_stg(folder: Path, optima: Path) -> Iterator[Instance]:
    """The cases of a table `graph,workers,lower_bound,best_known,status` whose status is `proved`."""
    with optima.open(newline="") as table:
        for row in csv.DictReader(table):
            if row["status"] == "proved":
                graph, durations = read_stg(folder / f"{row['graph']}.stg")
                yield Instance(row["graph"], graph, durations, int(row["workers"]), float(row["best_known"]))


def stg(folder: Path, workers: tuple[int, ...] = WORKERS) -> Iterator[Instance]:
    """Every `.stg` below the folder on each number of workers."""
    for path in sorted(folder.rglob("*.stg")):
        graph, durations = read_stg(path)
        for n in workers:
            yield Instance(str(path.relative_to(folder).with_suffix("")), graph, durations, n)


def wfinstances(folder: Path, workers: tuple[int, ...] = WORKERS) -> Iterator[Instance]:
    """Every trace below the folder on each number of workers; durations are the recorded runtimes in seconds."""
    for path in sorted(folder.rglob("*.json")):
        workflow = json.loads(path.read_text())["workflow"]
        runtime = {task["id"]: task["runtimeInSeconds"] for task in workflow["execution"]["tasks"]}
        graph = Graph.of({task["id"]: task["parents"] for task in workflow["specification"]["tasks"]})
        for n in workers:
            yield Instance(path.stem, graph, [float(runtime[name]) for name in graph.names], n)
