from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf, log2, nan
from random import Random

import pytest
from chaos import chaotic_run

from llmflow.errors import FailureKind
from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CancelRequested,
    Event,
    Reported,
    RunFinished,
    RunStarted,
    StopRequested,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
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
from llmflow.scheduling.tasks import RATE_LIMIT_PATIENCE, STEPS_AHEAD, RetryPolicy, TaskSpec

CALL = TaskSpec(pools=(0,))
SERVER, RATE_LIMIT, AUTH, REFUSAL = (
    FailureKind.SERVER,
    FailureKind.RATE_LIMIT,
    FailureKind.AUTH,
    FailureKind.REFUSAL,
)


def scheduler(
    edges: Mapping[str, Sequence[str]] | str,
    specs: Mapping[str, TaskSpec] | TaskSpec = CALL,
    *,
    pools: Sequence[PoolSpec] = (PoolSpec("p"),),
    priorities: Sequence[float] | None = None,
    workers: int = 0,
    fail_fast: bool = False,
) -> Scheduler:
    """`edges` as text: tasks that depend on nothing, one letter each."""
    graph = Graph.of({name: [] for name in edges} if isinstance(edges, str) else edges)
    chosen = [specs if isinstance(specs, TaskSpec) else specs.get(name, CALL) for name in graph.names]
    ranks = [0.0] * len(graph) if priorities is None else priorities
    return Scheduler(graph, chosen, pools, ranks, workers=workers, fail_fast=fail_fast)


def started(
    at: float,
    task: int,
    attempt: int,
    worker: int = 0,
    *,
    number: int = 1,
    pool: int = 0,
    endpoint: int = 0,
    candidate: int = 0,
) -> AttemptStarted:
    return AttemptStarted(at, task, attempt, number, pool, endpoint, worker, candidate)


def starts(events: Sequence[Event]) -> list[int]:
    return [event.task for event in events if isinstance(event, AttemptStarted)]


def failed(
    at: float,
    task: int,
    attempt: int,
    kind: FailureKind = SERVER,
    *,
    retry_after: float | None = None,
    retryable: bool = True,
) -> AttemptFailed:
    return AttemptFailed(at, task, attempt, kind, "no", retry_after, retryable)


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


# ---- failures -------------------------------------------------------------------------------------


def test_a_retry_frees_its_worker_while_it_waits() -> None:
    core = scheduler("ab", {"a": TaskSpec(pools=(0,), retry=RetryPolicy(jitter=False))}, pools=[PoolSpec("p", 1)])
    core.handle(RunStarted(0.0))
    assert core.handle(failed(3.0, 0, 1)) == [
        failed(3.0, 0, 1),
        TimerSet(3.0, 1, 0, 4.0, "retry"),
        started(3.0, 1, 2),
    ]
    assert core.handle(TimerFired(4.0, 1)) == [TimerFired(4.0, 1)]
    assert core.handle(AttemptSucceeded(5.0, 1, 2))[2:] == [started(5.0, 0, 3, number=2)]


def delays(
    retry: RetryPolicy, kind: FailureKind = SERVER, count: int = 100, *, retry_after: float | None = None
) -> list[float]:
    """The waits of a task that fails again and again, until it gives up or `count` times."""
    core = scheduler("a", TaskSpec(pools=(0,), retry=retry))
    core.handle(RunStarted(0.0))
    waits: list[float] = []
    while len(waits) < count:
        event = core.handle(failed(0.0, 0, len(waits) + 1, kind, retry_after=retry_after))[1]
        if isinstance(event, TaskFailed):
            break
        assert isinstance(event, TimerSet)
        waits.append(event.due)
        core.handle(TimerFired(0.0, event.timer))
    return waits


def test_backoff_doubles_up_to_its_bound_and_attempts_run_out() -> None:
    assert delays(RetryPolicy(6, initial=1.0, factor=2.0, max=5.0, jitter=False)) == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert delays(RetryPolicy(1)) == []


def test_jitter_stays_between_nothing_and_the_bound_and_is_the_same_again() -> None:
    policy = RetryPolicy(30, max=5.0)
    waits = delays(policy)
    assert len(set(waits)) == 29
    assert all(0.0 <= wait <= min(5.0, 2.0**i) for i, wait in enumerate(waits))
    assert waits == delays(policy)


@pytest.mark.parametrize("factor", [1e6, 1e300, inf])
def test_a_huge_factor_meets_the_bound_and_not_an_overflow(factor: float) -> None:
    assert RetryPolicy(factor=factor, jitter=False).delay(500, Random(0)) == 60.0


def test_retry_after_wins_over_the_backoff() -> None:
    assert delays(RetryPolicy(3, jitter=False), retry_after=17.0) == [17.0, 17.0]
    assert delays(RetryPolicy(3, jitter=False), retry_after=0.0) == [0.0, 0.0]


def test_retry_after_beyond_patience_is_not_waited_for() -> None:
    assert delays(RetryPolicy(3), retry_after=RATE_LIMIT_PATIENCE + 1) == []
    assert delays(RetryPolicy(3), retry_after=inf) == []


def test_nonsense_in_retry_after_leaves_our_own_backoff() -> None:
    assert delays(RetryPolicy(3, jitter=False), retry_after=nan) == [1.0, 2.0]
    assert delays(RetryPolicy(3, jitter=False), retry_after=-5.0) == [0.0, 0.0]


def test_a_rate_limit_uses_up_no_attempt_but_patience_runs_out() -> None:
    waits = delays(RetryPolicy(1, jitter=False), RATE_LIMIT)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert delays(RetryPolicy(1), RATE_LIMIT, retry_after=100.0) == [100.0] * 3
    assert delays(RetryPolicy(1), RATE_LIMIT, retry_after=301.0) == []
    assert delays(RetryPolicy(1), RATE_LIMIT, retry_after=inf) == []


@pytest.mark.parametrize("told", [0.0, -1.0, -inf, nan])
def test_a_rate_limit_that_says_try_at_once_gets_our_backoff(told: float) -> None:
    assert delays(RetryPolicy(1, jitter=False), RATE_LIMIT, retry_after=told) == delays(
        RetryPolicy(1, jitter=False), RATE_LIMIT
    )


@pytest.mark.parametrize("told", [None, 0.0, 1e-9])
def test_a_rate_limit_is_never_asked_without_end(told: float | None) -> None:
    waits = delays(RetryPolicy(1, initial=0.0), RATE_LIMIT, 10_000, retry_after=told)
    assert 290.0 < sum(waits) <= RATE_LIMIT_PATIENCE
    assert min(waits) >= 0.05


def test_a_rate_limit_between_failures_costs_neither() -> None:
    core = scheduler("a", TaskSpec(pools=(0,), retry=RetryPolicy(2, jitter=False)))
    core.handle(RunStarted(0.0))
    assert core.handle(failed(0.0, 0, 1, RATE_LIMIT))[1:] == [TimerSet(0.0, 1, 0, 1.0, "rate_limit")]
    core.handle(TimerFired(1.0, 1))
    assert core.handle(failed(1.0, 0, 2))[1:] == [TimerSet(1.0, 2, 0, 2.0, "retry")]
    core.handle(TimerFired(2.0, 2))
    assert core.handle(failed(2.0, 0, 3, RATE_LIMIT))[1:] == [TimerSet(2.0, 3, 0, 4.0, "rate_limit")]
    core.handle(TimerFired(4.0, 3))
    assert core.handle(failed(4.0, 0, 4))[1:] == [TaskFailed(4.0, 0, SERVER, "no"), RunFinished(4.0, "failed")]


@pytest.mark.parametrize(
    ("kind", "said"),
    [(REFUSAL, {}), (SERVER, {"retryable": False}), (FailureKind.TIMEOUT, {})],
    ids=["not retryable by kind", "not retryable by word", "not among those the author wrote"],
)
def test_some_failures_are_final(kind: FailureKind, said: dict[str, bool]) -> None:
    core = scheduler("a", TaskSpec(pools=(0,), retry=RetryPolicy(on=frozenset({SERVER}))))
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, kind, **said)) == [
        failed(1.0, 0, 1, kind, **said),
        TaskFailed(1.0, 0, kind, "no"),
        RunFinished(1.0, "failed"),
    ]


def test_used_up_attempts_send_a_task_to_its_next_model_with_fresh_ones() -> None:
    core = scheduler(
        "a",
        TaskSpec(pools=(0, 1), retry=RetryPolicy(2, jitter=False)),
        pools=[PoolSpec("p"), PoolSpec("q")],
    )
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1))[1:] == [TimerSet(1.0, 1, 0, 2.0, "retry")]
    assert core.handle(TimerFired(2.0, 1))[1:] == [started(2.0, 0, 2, number=2)]
    assert core.handle(failed(3.0, 0, 2))[1:] == [TimerSet(3.0, 2, 0, 3.0, "fallback")]
    assert core.handle(TimerFired(3.0, 2))[1:] == [started(3.0, 0, 3, number=3, pool=1, candidate=1)]
    assert core.handle(failed(4.0, 0, 3))[1:] == [TimerSet(4.0, 3, 0, 5.0, "retry")]
    assert core.handle(TimerFired(5.0, 3))[1:] == [started(5.0, 0, 4, number=4, pool=1, candidate=1)]
    assert core.handle(failed(6.0, 0, 4))[1:] == [TaskFailed(6.0, 0, SERVER, "no"), RunFinished(6.0, "failed")]


@pytest.mark.parametrize(
    ("kind", "retryable", "goes_on"),
    [
        (AUTH, False, True),
        (FailureKind.QUOTA, False, True),
        (FailureKind.NOT_FOUND, False, True),
        (FailureKind.CONTEXT_OVERFLOW, False, True),
        (FailureKind.NETWORK, False, True),
        (FailureKind.OVERLOADED, False, True),
        (REFUSAL, False, False),
        (FailureKind.INVALID_OUTPUT, False, False),
        (FailureKind.TRUNCATED, False, False),
        (FailureKind.INVALID_REQUEST, False, False),
        (FailureKind.TEMPLATE, False, False),
    ],
)
def test_which_failures_go_to_the_next_model_at_once(kind: FailureKind, retryable: bool, goes_on: bool) -> None:
    core = scheduler("a", TaskSpec(pools=(0, 0)))
    core.handle(RunStarted(0.0))
    decided = core.handle(failed(1.0, 0, 1, kind, retryable=retryable))[1:]
    if goes_on:
        assert decided == [TimerSet(1.0, 1, 0, 1.0, "fallback")]
    else:
        assert decided == [TaskFailed(1.0, 0, kind, "no"), RunFinished(1.0, "failed")]


def test_a_model_that_stays_rate_limited_gives_way_to_the_next() -> None:
    core = scheduler("a", TaskSpec(pools=(0, 0)))
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, RATE_LIMIT, retry_after=1000.0))[1:] == [TimerSet(1.0, 1, 0, 1.0, "fallback")]


def test_a_failure_blocks_all_that_needs_it_and_nothing_else() -> None:
    core = scheduler({"bad": [], "good": [], "x": ["bad"], "y": ["x"], "z": ["good"], "join": ["good", "y"]})
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, AUTH)) == [
        failed(1.0, 0, 1, AUTH),
        TaskFailed(1.0, 0, AUTH, "no"),
        TaskBlocked(1.0, 2, 0),
        TaskBlocked(1.0, 3, 2),
    ]
    assert core.handle(AttemptSucceeded(2.0, 1, 2))[1:] == [
        TaskSucceeded(2.0, 1),
        TaskBlocked(2.0, 5, 3),
        started(2.0, 4, 3),
    ]
    assert core.handle(AttemptSucceeded(3.0, 4, 3))[-1] == RunFinished(3.0, "failed")


def test_an_accepted_failure_counts_as_a_success() -> None:
    core = scheduler({"a": [], "b": ["a"]}, {"a": TaskSpec(pools=(0,), accepts_failure=True)}, fail_fast=True)
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, AUTH))[1:] == [TaskFailed(1.0, 0, AUTH, "no", True), started(1.0, 1, 2)]
    assert core.handle(AttemptSucceeded(2.0, 1, 2))[-1] == RunFinished(2.0, "succeeded")


def test_a_task_may_wait_for_a_failure() -> None:
    core = scheduler({"a": [], "b": ["a"]}, {"b": TaskSpec(pools=(0,), rule="one_failed")})
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, AUTH))[2:] == [started(1.0, 1, 2)]
    assert core.handle(AttemptSucceeded(2.0, 1, 2))[-1] == RunFinished(2.0, "failed")


def test_a_rule_is_asked_only_when_all_dependencies_have_settled() -> None:
    core = scheduler({"a": [], "b": [], "c": ["a", "b"]}, {"c": TaskSpec(pools=(0,), rule="one_success")})
    core.handle(RunStarted(0.0))
    assert core.handle(AttemptSucceeded(1.0, 0, 1)) == [AttemptSucceeded(1.0, 0, 1), TaskSucceeded(1.0, 0)]
    assert core.handle(failed(2.0, 1, 2, AUTH))[2:] == [started(2.0, 2, 3)]


# ---- stopping -------------------------------------------------------------------------------------


def test_fail_fast_cancels_what_has_not_begun_and_lets_the_rest_end() -> None:
    core = scheduler({"a": [], "b": [], "c": [], "d": ["a"], "e": ["b"]}, pools=[PoolSpec("p", 2)], fail_fast=True)
    core.handle(RunStarted(0.0))
    assert core.handle(failed(1.0, 0, 1, AUTH))[1:] == [
        TaskFailed(1.0, 0, AUTH, "no"),
        TaskCancelled(1.0, 2, "fail_fast"),
        TaskCancelled(1.0, 3, "fail_fast"),
        TaskCancelled(1.0, 4, "fail_fast"),
    ]
    assert core.handle(AttemptSucceeded(2.0, 1, 2)) == [
        AttemptSucceeded(2.0, 1, 2),
        TaskSucceeded(2.0, 1),
        RunFinished(2.0, "failed"),
    ]


def test_a_stop_drains_and_a_second_one_cancels() -> None:
    core = scheduler({"a": [], "b": [], "c": ["a"]})
    core.handle(RunStarted(0.0))
    assert core.handle(StopRequested(1.0, "SIGINT")) == [StopRequested(1.0, "SIGINT"), TaskCancelled(1.0, 2, "SIGINT")]
    assert core.handle(AttemptSucceeded(2.0, 0, 1)) == [AttemptSucceeded(2.0, 0, 1), TaskSucceeded(2.0, 0)]
    assert core.handle(StopRequested(3.0, "SIGTERM", "cancel")) == [
        StopRequested(3.0, "SIGTERM", "cancel"),
        CancelRequested(3.0, 1, 2),
    ]
    assert core.handle(AttemptCancelled(3.0, 1, 2)) == [
        AttemptCancelled(3.0, 1, 2),
        TaskCancelled(3.0, 1, "SIGINT"),
        RunFinished(3.0, "stopped"),
    ]


def test_a_running_attempt_is_asked_to_end_only_once() -> None:
    core = scheduler("a")
    core.handle(RunStarted(0.0))
    core.handle(StopRequested(1.0, "SIGINT", "cancel"))
    assert core.handle(StopRequested(2.0, "SIGINT", "cancel")) == [StopRequested(2.0, "SIGINT", "cancel")]


def test_a_success_after_a_request_to_cancel_is_accepted() -> None:
    core = scheduler("a")
    core.handle(RunStarted(0.0))
    core.handle(StopRequested(1.0, "SIGINT", "cancel"))
    assert core.handle(AttemptSucceeded(1.0, 0, 1)) == [
        AttemptSucceeded(1.0, 0, 1),
        TaskSucceeded(1.0, 0),
        RunFinished(1.0, "stopped"),
    ]


def test_after_a_stop_nothing_is_tried_again_and_nothing_asked_again() -> None:
    core = scheduler("abc", TaskSpec(pools=(0, 0), conditional=False))
    core.handle(RunStarted(0.0))
    core.handle(StopRequested(1.0, "SIGINT"))
    assert core.handle(failed(2.0, 0, 1)) == [failed(2.0, 0, 1), TaskFailed(2.0, 0, SERVER, "no")]
    assert core.handle(failed(2.0, 1, 2, AUTH)) == [failed(2.0, 1, 2, AUTH), TaskFailed(2.0, 1, AUTH, "no")]
    assert core.handle(AttemptSucceeded(2.0, 2, 3, "again")) == [
        AttemptSucceeded(2.0, 2, 3, "again"),
        TaskCancelled(2.0, 2, "SIGINT"),
        RunFinished(2.0, "stopped"),
    ]


def test_a_stop_cancels_waiting_retries_and_their_timers_are_stale() -> None:
    core = scheduler("ab")
    core.handle(RunStarted(0.0))
    core.handle(failed(1.0, 0, 1))
    assert core.handle(StopRequested(1.5, "SIGINT"))[1:] == [TaskCancelled(1.5, 0, "SIGINT")]
    assert core.handle(TimerFired(2.0, 1)) == []
    assert core.handle(AttemptSucceeded(3.0, 1, 2))[-1] == RunFinished(3.0, "stopped")


def test_a_stop_in_the_tick_of_the_start_leaves_nothing_begun() -> None:
    assert scheduler("ab").handle(RunStarted(0.0), StopRequested(0.0, "deadline")) == [
        RunStarted(0.0),
        StopRequested(0.0, "deadline"),
        TaskCancelled(0.0, 0, "deadline"),
        TaskCancelled(0.0, 1, "deadline"),
        RunFinished(0.0, "stopped"),
    ]


def test_a_stop_by_hand_after_fail_fast_is_still_a_failure() -> None:
    core = scheduler("ab", fail_fast=True)
    core.handle(RunStarted(0.0))
    core.handle(failed(1.0, 0, 1, AUTH))
    core.handle(StopRequested(2.0, "SIGINT", "cancel"))
    assert core.handle(AttemptCancelled(2.0, 1, 2))[1:] == [
        TaskCancelled(2.0, 1, "fail_fast"),
        RunFinished(2.0, "failed"),
    ]


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
