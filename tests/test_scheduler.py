"""What the scheduler chooses and in which order, whatever happens and however much there is."""

from __future__ import annotations

import itertools
from collections import Counter
from math import log2
from random import Random

import pytest
from chaos import chaotic_run
from small_scheduler import CALL, RATE_LIMIT, failed, scheduler, started, starts

from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    ItemsClosed,
    Reported,
    RunFinished,
    RunStarted,
    StopRequested,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TasksAdded,
    TaskSkipped,
    TaskSucceeded,
    TimerFired,
    TimerSet,
)
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, PoolSpec
from llmflow.scheduling.rules import judge
from llmflow.scheduling.scheduler import Scheduler
from llmflow.scheduling.state import FIRST_SETTLED, SETTLED, Status
from llmflow.scheduling.tasks import STEPS_AHEAD, TaskSpec

# ---- order ----------------------------------------------------------------------------------------


def test_the_story_of_a_chain() -> None:
    core = scheduler({"a": [], "b": ["a"]})
    assert core.handle(RunStarted(0.0)) == [RunStarted(0.0), started(0.0, 0, 1)]
    assert core.handle(AttemptSucceeded(2.0, 0, 1)) == [
        AttemptSucceeded(2.0, 0, 1),
        TaskSucceeded(2.0, 0),
        started(2.0, 1, 2),
    ]
    assert core.handle(AttemptSucceeded(5.0, 1, 2)) == [
        AttemptSucceeded(5.0, 1, 2),
        TaskSucceeded(5.0, 1),
        RunFinished(5.0, "succeeded"),
    ]


def test_a_run_without_tasks_is_over_at_once() -> None:
    assert scheduler("").handle(RunStarted(0.0)) == [RunStarted(0.0), RunFinished(0.0, "succeeded")]


def test_a_free_worker_takes_the_task_with_the_highest_priority() -> None:
    core = scheduler("abcd", pools=[PoolSpec("p", 2)], priorities=[1.0, 4.0, 2.0, 3.0])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 1, 1, 0), started(0.0, 3, 2, 1)]
    assert core.handle(AttemptSucceeded(1.0, 3, 2))[2:] == [started(1.0, 2, 3, 1)]
    assert core.handle(AttemptSucceeded(2.0, 1, 1))[2:] == [started(2.0, 0, 4, 0)]


def test_equal_priorities_go_in_the_order_of_becoming_ready() -> None:
    core = scheduler({"late": ["a"], "a": [], "b": [], "c": []}, pools=[PoolSpec("p", 1)])
    assert starts(core.handle(RunStarted(0.0))) == [1]
    assert starts(core.handle(AttemptSucceeded(1.0, 1, 1))) == [2]
    assert starts(core.handle(AttemptSucceeded(2.0, 2, 2))) == [3]
    assert starts(core.handle(AttemptSucceeded(3.0, 3, 3))) == [0]


def test_all_ends_of_a_tick_are_taken_in_before_anything_is_chosen() -> None:
    core = scheduler(
        {"a": [], "b": [], "x": ["a"], "y": ["b"]}, pools=[PoolSpec("p", 2)], priorities=[0.0, 0.0, 1.0, 2.0]
    )
    core.handle(RunStarted(0.0))
    assert core.handle(AttemptSucceeded(1.0, 0, 1), AttemptSucceeded(1.0, 1, 2)) == [
        AttemptSucceeded(1.0, 0, 1),
        TaskSucceeded(1.0, 0),
        AttemptSucceeded(1.0, 1, 2),
        TaskSucceeded(1.0, 1),
        started(1.0, 3, 3, 0),
        started(1.0, 2, 4, 1),
    ]


def test_the_priority_of_the_author_outranks_the_policy() -> None:
    core = scheduler(
        "abc", {"c": TaskSpec(pools=(0,), priority=1)}, pools=[PoolSpec("p", 1)], priorities=[9.0, 8.0, 7.0]
    )
    assert starts(core.handle(RunStarted(0.0))) == [2]
    assert starts(core.handle(AttemptSucceeded(1.0, 2, 1))) == [0]


def test_new_priorities_reorder_what_is_queued() -> None:
    core = scheduler("abcd", pools=[PoolSpec("p", 1)], priorities=[4.0, 3.0, 2.0, 1.0])
    core.handle(RunStarted(0.0))
    core.rerank([0.0, 1.0, 2.0, 2.0])
    assert starts(core.handle(AttemptSucceeded(1.0, 0, 1))) == [2]
    assert starts(core.handle(AttemptSucceeded(2.0, 2, 2))) == [3]
    assert starts(core.handle(AttemptSucceeded(3.0, 3, 3))) == [1]


def test_a_cap_on_the_run_goes_to_the_most_urgent_heads_of_all_pools() -> None:
    specs = {"a": TaskSpec(pools=(0,)), "b": TaskSpec(pools=(1,)), "c": TaskSpec(pools=(0,)), "d": TaskSpec(pools=(1,))}
    core = scheduler("abcd", specs, pools=[PoolSpec("p"), PoolSpec("q")], priorities=[1.0, 4.0, 2.0, 3.0], workers=2)
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 1, 1, 0, pool=1), started(0.0, 3, 2, 1, pool=1)]
    assert core.handle(AttemptSucceeded(1.0, 1, 1))[2:] == [started(1.0, 2, 3, 0, pool=0)]


def test_a_full_pool_does_not_hold_up_another() -> None:
    specs = {"b": TaskSpec(pools=(1,))}
    core = scheduler("acb", specs, pools=[PoolSpec("p", 1), PoolSpec("q", 1)], priorities=[3.0, 2.0, 1.0])
    assert starts(core.handle(RunStarted(0.0))) == [0, 2]


def test_attempts_spread_over_endpoints() -> None:
    core = scheduler("abc", pools=[PoolSpec("p", 1, endpoints=2)])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 0, 1, 0), started(0.0, 1, 2, 1, endpoint=1)]
    assert core.handle(AttemptSucceeded(1.0, 1, 2))[2:] == [started(1.0, 2, 3, 1, endpoint=1)]


# ---- steps without a worker, conditions, asking again ---------------------------------------------


def test_a_value_holds_no_worker() -> None:
    core = scheduler("ab", {"a": TaskSpec()}, pools=[PoolSpec("p", 1)])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 0, 1, pool=CONTROL)]
    assert core.handle(AttemptSucceeded(0.0, 0, 1))[2:] == [started(0.0, 1, 2)]


def test_a_condition_that_holds_lets_the_task_queue_and_is_no_attempt() -> None:
    core = scheduler("ab", {"b": TaskSpec(pools=(0,), conditional=True)}, pools=[PoolSpec("p", 1)])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 1, 1, number=0, pool=CONTROL)]
    assert core.handle(AttemptSucceeded(0.0, 1, 1, "proceed"))[1:] == [started(0.0, 0, 2)]
    assert core.handle(AttemptSucceeded(4.0, 0, 2))[2:] == [started(4.0, 1, 3)]
    assert core.state.attempts[1] == 1


def test_an_urgent_task_with_a_condition_is_not_overtaken_by_one_without() -> None:
    specs = {"b": TaskSpec(pools=(0,), conditional=True)}
    core = scheduler("ab", specs, pools=[PoolSpec("p", 1)], priorities=[1.0, 2.0])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 1, 1, number=0, pool=CONTROL)]
    assert core.handle(AttemptSucceeded(0.0, 1, 1, "proceed"))[1:] == [started(0.0, 1, 2)]


def opening(*beside: str) -> tuple[Graph, Scheduler]:
    """A `foreach` of priority 2 that opens beside ready tasks of priority 1, on one worker."""
    graph = Graph.of({"each": [], **{name: [] for name in beside}})
    specs = [TaskSpec(), *(CALL for _ in beside), CALL]
    core = Scheduler(graph, specs, [PoolSpec("p", 1)], [2.0, *(1.0 for _ in beside), 2.0])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 0, 1, pool=CONTROL)]
    return graph, core


def test_items_that_are_about_to_come_are_not_overtaken_by_a_task_that_is_ready() -> None:
    graph, core = opening("beside")
    assert core.handle(AttemptSucceeded(0.0, 0, 1, "expand"))[1:] == []
    graph.add("each[0]", (), 2)
    assert core.handle(TasksAdded(0.0, 0, 2, 1))[1:] == [started(0.0, 2, 2)]


def test_items_that_come_with_the_report_that_opens_their_foreach_are_started_at_once() -> None:
    graph, core = opening("beside")
    graph.add("each[0]", (), 2)
    assert core.handle(AttemptSucceeded(0.0, 0, 1, "expand"), TasksAdded(0.0, 0, 2, 1))[2:] == [started(0.0, 2, 2)]


def test_items_that_come_later_keep_no_ready_task_waiting() -> None:
    _, core = opening("beside")
    assert core.handle(AttemptSucceeded(0.0, 0, 1, "expand"))[1:] == []
    assert core.rest(0.0) == [started(0.0, 1, 2)]


def test_a_foreach_that_closes_empty_as_it_opens_lets_its_dependants_go_on() -> None:
    graph = Graph.of({"each": [], "after": ["each"]})
    core = Scheduler(graph, [TaskSpec(), CALL], [PoolSpec("p", 1)], [2.0, 1.0])
    core.handle(RunStarted(0.0))
    news = core.handle(AttemptSucceeded(0.0, 0, 1, "expand"), ItemsClosed(0.0, 0))
    assert news[-2:] == [TaskSucceeded(0.0, 0), started(0.0, 1, 2)]


def test_a_foreach_that_closes_empty_after_it_opened_ends_the_run() -> None:
    graph = Graph.of({"each": []})
    core = Scheduler(graph, [TaskSpec()], [PoolSpec("p", 1)], [2.0])
    core.handle(RunStarted(0.0))
    assert core.handle(AttemptSucceeded(0.0, 0, 1, "expand"))[1:] == []
    assert core.handle(ItemsClosed(0.0, 0))[1:] == [TaskSucceeded(0.0, 0), RunFinished(0.0, "succeeded")]


def test_a_step_that_takes_its_time_keeps_no_worker_waiting() -> None:
    core = scheduler("ab", {"a": TaskSpec()}, pools=[PoolSpec("p", 1)])
    assert core.handle(RunStarted(0.0))[1:] == [started(0.0, 0, 1, pool=CONTROL)]
    assert core.rest(0.0) == [started(0.0, 1, 2)]
    assert core.rest(0.0) == []


def test_a_long_chain_of_steps_keeps_no_worker_waiting() -> None:
    names = [f"v{k}" for k in range(40)]
    edges = {name: names[k - 1 : k] if k else [] for k, name in enumerate(names)}
    core = scheduler({**edges, "call": []}, dict.fromkeys(names, TaskSpec()), pools=[PoolSpec("p", 1)])
    core.handle(RunStarted(0.0))
    for k in range(40):
        news = core.handle(AttemptSucceeded(0.0, k, k + 1))
        if started(0.0, 40, k + 3) in news:
            break
    assert k == STEPS_AHEAD - 1


def test_a_condition_that_does_not_hold_skips_the_task_and_the_chain_below_it() -> None:
    core = scheduler({"a": [], "b": ["a"], "c": ["b"]}, {"a": TaskSpec(pools=(0,), conditional=True)})
    core.handle(RunStarted(0.0))
    assert core.handle(AttemptSucceeded(0.0, 0, 1, "skip")) == [
        AttemptSucceeded(0.0, 0, 1, "skip"),
        TaskSkipped(0.0, 0),
        TaskSkipped(0.0, 1),
        TaskSkipped(0.0, 2),
        RunFinished(0.0, "succeeded"),
    ]


def test_a_condition_is_not_asked_again_for_a_retry() -> None:
    core = scheduler("a", TaskSpec(pools=(0,), conditional=True))
    core.handle(RunStarted(0.0))
    core.handle(AttemptSucceeded(0.0, 0, 1, "proceed"))
    core.handle(failed(1.0, 0, 2))
    assert core.handle(TimerFired(2.0, 1)) == [TimerFired(2.0, 1), started(2.0, 0, 3, number=2)]


def test_asking_again_queues_the_task_behind_the_ready_ones() -> None:
    core = scheduler("ab", pools=[PoolSpec("p", 1)])
    core.handle(RunStarted(0.0))
    assert core.handle(AttemptSucceeded(1.0, 0, 1, "again")) == [
        AttemptSucceeded(1.0, 0, 1, "again"),
        started(1.0, 1, 2),
    ]
    assert core.handle(AttemptSucceeded(2.0, 1, 2))[2:] == [started(2.0, 0, 3, number=2)]


def test_an_outcome_that_nobody_knows_is_a_bug() -> None:
    core = scheduler("a")
    core.handle(RunStarted(0.0))
    with pytest.raises(ValueError, match="an attempt cannot end as 'perhaps'"):
        core.handle(AttemptSucceeded(1.0, 0, 1, "perhaps"))


# ---- what comes too late --------------------------------------------------------------------------


def test_stale_reports_are_dropped_at_the_door() -> None:
    core = scheduler({"a": [], "b": ["a"]})
    core.handle(RunStarted(0.0))
    core.handle(AttemptSucceeded(1.0, 0, 1))
    stale: list[Reported] = [
        AttemptSucceeded(2.0, 0, 1),
        failed(2.0, 0, 1),
        AttemptCancelled(2.0, 0, 1),
        AttemptSucceeded(2.0, 0, 2),
        AttemptSucceeded(2.0, 1, 77),
        TimerFired(2.0, 1),
    ]
    for report in stale:
        assert core.handle(report) == []
    assert core.handle(*stale, AttemptSucceeded(2.0, 1, 2), *stale) == [
        AttemptSucceeded(2.0, 1, 2),
        TaskSucceeded(2.0, 1),
        RunFinished(2.0, "succeeded"),
    ]
    assert core.handle(*stale, StopRequested(3.0, "SIGINT")) == []


def test_a_report_that_no_scheduler_takes_is_a_bug() -> None:
    with pytest.raises(KeyError):
        scheduler("a").handle(TaskSucceeded(0.0, 0))  # type: ignore[arg-type]


# ---- whatever happens -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(300))
def test_whatever_happens_a_run_ends_and_settles_every_task_once(seed: int) -> None:
    run = chaotic_run(seed)
    story, state = run.story, run.scheduler.state
    settling = (TaskSucceeded, TaskFailed, TaskSkipped, TaskBlocked, TaskCancelled)
    settled = Counter(event.task for event in story if isinstance(event, settling))
    assert settled == dict.fromkeys(range(len(run.scenario.graph)), 1)
    assert [type(event) for event in story].count(RunFinished) == 1
    assert isinstance(story[-1], RunFinished)
    assert all(earlier.at <= later.at for earlier, later in itertools.pairwise(story))
    assert (state.running, state.timers, state.released) == ({}, {}, [])
    assert not any(run.scheduler._queues)
    stop = next((i for i, event in enumerate(story) if isinstance(event, StopRequested)), len(story))
    assert starts(story[stop:]) == []


@pytest.mark.parametrize("seed", range(0, 300, 3))
def test_whatever_happens_workers_and_attempts_keep_to_their_bounds(seed: int) -> None:
    run = chaotic_run(seed)
    held: dict[int, AttemptStarted] = {}
    failures: Counter[tuple[int, int]] = Counter()
    for event in run.story:
        if isinstance(event, AttemptStarted) and event.pool != CONTROL:
            assert (event.pool, event.worker) not in {(other.pool, other.worker) for other in held.values()}
            held[event.attempt] = event
            size = run.scenario.pools[event.pool].size
            assert not size or sum(other.pool == event.pool for other in held.values()) <= size
            assert not run.scenario.workers or len(held) <= run.scenario.workers
            assert event.pool == run.scenario.specs[event.task].pools[event.candidate]
        elif isinstance(event, AttemptSucceeded | AttemptFailed | AttemptCancelled) and event.attempt in held:
            begun = held.pop(event.attempt)
            if isinstance(event, AttemptFailed) and event.kind is not RATE_LIMIT:
                failures[event.task, begun.candidate] += 1
    for (task, _), count in failures.items():
        assert count <= run.scenario.specs[task].retry.max_attempts


@pytest.mark.parametrize("seed", range(0, 300, 3))
def test_whatever_happens_no_task_starts_against_its_rule(seed: int) -> None:
    run = chaotic_run(seed)
    graph, specs, state = run.scenario.graph, run.scenario.specs, run.scheduler.state
    begun = set(starts(run.story))
    for task, deps in enumerate(graph.dependencies):
        verdict = judge(specs[task].rule, [state.status[d] for d in deps])
        if task in begun:
            assert verdict == "run"
        elif state.status[task] != Status.CANCELLED:
            assert state.status[task] == {"skip": Status.SKIPPED, "block": Status.BLOCKED}[verdict]
        assert state.status[task] in SETTLED


@pytest.mark.parametrize("seed", range(0, 300, 10))
def test_the_same_reports_and_seed_give_the_same_story(seed: int) -> None:
    assert chaotic_run(seed).story == chaotic_run(seed).story


def test_chaos_reaches_every_status_and_every_cause_to_wait() -> None:
    statuses: set[int] = set()
    causes: set[str] = set()
    finished: set[str] = set()
    stale = 0
    for seed in range(100):
        run = chaotic_run(seed)
        statuses |= set(run.scheduler.state.status)
        causes |= {event.cause for event in run.story if isinstance(event, TimerSet)}
        finished.add(run.scheduler.state.finished)
        stale += run.stale
    assert statuses == set(range(FIRST_SETTLED, len(Status)))
    assert (causes, finished) == ({"retry", "rate_limit", "fallback"}, {"succeeded", "failed", "stopped"})
    assert stale > 100


# ---- many -----------------------------------------------------------------------------------------


class Counted(float):
    """A priority that counts how often it is compared."""

    compared = 0

    def __neg__(self) -> Counted:
        return Counted(-float(self))

    def __lt__(self, other: float) -> bool:
        Counted.compared += 1
        return float(self) < float(other)

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return float(self) == other

    __hash__ = float.__hash__


def test_100_000_ready_tasks_are_chosen_in_logarithmic_time() -> None:
    count = 100_000
    dice = Random(1)
    graph = Graph()
    for task in range(count):
        graph.add(str(task))
    ranks = [Counted(dice.random()) for _ in range(count)]
    core = Scheduler(graph, [CALL] * count, [PoolSpec("p", 1)], ranks)
    core.handle(RunStarted(0.0))
    assert Counted.compared <= 8 * count
    best = sorted(range(count), key=lambda t: -float(ranks[t]))[:1001]
    for attempt, task in enumerate(best[:-1], 1):
        Counted.compared = 0
        assert starts(core.handle(AttemptSucceeded(0.0, task, attempt))) == [best[attempt]]
        assert Counted.compared <= 4 * log2(count)


def test_a_storm_of_cancels_over_20_000_waiting_tasks_is_linear() -> None:
    count = 20_000
    graph = Graph()
    for task in range(count):
        graph.add(str(task))
    core = Scheduler(graph, [CALL] * count, [PoolSpec("p")], [0.0] * count)
    core.handle(RunStarted(0.0))
    core.handle(*(failed(1.0, t, t + 1) for t in range(count)))
    waiting = core.state.timers
    assert len(waiting) == count
    assert len(core.handle(StopRequested(1.0, "SIGINT"))) == count + 2
    assert core.state.timers is waiting
    assert waiting == {}


def test_a_fan_in_of_100_000_is_judged_once() -> None:
    count = 100_000
    graph = Graph()
    for task in range(count):
        graph.add(str(task))
    graph.add("end", range(count))
    core = Scheduler(graph, [CALL] * (count + 1), [PoolSpec("p")], [0.0] * (count + 1))
    core.handle(RunStarted(0.0))
    decided = core.handle(*(AttemptSucceeded(1.0, t, t + 1) for t in range(count)))
    assert len(decided) == 2 * count + 1
    assert decided[-1] == started(1.0, count, count + 1)
