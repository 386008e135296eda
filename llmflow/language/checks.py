"""Checks over the whole graph of a file: cycles, and joins where a skip would meet tasks that ran.

**Joins.** A skip passes down a single chain. Where two or more dependencies meet and one of them can
be skipped while another is not, the author must say what happens: a rule must be written. Whether a
task can be skipped is followed through the graph as its *source*, the place where it is decided:

- a task with `when` is its own source;
- a task under `all_success` has the source of its dependencies where they all share one; they are
  skipped together or not at all, so such a join needs no rule;
- `one_success` and `none_failed_min_one_success` pass a skip on only where all dependencies can be
  skipped; `none_failed` and `all_done` never do;
- a task under `one_failed` or `all_failed` is skipped where nothing failed: its own source.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmflow.scheduling.graph import CycleError, Graph


def cycles_of(edges: Mapping[str, tuple[str, ...]]) -> tuple[list[list[str]], Graph]:
    """Every cycle (one for each knot of tasks, `[a, b, a]`) and the graph without the knots' edges.

    No task may depend on itself.
    """
    cycles: list[list[str]] = []
    left = dict(edges)
    while True:
        try:
            return cycles, Graph.of(left)
        except CycleError as error:
            cycles.append(error.cycle)
            for task in error.cycle:
                left[task] = ()


def unruled_joins(graph: Graph, conditional: set[str], rules: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Joins that need a rule: task → (a dependency that can be skipped, one that is not skipped with it).

    `conditional` are the tasks with `when`, `rules` holds the rules that are written.
    """
    if not conditional and not any(rule.endswith("_failed") and rule != "none_failed" for rule in rules.values()):
        return {}
    sources: list[int | None] = [None] * len(graph)
    joins: dict[str, tuple[str, str]] = {}
    for task in graph.order():
        name = graph.names[task]
        dependencies = graph.dependencies[task]
        rule = rules.get(name)
        source, apart = _passed(task, [sources[d] for d in dependencies], rule or "all_success")
        if apart and rule is None:
            skipped = next(d for d in dependencies if sources[d] is not None)
            other = next(d for d in dependencies if sources[d] != sources[skipped])
            joins[name] = (graph.names[skipped], graph.names[other])
        sources[task] = task if name in conditional else source
    return joins


def _passed(task: int, above: list[int | None], rule: str) -> tuple[int | None, bool]:
    """The source that a task gets from those of its dependencies, and whether they can be skipped apart."""
    kinds = set(above)
    apart = len(kinds) > 1
    if rule in ("one_failed", "all_failed"):
        return task, apart
    if not above or kinds == {None} or rule in ("all_done", "none_failed"):
        return None, apart
    if not apart:
        return above[0], False
    if rule == "all_success" or None not in kinds:
        return task, apart
    return None, apart
