"""Random small graphs with whole durations, for invariants of views and reports."""

from __future__ import annotations

from hypothesis import strategies as st

from llmflow.scheduling.graph import Graph


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[float]]:
    size = draw(st.integers(1, 14))
    graph = Graph()
    for task in range(size):
        graph.add(f"t{task}", draw(st.sets(st.integers(0, task - 1), max_size=3)) if task else ())
    return graph, [float(draw(st.integers(1, 9))) for _ in range(size)]
