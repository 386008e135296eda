"""Random runs for tests: graphs of four shapes with pools, durations and priorities, and what makes a story sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.hedging import Hedging
from llmflow.scheduling.policies import POLICIES
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.tasks import TaskSpec


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to be: durations are multiples of 1/1024 s, so sums of them are exact."""

    name: str
    graph: Graph
    specs: list[TaskSpec]
    pools: list[PoolSpec]
    durations: list[float]
    priorities: list[float]
    workers: int = 0

    def scheduler(self, hedging: Hedging | None = None) -> Scheduler:
        return Scheduler(self.graph, self.specs, self.pools, self.priorities, workers=self.workers, hedging=hedging)


def fan(size: int, dice: Random) -> list[list[int]]:
    """One task, `size - 2` behind it, one behind all of them."""
    return [[], *([0] for _ in range(size - 2)), list(range(1, size - 1))] if size > 2 else [[] for _ in range(size)]


def chain(size: int, dice: Random) -> list[list[int]]:
    return [[t - 1] if t else [] for t in range(size)]


def layered(size: int, dice: Random) -> list[list[int]]:
    """Layers of up to eight tasks, each behind up to three of the layer above."""
    dependencies: list[list[int]] = []
    above: list[int] = []
    while len(dependencies) < size:
        layer = range(len(dependencies), min(size, len(dependencies) + dice.randint(1, 8)))
        dependencies += [dice.sample(above, min(3, len(above))) for _ in layer]
        above = list(layer)
    return dependencies


def scattered(size: int, dice: Random) -> list[list[int]]:
    density = dice.choice((0.02, 0.1, 0.4))
    return [[d for d in range(t) if dice.random() < density] for t in range(size)]


SHAPES: dict[str, Callable[[int, Random], list[list[int]]]] = {
    "fan": fan,
    "chain": chain,
    "layered": layered,
    "scattered": scattered,
}


def random_scenario(seed: int, *, control: bool = True, ties: bool = False, size: int = 40) -> Scenario:
    """A scenario of at most `size` tasks. `control`: with values and conditions among them; `ties`: whole seconds."""
    dice = Random(seed)
    shape = list(SHAPES)[seed % len(SHAPES)]
    graph = Graph()
    for task, dependencies in enumerate(SHAPES[shape](dice.randint(1, size), dice)):
        graph.add(f"t{task}", dependencies)
    pools = [PoolSpec(f"p{i}", dice.choice((0, 1, 2, 3)), dice.choice((1, 1, 2))) for i in range(dice.randint(1, 3))]
    kinds = [TaskSpec(pools=(i,)) for i in range(len(pools))]
    if control:
        kinds += [TaskSpec(), *(TaskSpec(pools=(i,), conditional=True) for i in range(len(pools)))]
    specs = [dice.choice(kinds) for _ in range(len(graph))]
    durations = [
        0.0 if spec.pools[0] == CONTROL else float(dice.randint(1, 4)) if ties else dice.randint(1, 1 << 14) / 1024
        for spec in specs
    ]
    policy = dice.choice(list(POLICIES.values()))
    priorities = policy.priorities(graph, durations, seed)
    return Scenario(f"{shape}-{seed}", graph, specs, pools, durations, priorities, dice.choice((0, 0, 1, 2, 5)))


def random_scenarios(count: int, *, control: bool = True, ties: bool = False, size: int = 40) -> Iterator[Scenario]:
    for seed in range(count):
        yield random_scenario(seed, control=control, ties=ties, size=size)


@dataclass(frozen=True, slots=True)
class Span:
    """What one attempt held: seconds from the start of the run."""

    task: int
    pool: int
    worker: int
    start: float
    end: float


def spans(story: Sequence[ev.Event]) -> list[Span]:
    """The attempts of a story that held a worker, in the order in which they ended."""
    started: dict[int, ev.AttemptStarted] = {}
    ended: list[Span] = []
    for event in story:
        if isinstance(event, ev.AttemptStarted):
            started[event.attempt] = event
        elif isinstance(event, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled):
            begun = started.pop(event.attempt)
            if begun.pool != CONTROL:
                ended.append(Span(begun.task, begun.pool, begun.worker, begun.at, event.at))
    return ended


def flaws_of_copy(
    scenario: Scenario,
    event: ev.AttemptStarted,
    beside: Sequence[ev.AttemptStarted],
    ready: Mapping[int, int],
    hedging: Hedging | None,
    copies: int,
) -> list[str]:
    """What is wrong with a second call."""
    if hedging is None or event.task not in hedging.rules:
        return [f"{event} although nobody asked for it"]
    wrong = []
    rule = hedging.rules[event.task]
    last = max(beside, key=lambda started: started.at)
    if event.at < last.at + rule.after or len(beside) > rule.copies:
        wrong.append(f"{event} came too soon")
    if (event.pool, event.number) != (last.pool, last.number):
        wrong.append(f"{event} is no call of the same attempt")
    if event.pool in ready.values():
        wrong.append(f"{event} while a task was ready")
    if copies > hedging.extra * sum(hedging.counted) + hedging.carried + 1e-9:
        wrong.append(f"{event} is one too many")
    return wrong


def flaws(scenario: Scenario, story: Sequence[ev.Event], hedging: Hedging | None = None) -> list[str]:
    """What is wrong with a story in which every attempt succeeded; nothing if it is sound.

    Checked: order in time, dependencies, every task settled once, one attempt per worker, no more
    attempts than workers, and greed: at no instant does a task wait while its pool has room. Of second
    calls: none before its time, none while a task is ready for its pool, none too many, and whoever is
    outrun is asked to end.
    """
    wrong: list[str] = []
    at = 0.0
    settled: set[int] = set()
    ready: dict[int, int] = {}
    busy: dict[tuple[int, int], int] = {}
    graph, specs, cap = scenario.graph, scenario.specs, scenario.workers
    pending = [set(d) for d in graph.dependencies]
    running: dict[int, ev.AttemptStarted] = {}
    outrun: set[int] = set()
    copies = 0

    def rooms() -> None:
        full = cap and len(busy) >= cap
        for task, pool in ready.items():
            size = scenario.pools[pool].size
            if not full and (not size or sum(p == pool for p, _ in busy) < size):
                wrong.append(f"at {at} t{task} waits while pool {pool} has room")

    for task, deps in enumerate(pending):
        if not deps and specs[task].pools[0] != CONTROL and not specs[task].conditional:
            ready[task] = specs[task].pools[0]
    for event in story:
        if event.at < at:
            wrong.append(f"{event} goes back in time")
        if event.at > at:
            rooms()
        at = event.at
        match event:
            case ev.AttemptStarted() if beside := [
                r for a, r in running.items() if r.task == event.task and a not in outrun
            ]:
                copies += 1
                wrong += flaws_of_copy(scenario, event, beside, ready, hedging, copies)
                running[event.attempt] = event
                busy[event.pool, event.worker] = event.task
            case ev.AttemptStarted():
                wrong += [f"t{event.task} starts before t{d} has settled" for d in sorted(pending[event.task])]
                running[event.attempt] = event
                if event.pool != CONTROL:
                    del ready[event.task]
                    place = (event.pool, event.worker)
                    if place in busy:
                        wrong.append(f"worker {place} runs two attempts at {at}")
                    busy[place] = event.task
                    size = scenario.pools[event.pool].size
                    if (cap and len(busy) > cap) or (size and sum(p == event.pool for p, _ in busy) > size):
                        wrong.append(f"more attempts than workers at {at}")
                    if size and not event.worker < size:
                        wrong.append(f"worker {place} does not exist")
            case ev.AttemptSucceeded():
                begun = running.pop(event.attempt)
                if begun.pool != CONTROL:
                    del busy[begun.pool, begun.worker]
                elif event.outcome == "proceed":
                    ready[event.task] = specs[event.task].pools[0]
                outrun.discard(event.attempt)
            case ev.CancelRequested():
                if event.reason != "outrun" or event.attempt not in running:
                    wrong.append(f"{event} without a reason")
                outrun.add(event.attempt)
            case ev.AttemptCancelled():
                begun = running.pop(event.attempt)
                del busy[begun.pool, begun.worker]
                if event.attempt not in outrun or event.reason != "outrun":
                    wrong.append(f"{event} was not asked for")
            case ev.TaskSucceeded():
                if event.task in settled:
                    wrong.append(f"t{event.task} settles twice")
                settled.add(event.task)
                for d in graph.dependents[event.task]:
                    pending[d].discard(event.task)
                    if not pending[d] and specs[d].pools[0] != CONTROL and not specs[d].conditional:
                        ready[d] = specs[d].pools[0]
            case _:
                pass
    if settled != set(range(len(graph))):
        wrong.append(f"never settled: {sorted(set(range(len(graph))) - settled)}")
    if running or not isinstance(story[-1], ev.RunFinished):
        wrong.append("the story does not end")
    return wrong
