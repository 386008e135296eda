"""Lower bounds on the makespan: no schedule of the graph on its workers can be shorter.

Three of them: the critical path; the work of a pool divided by its workers; and the interval bound
(Fernandez & Bussell 1973; "energetic reasoning"). The last one asks, for a trial makespan T, how
much work must fall into a window of time even if every task dodges it as far as its heads (earliest
start) and tails (time from its start to the end) allow. More than the workers can do in the window
means that T is too short, by at least the excess divided by the workers; it is raised until every
window fits.

A window also bounds by whole tasks: of k·N + 1 tasks that all lie behind a head and before a tail,
some worker runs k + 1, so at least the k + 1 shortest of the k·N + 1 longest ones. Both count as
`interval`. Heads and tails reckon with the workers that tasks share on the way (see `earliest`).

Where everything before a barrier must end before anything behind it begins (see `barriers`), the bounds
between the barriers add up.

Where all durations are whole numbers a makespan is one too, and the bound is rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, fsum

from llmflow.scheduling.barriers import cut_out, parts
from llmflow.scheduling.earliest import earliest_starts, heads_and_tails
from llmflow.scheduling.graph import Graph, longest_path, upward_ranks

CRITICAL_PATH, WORK, INTERVAL, BARRIERS = "critical path", "work", "interval", "barriers"

VISITS = 60_000
"""How many tasks a pass of the interval bound may look at: above some 250 tasks it tries a sample of the windows."""

CROWD = 4
"""Up to which k whole tasks are counted; beyond it the work alone says as much."""

PASSES = 12
"""How often a trial makespan is raised; each pass is sound by itself."""


@dataclass(frozen=True, slots=True)
class Bound:
    """`value` in the unit of the durations; `kind`: `critical path`, `work`, `interval` or `barriers`."""

    value: float
    kind: str


def lower_bound(graph: Graph, durations: Sequence[float], workers: int, *, interval: bool = True) -> Bound:
    """The best bound for `workers` identical workers, 0 = unlimited. `interval=False` costs O(tasks + edges)."""
    return pooled_lower_bound(graph, durations, [0] * len(graph), [workers], interval=interval)


def pooled_lower_bound(
    graph: Graph,
    durations: Sequence[float],
    pool_of: Sequence[int],
    workers: Sequence[int],
    *,
    interval: bool = True,
    shared: bool = True,
) -> Bound:
    """The best bound over the critical path and each pool's own work and windows.

    `pool_of[t]` is -1 for a task that holds no worker; `workers[p]` is 0 for an unlimited pool. `shared`: the windows
    reckon with the workers that ancestors share (see `earliest`), which takes as long again or longer.
    """
    if not len(graph):
        return Bound(0.0, CRITICAL_PATH)
    order = graph.order()
    whole = all(float(d).is_integer() for d in durations)
    best = Bound(longest_path(graph, durations, order), CRITICAL_PATH)
    counts = [0] * len(workers)
    for task, pool in enumerate(pool_of):
        if pool >= 0 and durations[task] > 0:
            counts[pool] += 1
    # A pool with a worker for each of its tasks cannot be short of workers.
    short = [p for p, n in enumerate(workers) if 0 < n < counts[p]]
    for p in short:
        value = fsum(d for d, pool in zip(durations, pool_of, strict=True) if pool == p) / workers[p]
        value = float(ceil(value - 1e-9)) if whole else value
        if value > best.value:
            best = Bound(value, WORK)
    if not interval or not short:
        return best
    if shared:
        heads, tails = heads_and_tails(graph, durations, pool_of, workers)
    else:
        heads, tails = earliest_starts(graph, durations, order), upward_ranks(graph, durations, order)
    tight = [([t for t, q in enumerate(pool_of) if q == p and durations[t] > 0], workers[p]) for p in short]
    apart = _behind_each_other(graph, durations, pool_of, workers, shared)
    if apart > best.value * (1 + 1e-12):
        best = Bound(apart, BARRIERS)
    value = max(head + tail for head, tail in zip(heads, tails, strict=True))
    if value > best.value * (1 + 1e-12):
        best = Bound(value, INTERVAL)
    for tasks, n in tight:
        value = _crowd(tasks, heads, tails, durations, n)
        if value > best.value * (1 + 1e-12):
            best = Bound(value, INTERVAL)
    for _ in range(PASSES):
        raised = best.value
        for tasks, n in tight:
            raised = max(raised, _raise(raised, tasks, heads, tails, durations, n))
        # Rounding of sums of floats must not pass for a proof.
        if raised <= best.value * (1 + 1e-12):
            break
        best = Bound(float(ceil(raised - 1e-9)) if whole else raised, INTERVAL)
    return best


def capped_lower_bound(
    graph: Graph,
    durations: Sequence[float],
    pool_of: Sequence[int],
    workers: Sequence[int],
    cap: int,
    *,
    interval: bool = True,
    shared: bool = True,
) -> Bound:
    """As `pooled_lower_bound` where no more than `cap` workers of all pools work at once, 0 = no cap."""
    bound = pooled_lower_bound(graph, durations, pool_of, workers, interval=interval, shared=shared)
    if not cap or len(workers) < 2:
        return bound
    one = [min(pool, 0) for pool in pool_of]
    return max(
        bound, pooled_lower_bound(graph, durations, one, [cap], interval=interval, shared=shared), key=lambda b: b.value
    )


def _behind_each_other(
    graph: Graph, durations: Sequence[float], pool_of: Sequence[int], workers: Sequence[int], shared: bool
) -> float:
    """The sum of the bounds between barriers; 0 where fewer than two of those parts have more than a few tasks."""
    groups = parts(graph)
    if sum(len(group) > 2 for group in groups) < 2:
        return 0.0
    found = []
    for part, tasks in cut_out(graph, groups):
        own = [durations[task] for task in tasks]
        found.append(pooled_lower_bound(part, own, [pool_of[task] for task in tasks], workers, shared=shared).value)
    return fsum(found)


def _crowd(
    tasks: Sequence[int], heads: Sequence[float], tails: Sequence[float], durations: Sequence[float], workers: int
) -> float:
    """The bound by whole tasks over windows that open at a head and close before a tail of one task."""
    windows = sorted({(heads[t], tails[t] - durations[t]) for t in tasks})
    most = max(1, VISITS // len(tasks))
    if len(windows) > most:
        windows = [windows[i * len(windows) // most] for i in range(most)]
    best = 0.0
    for head, tail in windows:
        lengths = sorted(durations[t] for t in tasks if heads[t] >= head and tails[t] - durations[t] >= tail)
        lengths.reverse()
        for k in range(1, min(CROWD, (len(lengths) - 1) // workers) + 1):
            best = max(best, head + tail + fsum(lengths[k * workers - k : k * workers + 1]))
    return best


def _raise(
    trial: float,
    tasks: Sequence[int],
    heads: Sequence[float],
    tails: Sequence[float],
    durations: Sequence[float],
    workers: int,
) -> float:
    """A makespan that the windows of `tasks` prove necessary if `trial` is too short, else `trial`."""
    # (latest start, earliest finish, duration) by latest start, so that the work of a window only grows.
    bodies = sorted((trial - tails[t], heads[t] + durations[t], durations[t]) for t in tasks)
    opens = sorted({heads[t] for t in tasks})
    most = max(1, VISITS // len(tasks))
    if len(opens) > most:
        opens = [opens[i * len(opens) // most] for i in range(most)]
    excess = max(_excess(opened, bodies, workers) for opened in opens)
    return trial + excess / workers if excess > 0 else trial


def _excess(opened: float, bodies: Sequence[tuple[float, float, float]], workers: int) -> float:
    """The most by which work that must be done in `opened … t` exceeds what the workers can do there, over all t.

    Inside the window a body shows `min(duration, earliest finish - opened, t - max(opened, latest start))`: as a
    function of t it starts to grow at `begins` and stops at `ends`. The sum can only peak where one stops.
    """
    begins: list[float] = []
    ends: list[float] = []
    for late, early_end, duration in bodies:
        part = early_end - opened
        if part > 0:
            begin = late if late > opened else opened
            begins.append(begin)
            ends.append(begin + (part if part < duration else duration))
    ends.sort()
    best, work, active, at = 0.0, 0.0, 0, opened
    i, n = 0, len(begins)
    for end in ends:
        while i < n and begins[i] < end:
            work += active * (begins[i] - at)
            at = begins[i]
            active += 1
            i += 1
        work += active * (end - at)
        at = end
        active -= 1
        over = work - workers * (at - opened)
        if over > best:
            best = over
    return best
