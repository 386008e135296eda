"""Plans for durations that are near certain: better than any one priority rule, and proved where possible.

Starting from critical-path order, two ideas find shorter schedules:

* Forward–backward improvement (Tormos & Lova 2001; "justification", Valls et al. 2005). Schedule the
  mirrored graph, the task that ended last going first; mirror the result back and repeat. Each pass
  is one list schedule, and late tasks drift to where they press least.
* Iterated greedy (Ruiz & Stützle 2007). Blur the start times of the schedule at hand inside a window
  of time, rebuild it in the blurred order, improve it as above, keep it unless it is longer. Place
  and width of the window and the blur are drawn anew each time, fine to coarse; a search that stands
  still starts over from the whole order blurred.

Many schedules are equally long, so what is compared is by how much all tasks together pass the latest
ends that a slightly shorter schedule would allow: it falls long before the makespan does. And half of
the passes are greedy, half place task by task (see `ticks`): the shortest schedules are often of the
second kind only, and seldom found by it alone.

A mirrored schedule is greedy from its end, and one that was placed task by task keeps workers free for
tasks to come: seen from its start either may let a worker idle while a task is ready, the kind of plan
that no priority order can express. So the shortest schedule that an order does express is kept beside
it. The search stops when both meet the lower bound (then the plan is proved optimal), at its budget, or
after a number of iterations. Between barriers each part is planned by itself.

The search counts in ticks (see `ticks`); the plan that leaves is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from random import Random

from llmflow.scheduling.barriers import cut_out, parts
from llmflow.scheduling.bounds import WORK, Bound, capped_lower_bound
from llmflow.scheduling.earliest import earliest_starts
from llmflow.scheduling.graph import Graph, upward_ranks
from llmflow.scheduling.list_schedule import Schedule, list_schedule, ranked
from llmflow.scheduling.ticks import TickSchedules

CRITICAL_PATH, FORWARD_BACKWARD, ITERATED_GREEDY = "critical path", "forward-backward", "iterated greedy"

BLUR = (0.02, 0.4)
"""Smallest and largest blur of a start time, as a share of the makespan."""

WINDOW = (0.05, 0.45)
"""Smallest and largest half width of the window of time that is blurred, as a share of the makespan."""

PASSES = 6
"""How many list schedules one improvement may take; it ends after one that is no shorter."""

STANDSTILL = 60
"""Iterations without a better schedule after which the search starts over."""

AMPLE = 500
"""How many list schedules a budget must hold for the better bound: a shorter search has no time to gain from it."""

SERIAL = 0.5
"""The share of the iterations that place task by task."""

AIM = 0.998
"""The share of the best makespan that the search aims at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule and how good it is. Times in the unit of the durations.

    `priorities` (higher first) reproduce it in a greedy dispatcher unless `idles`: then only `starts`
    do, because a worker is kept free on purpose, and `greedy` are the best priorities that were found
    for a dispatcher that never idles, which gives `greedy_makespan`. `method` names the idea that found it.
    """

    priorities: list[float]
    schedule: Schedule
    bound: Bound
    method: str
    idles: bool
    iterations: int
    greedy: list[float]
    greedy_makespan: float

    @property
    def makespan(self) -> float:
        return self.schedule.makespan

    @property
    def starts(self) -> list[float]:
        return self.schedule.starts

    @property
    def proved(self) -> bool:
        """No schedule is shorter (up to rounding of floats)."""
        return self.makespan <= self.bound.value * (1 + 1e-9)


def plan(
    graph: Graph,
    durations: Sequence[float],
    workers: int | Sequence[int],
    *,
    budget_s: float,
    seed: int,
    clock: Callable[[], float],
    pool_of: Sequence[int] | None = None,
    cap: int = 0,
    begin: Sequence[Sequence[float]] = (),
    iterations: int = 1_000_000,
) -> Plan:
    """The shortest schedule found before `clock` has advanced by `budget_s`, or after `iterations`.

    `workers`, `pool_of` and `cap` as in `list_schedule`. Never worse than the critical-path list schedule;
    `begin` are further priorities from which the search sets out. The same for the same seed as long as the
    budget is not what ends it.
    """
    begins = clock()
    ends = begins + budget_s
    pools = [0] * len(graph) if pool_of is None else pool_of
    sizes = [workers] if isinstance(workers, int) else list(workers)
    ranks = upward_ranks(graph, durations)
    first = list_schedule(graph, durations, ranks, sizes, pools, cap=cap)
    pace = clock() - begins
    bound = capped_lower_bound(graph, durations, pools, sizes, cap, interval=False)
    if first.makespan > bound.value * (1 + 1e-9) and clock() < ends:
        ample = ends - clock() >= AMPLE * pace
        bound = capped_lower_bound(graph, durations, pools, sizes, cap, shared=ample)
    # What is found must still be laid out, and a step of the search that has begun goes on to its end.
    ends -= 6 * pace
    if first.makespan <= bound.value * (1 + 1e-9) or clock() >= ends:
        return Plan(ranks, first, bound, CRITICAL_PATH, False, 0, ranks, first.makespan)
    groups = parts(graph)
    if sum(len(group) > 2 for group in groups) > 1:
        found = _by_parts(graph, groups, durations, pools, sizes, cap, begin, ends, seed, clock, iterations)
    else:
        found = _searched(graph, durations, pools, sizes, cap, begin, bound, lambda: clock() < ends, seed, iterations)
    if found.makespan >= first.makespan:
        return Plan(ranks, first, bound, CRITICAL_PATH, False, found.iterations, ranks, first.makespan)
    if found.greedy_makespan >= first.makespan:
        found = replace(found, greedy=ranks, greedy_makespan=first.makespan)
    return replace(found, bound=bound)


def _searched(
    graph: Graph,
    durations: Sequence[float],
    pools: Sequence[int],
    sizes: Sequence[int],
    cap: int,
    begin: Sequence[Sequence[float]],
    bound: Bound,
    in_time: Callable[[], bool],
    seed: int,
    iterations: int,
) -> Plan:
    """What the search finds on its own, be it shorter than the critical path or not."""
    search = TickSchedules(graph, durations, pools, sizes, cap)
    improver = _Improver(graph, search, int(bound.value * search.scale * (1 + 1e-9)), in_time)
    side, finishes = improver.set_out([ranked(own) for own in (upward_ranks(graph, durations), *begin)])
    shortest = improver.best
    tries = improver.iterate(side, finishes, seed, iterations)
    method = ITERATED_GREEDY if improver.best < shortest else FORWARD_BACKWARD
    found = _exact(graph, durations, improver.starts, search)
    priorities = in_order(sorted(range(len(graph)), key=found.starts.__getitem__))
    by_order = [priorities, *([in_order(improver.order)] if improver.order else [])]
    schedules = [list_schedule(graph, durations, own, sizes, pools, cap=cap) for own in by_order]
    greedy, own = min(zip(schedules, by_order, strict=True), key=lambda both: both[0].makespan)
    if greedy.makespan <= found.makespan * (1 + 1e-9):
        return Plan(own, greedy, bound, method, False, tries, own, greedy.makespan)
    return Plan(priorities, found, bound, method, True, tries, own, greedy.makespan)


def _by_parts(
    graph: Graph,
    groups: Sequence[Sequence[int]],
    durations: Sequence[float],
    pools: Sequence[int],
    sizes: Sequence[int],
    cap: int,
    begin: Sequence[Sequence[float]],
    ends: float,
    seed: int,
    clock: Callable[[], float],
    iterations: int,
) -> Plan:
    """One plan behind the other, as barriers have it; the time goes to the parts by their number of tasks."""
    idle_order: list[int] = []
    greedy_order: list[int] = []
    starts, held = [0.0] * len(graph), [-1] * len(graph)
    length, tries, waiting, methods = 0.0, 0, len(graph), set()
    for part, tasks in cut_out(graph, groups):
        own = [durations[task] for task in tasks]
        begins = clock()
        found = plan(
            part,
            own,
            sizes,
            budget_s=(ends - begins) * len(tasks) / waiting,
            seed=seed,
            clock=clock,
            pool_of=[pools[task] for task in tasks],
            cap=cap,
            begin=[[priorities[task] for task in tasks] for priorities in begin],
            iterations=iterations,
        )
        for i, task in enumerate(tasks):
            starts[task], held[task] = length + found.starts[i], found.schedule.workers[i]
        idle_order += [tasks[i] for i in ranked(found.priorities)]
        greedy_order += [tasks[i] for i in ranked(found.greedy)]
        length += found.makespan
        tries += found.iterations
        waiting -= len(tasks)
        methods.add(found.method)
    method = next(m for m in (ITERATED_GREEDY, FORWARD_BACKWARD, CRITICAL_PATH) if m in methods)
    nowhere = Bound(0.0, WORK)
    priorities = in_order(greedy_order)
    greedy = list_schedule(graph, durations, priorities, sizes, pools, cap=cap)
    if greedy.makespan <= length * (1 + 1e-9):
        return Plan(priorities, greedy, nowhere, method, False, tries, priorities, greedy.makespan)
    finishes = [start + duration for start, duration in zip(starts, durations, strict=True)]
    idle = Schedule(length, starts, finishes, held)
    return Plan(in_order(idle_order), idle, nowhere, method, True, tries, priorities, greedy.makespan)


def in_order(order: Sequence[int]) -> list[float]:
    """Priorities that rank the tasks as they stand in `order`."""
    priorities = [0.0] * len(order)
    for position, task in enumerate(order):
        priorities[task] = float(-position)
    return priorities


class _Improver:
    """The search itself: the best schedule so far, and forward–backward passes that look for a better one."""

    def __init__(self, graph: Graph, search: TickSchedules, target: int, in_time: Callable[[], bool]) -> None:
        self.search, self.target, self.in_time = search, target, in_time
        order = graph.order()
        tails = [
            int(rank) - own for rank, own in zip(upward_ranks(graph, search.ticks, order), search.ticks, strict=True)
        ]
        self.behind = tails, list(map(int, earliest_starts(graph, search.ticks, order)))
        """How much must follow each task, seen from the start and seen from the end."""
        self.best = -1
        self.starts: list[int] = []
        self.ordered = -1
        """The shortest that an order alone gives, and …"""
        self.order: Sequence[int] = ()
        """… that order."""

    @property
    def done(self) -> bool:
        return 0 <= self.ordered <= self.target or not self.in_time()

    def excess(self, mirrored: int, finishes: Sequence[int]) -> int:
        """By how much the tasks together end too late for a makespan a little below the best: 0 if it is met."""
        aim = max(self.target, int(self.best * AIM))
        return sum(
            [end + rest - aim for end, rest in zip(finishes, self.behind[mirrored], strict=True) if end + rest > aim]
        )

    def descend(self, mirrored: int, order: Sequence[int], *, serial: bool = False) -> tuple[int, int, list[int]]:
        """(excess, mirrored, finishes) of the best of some alternating passes that begin with `order`."""
        tasks, ticks = range(self.search.n), self.search.ticks
        schedule = self.search.serial if serial else self.search.schedule
        least, side, kept = -1, mirrored, [0]
        worse = 0
        for _ in range(PASSES):
            length, finishes = schedule(mirrored, order)
            if length < self.best or self.best < 0:
                self.best, least = length, -1
                self.starts = [length - f if mirrored else f - t for f, t in zip(finishes, ticks, strict=True)]
            if not (mirrored or serial) and (length < self.ordered or self.ordered < 0):
                self.ordered, self.order = length, order
            excess = self.excess(mirrored, finishes)
            worse = 0 if excess < least or least < 0 else worse + 1
            if excess <= least or least < 0:
                least, side, kept = excess, mirrored, finishes
            if worse > 1 or self.done:
                break
            order = sorted(tasks, key=finishes.__getitem__, reverse=True)
            mirrored = 1 - mirrored
        return least, side, kept

    def set_out(self, orders: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
        """(mirrored, finishes) of the best of what descends from each of `orders`, the first of them in any case."""
        found: list[tuple[int, list[int]]] = []
        for order in orders:
            if found and self.done:
                break
            _, side, finishes = self.descend(0, order)
            found.append((side, finishes))
        return min(found, key=lambda both: self.excess(*both))

    def iterate(self, mirrored: int, finishes: list[int], seed: int, iterations: int) -> int:
        """Blur and descend until done; the number of iterations taken."""
        dice = Random(seed)
        random = dice.random
        ticks, tasks = self.search.ticks, range(self.search.n)
        (low, high), (narrow, wide) = BLUR, WINDOW
        tries = still = 0
        best = -1
        while tries < iterations and not self.done:
            tries += 1
            length = max(finishes)
            if self.best != best:
                best, excess = self.best, self.excess(mirrored, finishes)
            starts = [f - t for f, t in zip(finishes, ticks, strict=True)]
            if still < STANDSTILL:
                blur = length * low * (high / low) ** random()
                middle, half = random() * length, length * (narrow + (wide - narrow) * random())
                early, late = middle - half, middle + half
            else:
                blur, early, late = length * high * (1 + 9 * random() ** 3), -1.0, length + 1.0
            keys = [s + random() * blur if early < s < late else s for s in starts]
            # Where only an order is missing that gives what is found, placing task by task finds none.
            serial = self.best > self.target and random() < SERIAL
            found, side, ends = self.descend(mirrored, sorted(tasks, key=keys.__getitem__), serial=serial)
            if found < excess or still >= STANDSTILL or self.best < best:
                still = 0
            else:
                still += 1
            if found <= excess or not still:
                excess, mirrored, finishes = found, side, ends
        return tries


def _exact(graph: Graph, durations: Sequence[float], starts: Sequence[int], search: TickSchedules) -> Schedule:
    """The schedule of `starts` (ticks) with its workers and with exact times: no later than the ticks say."""
    n, ticks, pool_of = search.n, search.ticks, search.pool_of
    place = [0] * n
    for position, task in enumerate(graph.order()):
        place[task] = position
    # A task without length shares its moment with one that follows on the same worker: it goes first.
    order = sorted(range(n), key=lambda t: (starts[t], ticks[t] > 0, place[t]))
    idle = [list(range(min(w, n))) for w in search.workers]
    # A cap is one more pool, of which every task takes a worker as well.
    everyone, place_of = list(range(search.cap)), dict[int, int]()
    running: list[tuple[int, int]] = []
    free_at: dict[tuple[int, int], float] = {}
    exact, finishes, held = [0.0] * n, [0.0] * n, [-1] * n
    for task in order:
        while running and running[0][0] <= starts[task]:
            ended = heappop(running)[1]
            heappush(idle[pool_of[ended]], held[ended])
            if ended in place_of:
                heappush(everyone, place_of[ended])
        pool = pool_of[task]
        held[task] = heappop(idle[pool])
        taken = [(pool, held[task])]
        if search.cap and pool >= 0:
            place_of[task] = heappop(everyone)
            taken.append((len(idle), place_of[task]))
        heappush(running, (starts[task] + ticks[task], task))
        begin = max([*(free_at.get(w, 0.0) for w in taken), *(finishes[d] for d in graph.dependencies[task])])
        exact[task] = begin
        finishes[task] = begin + durations[task]
        for worker in taken:
            free_at[worker] = finishes[task]
    return Schedule(max(finishes), exact, finishes, [-1 if pool_of[t] < 0 else held[t] for t in range(n)])
