"""What the scheduler makes of failures, and how a run is stopped."""

from __future__ import annotations

from math import inf, nan
from random import Random

import pytest
from small_scheduler import AUTH, RATE_LIMIT, REFUSAL, SERVER, failed, scheduler, started

from llmflow.errors import FailureKind
from llmflow.scheduling.events import (
    AttemptCancelled,
    AttemptSucceeded,
    CancelRequested,
    RunFinished,
    RunStarted,
    StopRequested,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
    TaskSucceeded,
    TimerFired,
    TimerSet,
)
from llmflow.scheduling.pools import PoolSpec
from llmflow.scheduling.tasks import RATE_LIMIT_PATIENCE, RetryPolicy, TaskSpec

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
