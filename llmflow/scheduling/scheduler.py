"""The scheduler: a pure state machine that takes what happened and gives what follows.

`handle` is its one door. It sees no clock (time is on the events), no prompt, no provider and no
unseeded dice, so the runtime and the simulator drive the very same code. Choosing is greedy list
scheduling (Graham 1966): a free worker takes the ready task with the highest priority of its pool;
one heap per pool makes a choice O(log ready).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import isnan
from random import Random
from typing import Any

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.pools import CONTROL, Pool, PoolSpec
from llmflow.scheduling.rules import judge
from llmflow.scheduling.state import BLOCKED, CANCELLED, FAILED, FIRST_SETTLED, RUNNING, SUCCEEDED, RunState
from llmflow.scheduling.tasks import FALLBACK, RATE_LIMIT_PATIENCE, SHORTEST_REJECTION, TaskSpec


class Scheduler:
    """Decides for one run. `priorities`: one number per task, higher goes first (a policy's).

    `workers` caps the run over all pools, 0 = no cap. `seed` is for the jitter of retries alone.
    """

    def __init__(
        self,
        graph: Graph,
        specs: Sequence[TaskSpec],
        pools: Sequence[PoolSpec],
        priorities: Sequence[float],
        *,
        workers: int = 0,
        fail_fast: bool = False,
        seed: int = 0,
    ) -> None:
        self.graph = graph
        self.specs = specs
        self.state = RunState(graph)
        self.workers = workers
        self.fail_fast = fail_fast
        self.stopping = ""
        self._pools = [Pool(spec) for spec in pools]
        self._queues: list[list[tuple[Any, int, int]]] = [[] for _ in pools]
        self._ranked_by_author = any(spec.priority for spec in specs)
        self._keys = self._order(priorities)
        self._seed = seed
        self._entries = 0
        """Counts entries into queues: the tie-break, and what fifo goes by."""
        self._attempts = 0
        self._timers = 0
        self._holding = 0
        """Workers held over all pools."""
        self._candidate: dict[int, int] = {}
        self._failures: dict[int, int] = {}
        self._rejections: dict[int, tuple[int, float]] = {}
        """Task → (times a rate limit turned it away, seconds it waited for that)."""
        self._cancelling = False
        """The running attempts have been asked to end: once, a second request would break into their clean-up."""
        self._out: list[ev.Event] = []
        self._on: dict[type[Any], Callable[[Any], None]] = {
            ev.RunStarted: self._fold,
            ev.AttemptSucceeded: self._attempt_succeeded,
            ev.AttemptFailed: self._attempt_failed,
            ev.AttemptCancelled: self._attempt_cancelled,
            ev.TimerFired: self._timer_fired,
            ev.StopRequested: self._stop_requested,
        }

    def handle(self, *events: ev.Reported) -> list[ev.Event]:
        """Take what happened, give the story's next events: the accepted reports, then what is decided.

        Several reports of one tick are all taken in before anything is chosen. Reports about
        attempts and timers that are no longer open are dropped.
        """
        out = self._out = []
        for event in events:
            self._on[type(event)](event)
            if self.state.released:
                self._release(event.at)
        at = events[-1].at
        if not self.stopping and (self._holding < self.workers or not self.workers):
            self._dispatch(at)
        state = self.state
        if not state.unsettled and not state.running and not state.finished:
            self._decide(ev.RunFinished(at, self._outcome()))
        elif not state.running and not state.timers and not state.finished:
            names = [self.graph.names[t] for t, s in enumerate(state.status) if s < FIRST_SETTLED][:5]
            raise AssertionError(f"the run cannot go on: {state.unsettled} tasks wait for nothing: {names}")
        return out

    def rerank(self, priorities: Sequence[float]) -> None:
        """New priorities for all tasks; queued ones are ordered anew. O(tasks)."""
        self._keys = self._order(priorities)
        for queue in self._queues:
            queue[:] = [(self._keys[task], entry, task) for _, entry, task in queue]
            heapify(queue)

    # ---- reports ----------------------------------------------------------------------------------

    def _fold(self, event: ev.Event) -> None:
        self._out.append(event)
        self.state.apply(event)

    _decide = _fold

    def _end(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled) -> bool:
        """Fold the end of an attempt and free its worker; False if the report is stale."""
        running = self.state.running.get(event.attempt)
        if running is None or running.task != event.task:
            return False
        self._out.append(event)
        self.state.apply(event)
        if running.pool != CONTROL:
            self._pools[running.pool].release(running.endpoint, running.worker)
            self._holding -= 1
        return True

    def _attempt_succeeded(self, event: ev.AttemptSucceeded) -> None:
        if not self._end(event):
            return
        outcome, at, task = event.outcome, event.at, event.task
        if outcome == "done":
            self._decide(ev.TaskSucceeded(at, task))
        elif outcome == "skip":
            self._decide(ev.TaskSkipped(at, task))
        elif self.stopping:
            self._decide(ev.TaskCancelled(at, task, self.stopping))
        elif outcome == "proceed" or outcome == "again":
            self._enqueue(task, at, proceed=True)
        else:
            raise ValueError(f"an attempt cannot end as {outcome!r}")

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        if not self._end(event):
            return
        task, at, kind = event.task, event.at, event.kind
        spec = self.specs[task]
        again = event.retryable and kind in spec.retry.on and not self.stopping
        delay = self._backoff(event, spec) if again else None
        if delay is not None:
            cause = "rate_limit" if kind is FailureKind.RATE_LIMIT else "retry"
            self._set_timer(task, at, at + delay, cause)
        elif kind in FALLBACK and not self.stopping and self._next_candidate(task):
            self._set_timer(task, at, at, "fallback")
        else:
            self._decide(ev.TaskFailed(at, task, kind, event.detail, spec.accepts_failure))
            if self.fail_fast and not spec.accepts_failure and not self.stopping:
                self._stop(at, "fail_fast")

    def _attempt_cancelled(self, event: ev.AttemptCancelled) -> None:
        if self._end(event):
            self._decide(ev.TaskCancelled(event.at, event.task, self.stopping or event.reason))

    def _timer_fired(self, event: ev.TimerFired) -> None:
        task = self.state.timers.get(event.timer)
        if task is None:
            return
        self._fold(event)
        self._enqueue(task, event.at, proceed=True)

    def _stop_requested(self, event: ev.StopRequested) -> None:
        if self.state.finished:
            return
        self._fold(event)
        if not self.stopping:
            self._stop(event.at, event.reason)
        if event.mode == "cancel" and not self._cancelling:
            self._cancelling = True
            for attempt, running in list(self.state.running.items()):
                self._decide(ev.CancelRequested(event.at, running.task, attempt))

    # ---- decisions --------------------------------------------------------------------------------

    def _stop(self, at: float, reason: str) -> None:
        """Nothing new starts: whatever does not run now is cancelled."""
        self.stopping = reason
        for queue in self._queues:
            queue.clear()
        status = self.state.status
        for task in range(len(status)):
            if status[task] < FIRST_SETTLED and status[task] != RUNNING:
                self._decide(ev.TaskCancelled(at, task, reason))
        self.state.released.clear()

    def _release(self, at: float) -> None:
        """Ask the rule of every task whose last dependency has just settled; settling may release more."""
        state, specs = self.state, self.specs
        released, status = state.released, state.status
        dependencies = self.graph.dependencies
        while released:
            batch = released[:]
            released.clear()
            for task in batch:
                deps = dependencies[task]
                if not deps:
                    verdict = judge(specs[task].rule, ())
                elif len(deps) == 1 and status[deps[0]] == SUCCEEDED and specs[task].rule == "all_success":
                    verdict = "run"
                else:
                    verdict = judge(specs[task].rule, [status[d] for d in deps])
                if verdict == "run":
                    self._enqueue(task, at)
                elif verdict == "skip":
                    self._decide(ev.TaskSkipped(at, task))
                else:
                    cause = next(d for d in deps if status[d] in (BLOCKED, FAILED, CANCELLED))
                    self._decide(ev.TaskBlocked(at, task, cause))

    def _enqueue(self, task: int, at: float, *, proceed: bool = False) -> None:
        """Put a ready task into its pool's queue; steps that need no worker start at once."""
        spec = self.specs[task]
        pool = spec.pools[self._candidate.get(task, 0) if self._candidate else 0]
        if pool == CONTROL or (spec.conditional and not proceed):
            self._start(task, at, CONTROL, 0, 0, condition=pool != CONTROL)
        else:
            self._entries += 1
            heappush(self._queues[pool], (self._keys[task], self._entries, task))

    def _dispatch(self, at: float) -> None:
        """Start ready tasks while there is room, the most urgent head of all pools first."""
        pools, queues, cap = self._pools, self._queues, self.workers
        while True:
            best = -1
            head: tuple[Any, int, int] | None = None
            for i, queue in enumerate(queues):
                if queue and (head is None or queue[0] < head) and pools[i].has_room():
                    best, head = i, queue[0]
            if head is None:
                return
            task = heappop(queues[best])[2]
            endpoint, worker = pools[best].acquire()
            self._holding += 1
            self._start(task, at, best, endpoint, worker)
            if cap and self._holding >= cap:
                return

    def _start(self, task: int, at: float, pool: int, endpoint: int, worker: int, *, condition: bool = False) -> None:
        self._attempts += 1
        number = 0 if condition else self.state.attempts[task] + 1
        candidate = self._candidate.get(task, 0) if self._candidate else 0
        self._decide(ev.AttemptStarted(at, task, self._attempts, number, pool, endpoint, worker, candidate))

    def _backoff(self, event: ev.AttemptFailed, spec: TaskSpec) -> float | None:
        """Seconds until the next try; None if there is none left with this candidate.

        `retry_after` is someone else's word: nothing and nonsense (NaN) leave us our own backoff, and
        a rate limit that says 0 or less gets it too, or it would be asked again without end.
        """
        task, told = event.task, event.retry_after
        if told is not None and isnan(told):
            told = None
        dice = Random(f"{self._seed}:{task}:{event.attempt}")
        if event.kind is FailureKind.RATE_LIMIT:
            times, waited = self._rejections.get(task, (0, 0.0))
            delay = max(
                told if told is not None and told > 0 else spec.retry.delay(times + 1, dice), SHORTEST_REJECTION
            )
            if waited + delay > RATE_LIMIT_PATIENCE:
                return None
            self._rejections[task] = (times + 1, waited + delay)
            return delay
        failures = self._failures.get(task, 0) + 1
        self._failures[task] = failures
        if failures >= spec.retry.max_attempts:
            return None
        if told is not None:
            return max(0.0, told) if told <= RATE_LIMIT_PATIENCE else None
        return spec.retry.delay(failures, dice)

    def _next_candidate(self, task: int) -> bool:
        candidate = self._candidate.get(task, 0) + 1
        if candidate >= len(self.specs[task].pools):
            return False
        self._candidate[task] = candidate
        self._failures.pop(task, None)
        return True

    def _set_timer(self, task: int, at: float, due: float, cause: str) -> None:
        self._timers += 1
        self._decide(ev.TimerSet(at, self._timers, task, due, cause))

    def _order(self, priorities: Sequence[float]) -> list[Any]:
        """Heap keys: smaller goes first. The author's priority outranks the policy's."""
        if self._ranked_by_author:
            return [(-spec.priority, -p) for spec, p in zip(self.specs, priorities, strict=True)]
        return [-p for p in priorities]

    def _outcome(self) -> str:
        counts = self.state.counts
        if self.stopping and self.stopping != "fail_fast":
            return "stopped"
        return "failed" if counts[FAILED] or counts[BLOCKED] else "stopped" if counts[CANCELLED] else "succeeded"
