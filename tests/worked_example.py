"""The worked example as plain numbers: S1–S4, M1–M8, Gate, C1 → C2 → C3, End."""

from __future__ import annotations

from llmflow.scheduling.graph import Graph

DURATIONS = {
    **{f"S{i}": 1.0 for i in range(1, 5)},
    **{f"M{i}": 5.0 for i in range(1, 9)},
    "Gate": 1.0,
    "C1": 20.0,
    "C2": 15.0,
    "C3": 10.0,
    "End": 5.0,
}
EDGES: dict[str, list[str]] = {
    **{f"S{i}": [] for i in range(1, 5)},
    **{f"M{i}": [] for i in range(1, 9)},
    "Gate": ["S1", "S2", "S3", "S4"],
    "C1": ["Gate"],
    "C2": ["C1"],
    "C3": ["C2"],
    "End": ["C3", *(f"M{i}" for i in range(1, 9))],
}


def worked_example() -> tuple[Graph, list[float]]:
    """The graph and one duration in seconds per task."""
    return Graph.of(EDGES), [DURATIONS[name] for name in EDGES]
