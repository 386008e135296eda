"""Checks over the whole graph of a file: cycles, and joins where a skip would meet tasks that ran.

**Joins.** A skip passes down a single chain. Where two or more dependencies meet and one of them can
be skipped while another is not, the author must say what happens: a rule must be written. Whether a
task can be skipped is followed through the graph as its *sources*, the places where it is decided: it
is skipped where one of them says so.

- a task with `when` is a source of its own, beside those of its dependencies;
- a task under `all_success` has the sources of all its dependencies; where they have the same ones,
  they are skipped together or not at all, so such a join needs no rule;
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
    sources: list[_Sources] = [_NONE] * len(graph)
    joins: dict[str, tuple[str, str]] = {}
    for task in graph.order():
        name = graph.names[task]
        dependencies = graph.dependencies[task]
        rule = rules.get(name)
        above = [sources[d] for d in dependencies]
        if rule is None and len(set(above)) > 1:
            skipped = next(d for d in dependencies if sources[d])
            other = next(d for d in dependencies if sources[d] != sources[skipped])
            joins[name] = (graph.names[skipped], graph.names[other])
        passed = _passed(task, above, rule or "all_success")
        sources[task] = _joined(task, passed, frozenset((task,))) if name in conditional else passed
    return joins


_Sources = frozenset[int]
_NONE: _Sources = frozenset()

MAX_SOURCES = 64
"""A task with more sources becomes a source of its own; a join below may then be asked for a rule without need."""


def _passed(task: int, above: list[_Sources], rule: str) -> _Sources:
    """The sources that a task gets from those of its dependencies."""
    if rule in ("one_failed", "all_failed"):
        return frozenset((task,))
    if not above or rule in ("all_done", "none_failed"):
        return _NONE
    if rule == "all_success":
        return _joined(task, *above)
    if not all(above):
        return _NONE
    return above[0] if len(set(above)) == 1 else frozenset((task,))


def _joined(task: int, *several: _Sources) -> _Sources:
    largest = max(several, key=len)
    if all(sources <= largest for sources in several):
        return largest
    joined = frozenset().union(*several)
    return joined if len(joined) <= MAX_SOURCES else frozenset((task,))
