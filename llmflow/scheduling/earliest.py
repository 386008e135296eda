"""How early a task can start, given that all it waits for has to share workers first.

On unlimited workers that is the longest path to it, its head. On N workers all ancestors that cannot start
before h must fit between h and the start of the task, and from each of them a path leads on to it: so it starts no
earlier than h + their work ÷ N + the shortest of those paths. Of k·N + 1 whole tasks some worker runs k + 1, so at
least the k + 1 shortest of the longest ones. Heads that were raised raise those behind them in
turn, across pools: a join over two pools with one worker each waits for more than either pool shows by itself.

This is the release-date argument of one machine (Carlier 1982; Jackson's schedule), relaxed to N workers.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from math import ceil

from llmflow.scheduling.graph import Graph, upward_ranks

SEARCHED = 1000
"""Up to how many tasks heads are raised: the ancestors of each are kept as a set of bits."""

VISITS = 3_000
"""At how many ancestors one pass may look: where there are more, only some of the joins raise their head."""

ROUNDING = 1e-9


def earliest_starts(graph: Graph, durations: Sequence[float], order: Sequence[int]) -> list[float]:
    """The earliest start of each task on unlimited workers, in the unit of `durations`."""
    heads = [0.0] * len(graph)
    dependents = graph.dependents
    for task in order:
        end = heads[task] + durations[task]
        for d in dependents[task]:
            if end > heads[d]:
                heads[d] = end
    return heads


def heads_and_tails(
    graph: Graph, durations: Sequence[float], pool_of: Sequence[int], workers: Sequence[int]
) -> tuple[list[float], list[float]]:
    """The earliest start of each task, and the least time from its start to the end of any schedule.

    `pool_of[t]` is -1 for a task that holds no worker; `workers[p]` is 0 for an unlimited pool.
    """
    order = graph.order()
    if len(graph) > SEARCHED:
        return earliest_starts(graph, durations, order), upward_ranks(graph, durations, order)
    heads = _raised(order, graph.dependencies, graph.dependents, durations, pool_of, workers)
    behind = _raised(order[::-1], graph.dependents, graph.dependencies, durations, pool_of, workers)
    return heads, [rest + own for rest, own in zip(behind, durations, strict=True)]


def _raised(
    order: Sequence[int],
    before: Sequence[Sequence[int]],
    after: Sequence[Sequence[int]],
    durations: Sequence[float],
    pool_of: Sequence[int],
    workers: Sequence[int],
) -> list[float]:
    """Heads in the direction of `order`, in which every task stands behind those `before` it."""
    n = len(order)
    place = [0] * n
    for position, task in enumerate(order):
        place[task] = position
    above = [0] * n
    joins: list[int] = []
    for task in order:
        for d in before[task]:
            above[task] |= above[d] | 1 << place[d]
        if len(before[task]) > 1:
            joins.append(task)
    visits = sum(above[task].bit_count() for task in joins)
    looked_at = set(joins if visits <= VISITS else joins[:: -(-visits // VISITS)])
    whole = all(float(d).is_integer() for d in durations)
    heads = [0.0] * n
    for task in order:
        heads[task] = max([heads[d] + durations[d] for d in before[task]], default=0.0)
        if task in looked_at:
            waits_for = [
                a
                for a, bit in zip(reversed(order[: place[task]]), _bits(above[task], place[task]), strict=True)
                if bit == "1"
            ]
            value = _after_all(task, waits_for, after, heads, durations, pool_of, workers)
            if whole:
                value = float(ceil(value - ROUNDING))
            if value > heads[task] * (1 + ROUNDING):
                heads[task] = value
    return heads


def _bits(number: int, count: int) -> str:
    """The last `count` binary digits, from the highest."""
    return format(number, f"0{count}b")


def _after_all(
    task: int,
    waits_for: Sequence[int],
    after: Sequence[Sequence[int]],
    heads: Sequence[float],
    durations: Sequence[float],
    pool_of: Sequence[int],
    workers: Sequence[int],
) -> float:
    """The earliest start of `task` that any one pool proves by what it has of `waits_for`, nearest first."""
    crowds: dict[int, list[int]] = {}
    for a in waits_for:
        if durations[a]:
            crowds.setdefault(pool_of[a], []).append(a)
    tight = [(p, own) for p, own in crowds.items() if p >= 0 and 0 < workers[p] < len(own)]
    if not tight:
        return 0.0
    onwards = _onwards(task, waits_for, after, durations)
    return max(_shared([(heads[a], durations[a], onwards[a]) for a in own], workers[p]) for p, own in tight)


def _onwards(
    task: int, waits_for: Sequence[int], after: Sequence[Sequence[int]], durations: Sequence[float]
) -> dict[int, float]:
    """The longest path from the end of each ancestor to the start of `task`; ancestors come nearest first."""
    found = {task: -durations[task]}
    for a in waits_for:
        longest = 0.0
        for d in after[a]:
            if d in found:
                path = found[d] + durations[d]
                if path > longest:
                    longest = path
        found[a] = longest
    return found


def _shared(ancestors: list[tuple[float, float, float]], workers: int) -> float:
    """The earliest that all of (head, duration, path onwards) can be through on `workers`; durations above 0."""
    ancestors.sort(reverse=True)
    best = work = 0.0
    rest = ancestors[0][2]
    lengths: list[float] = []
    for head, duration, onwards in ancestors:
        work += duration
        if onwards < rest:
            rest = onwards
        insort(lengths, duration)
        value = work / workers
        rounds = (len(lengths) - 1) // workers
        if rounds:
            among = len(lengths) - rounds * workers - 1
            value = max(value, sum(lengths[among : among + rounds + 1]))
        if head + value + rest > best:
            best = head + value + rest
    return best
