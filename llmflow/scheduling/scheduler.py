"""The scheduler: a pure state machine that takes what happened and gives what follows.

`handle` is its one door. It sees no clock (time is on the events), no prompt, no provider and no
unseeded dice, so the runtime and the simulator drive the very same code. Choosing is greedy list
scheduling (Graham 1966): a free worker takes the ready task with the highest priority of its pool;
one heap per pool makes a choice O(log ready).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from math import inf, isnan
from typing import Any

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.graph import Graph
from llmflow.scheduling.groups import Group, Settling
from llmflow.scheduling.hedging import Hedger, Hedging
from llmflow.scheduling.idling import KEPT, Hold, Idling
from llmflow.scheduling.pools import CONTROL, Pool, PoolSpec
from llmflow.scheduling.retries import Retries
from llmflow.scheduling.rules import judge
from llmflow.scheduling.state import (
    BLOCKED,
    CANCELLED,
    FAILED,
    FIRST_SETTLED,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    RunState,
    new_tuple,
)
from llmflow.scheduling.tasks import FALLBACK, STEPS_AHEAD, TaskSpec


class Scheduler:
    """Decides for one run. `specs` and `priorities` are per stage (`Graph.stages`); higher goes first.

    `workers` caps the run over all pools, 0 = no cap. `seed` is for the jitter of retries alone.
    `hedging`: which calls may be doubled; None = none. `holds`: which tasks are held back on purpose
    (see `idling`); not together with hedging, which would take the worker that is kept free.
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
        hedging: Hedging | None = None,
        holds: Sequence[Hold] = (),
    ) -> None:
        self.graph = graph
        self.specs = specs
        self.state = RunState(graph, [task for task, stage in enumerate(graph.stages) if specs[stage].final])
        self._stages = graph.stages
        self._groups: dict[int, Group] = {}
        """A `foreach` that is under way → its items."""
        self._group_of: dict[int, Group] = {}
        """An unsettled item → its group."""
        self._doubled_items: dict[int, Group] = {}
        """An attempt of a doubled item → its group: the slower one ends when the item has settled already."""
        self._failed = False
        """A task failed that is nobody's inner affair and that its author did not accept."""
        self._cancelled = False
        self.workers = workers
        self.fail_fast = fail_fast
        self.stopping = ""
        self._pools = [Pool(spec) for spec in pools]
        self._queues: list[list[tuple[Any, int, int]]] = [[] for _ in pools]
        self._ranked_by_author = any(spec.priority for spec in specs)
        self._keys = self._order(priorities)
        self._entries = 0
        """Counts entries into queues: the tie-break, and what fifo goes by."""
        self._attempts = 0
        self._timers = 0
        self._holding = 0
        """Workers held over all pools."""
        self._stepped = False
        """A step that holds no worker began since something was last chosen."""
        self._opened: set[int] = set()
        """Each `foreach` that has opened since something was last chosen: its first items are about to come."""
        self._put_off = 0
        """How often in a row the choice has been put off for such steps and items."""
        self._candidate: dict[int, int] = {}
        self._retries = Retries(seed)
        self._asked: set[int] = set()
        """Attempts that have been asked to end: once each, a second request would break into their clean-up."""
        self._hedger: Hedger | None = None
        if hedging is not None and hedging.rules:
            self._hedger = Hedger(hedging, len(pools))
            self._hedger.planned(graph.stages)
        self._idling = Idling(holds) if holds else None
        self._out: list[ev.Event] = []
        self._on: dict[type[Any], Callable[[Any], None]] = {
            ev.RunStarted: self._fold,
            ev.RunResumed: self._fold,
            ev.TasksAdded: self._tasks_added,
            ev.ItemsClosed: self._items_closed,
            ev.ApprovalGiven: self._approval_given,
            ev.AttemptSucceeded: self._attempt_succeeded,
            ev.AttemptFailed: self._attempt_failed,
            ev.AttemptCancelled: self._attempt_cancelled,
            ev.TimerFired: self._timer_fired,
            ev.AlarmRang: self._alarm_rang,
            ev.StopRequested: self._stop_requested,
        }

    def handle(self, *events: ev.Reported) -> list[ev.Event]:
        """Take what happened, give the story's next events: the accepted reports, then what is decided.

        Several reports of one tick are all taken in before anything is chosen. Steps that hold no worker
        (a condition, an answer that is at hand) and the first items of a `foreach` that opens are let
        through first: they may be more urgent than what is ready already. Reports about attempts and
        timers that are no longer open are dropped.
        """
        out = self._out = []
        for event in events:
            self._on[type(event)](event)
            if self._failed and self.fail_fast and not self.stopping:
                self._stop(event.at, "fail_fast")
            if self.state.released:
                self._release(event.at)
                if self._failed and self.fail_fast and not self.stopping:
                    self._stop(event.at, "fail_fast")
        at = events[-1].at
        state = self.state
        if (self._stepped or self._opened) and self._put_off < STEPS_AHEAD:
            self._stepped = False
            self._put_off += 1
        else:
            self._choose(at)
        if not state.running and not state.finished:
            self._end_run(at)
        return out

    def _choose(self, at: float) -> None:
        self._stepped, self._put_off = False, 0
        self._opened.clear()
        if self._holding < self.workers or not self.workers:
            self._dispatch(at)
            if self._hedger is not None and not self.stopping:
                self._hedge(at, self._hedger)

    def rest(self, at: float) -> list[ev.Event]:
        """All reports have been taken in, and what they led to: a run that waits for people alone pauses now.

        Until then more items may come to a `foreach` that is open, and nobody but who adds them can tell. The
        choice that was put off for steps is made, where these have turned out to take their time.
        """
        self._out = []
        state = self.state
        if self._put_off:
            self._choose(at)
        if not state.running and not state.timers and not state.finished and state.unsettled:
            self._pause(at)
        return self._out

    def _end_run(self, at: float) -> None:
        """Nothing runs: the run has finished, or waits for a timer, for more items or for a person."""
        state = self.state
        if not state.unsettled:
            self._decide(ev.RunFinished(at, self._outcome()))
        elif not state.timers and all(group.closed for group in self._groups.values()):
            self._pause(at)

    def _pause(self, at: float) -> None:
        state = self.state
        if not state.held:
            names = [self.graph.names[t] for t, s in enumerate(state.status) if s < FIRST_SETTLED][:5]
            raise AssertionError(f"the run cannot go on: {state.unsettled} tasks wait for nothing: {names}")
        names = [self.graph.names[task] for task in sorted(state.held)]
        self._decide(ev.RunPaused(at, f"waiting for a person's word on {', '.join(names)}"))
        self._decide(ev.RunFinished(at, "paused"))

    def rerank(self, priorities: Sequence[float]) -> None:
        """New priorities for all stages; queued tasks are ordered anew. O(stages + queued)."""
        self._keys = self._order(priorities)
        for queue in self._queues:
            queue[:] = [(self._keys[self._stages[task]], entry, task) for _, entry, task in queue]
            heapify(queue)

    # ---- reports ----------------------------------------------------------------------------------

    def _fold(self, event: ev.Event) -> None:
        self._out.append(event)
        self.state.apply(event)

    _decide = _fold

    def _settle(self, event: Settling) -> None:
        """Fold the end of a task; its group hears of it, and settles with its last item."""
        self._fold(event)
        task = event.task
        if type(event) is ev.TaskSucceeded:
            pass
        elif isinstance(event, ev.TaskFailed):
            self._failed |= not event.accepted and not self.specs[self._stages[task]].inner
        elif isinstance(event, ev.TaskCancelled):
            self._cancelled |= not self.specs[self._stages[task]].inner
        retries = self._retries
        if retries.failures or retries.rejections or self._candidate:
            retries.forget(task)
            self._candidate.pop(task, None)
        if self._group_of:
            group = self._group_of.pop(task, None)
            if group is not None:
                spec = self.specs[self._stages[group.parent]]
                group.settled(event, spec.tolerate)
                self._failed |= self.fail_fast and group.lost and not spec.inner and not spec.accepts_failure
                self._end_group(group, event.at)

    def _end_group(self, group: Group, at: float) -> None:
        if group.is_done and group.parent in self._groups:
            del self._groups[group.parent]
            spec = self.specs[self._stages[group.parent]]
            self._settle(group.end(at, spec.tolerate, spec.accepts_failure, self.stopping))

    def _end(self, event: ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled) -> bool:
        """Fold the end of an attempt and free its worker; False if the report is stale or decides nothing."""
        state = self.state
        running = state.running.get(event.attempt)
        if running is None or running.task != event.task:
            return False
        decides = True
        rivals: Sequence[int] = ()
        if self._hedger is not None:
            self._hedger.ended(event.attempt)
            decides, rivals = state.decides(event), sorted(state.doubled.get(event.task, ()))
        self._out.append(event)
        state.apply(event)
        if running.pool != CONTROL:
            self._pools[running.pool].release(running.endpoint, running.worker)
            self._holding -= 1
            if self._group_of or self._doubled_items:
                self._next_item(self._doubled_items.pop(event.attempt, None) or self._group_of.get(event.task))
        if decides:
            for rival in rivals:
                self._outrun(event, rival)
        return decides

    def _outrun(self, event: ev.Event, rival: int) -> None:
        """The rival is asked to end: another call of the same attempt has answered."""
        if rival in self.state.running and rival not in self._asked:
            assert self._hedger is not None
            self._hedger.ended(rival)
            self._asked.add(rival)
            self._decide(ev.CancelRequested(event.at, self.state.running[rival].task, rival, "outrun"))

    def _next_item(self, group: Group | None) -> None:
        """An item of a capped `foreach` has let go of its worker: the next one may queue for it."""
        if group is not None and group.cap:
            group.holding -= 1
            if group.waiting:
                entry = group.waiting.popleft()
                group.holding += 1
                heappush(self._queues[self._pool_of(entry[2])], entry)

    def _attempt_succeeded(self, event: ev.AttemptSucceeded) -> None:
        if not self._end(event):
            return
        outcome, at, task = event.outcome, event.at, event.task
        if outcome == "done":
            self._settle(new_tuple(ev.TaskSucceeded, (at, task)))
        elif outcome == "skip":
            self._settle(ev.TaskSkipped(at, task))
        elif self.stopping and not self.specs[self._stages[task]].final:
            self._settle(ev.TaskCancelled(at, task, self.stopping))
        elif outcome == "proceed" or outcome == "again":
            if outcome == "again":
                self._retries.start_anew(task)
            self._enqueue(task, at, proceed=True)
        elif outcome == "expand":
            self._groups[task] = Group(task, self.specs[self._stages[task]].item_workers)
            self._opened.add(task)
        elif outcome != "hold":
            raise ValueError(f"an attempt cannot end as {outcome!r}")

    def _attempt_failed(self, event: ev.AttemptFailed) -> None:
        if not self._end(event):
            return
        task, at, kind = event.task, event.at, event.kind
        spec = self.specs[self._stages[task]]
        if self._idling is not None:
            self._let_go(self._idling.give_up(), at)
        again = event.retryable and kind in spec.retry.on and not self.stopping
        delay = self._retries.delay(event, spec) if again else None
        if delay is not None:
            cause = "rate_limit" if kind is FailureKind.RATE_LIMIT else "retry"
            self._set_timer(task, at, at + delay, cause)
        elif kind in FALLBACK and not self.stopping and self._next_candidate(task):
            self._set_timer(task, at, at, "fallback")
        else:
            self._settle(ev.TaskFailed(at, task, kind, event.detail, spec.accepts_failure))

    def _attempt_cancelled(self, event: ev.AttemptCancelled) -> None:
        if self._end(event):
            self._settle(ev.TaskCancelled(event.at, event.task, self.stopping or event.reason))

    def _timer_fired(self, event: ev.TimerFired) -> None:
        task = self.state.timers.get(event.timer)
        if task is None:
            return
        self._fold(event)
        self._enqueue(task, event.at, proceed=True)
        if self._idling is not None and self._idling.keeps(task):
            self._let_go(self._idling.give_up(), event.at)

    def _alarm_rang(self, event: ev.AlarmRang) -> None:
        if not isnan(self.state.alarm):
            self._fold(event)

    def _tasks_added(self, event: ev.TasksAdded) -> None:
        """The graph has gained tasks; `parent` is the `foreach` whose items they are, -1 if nobody's."""
        self._fold(event)
        self._opened.discard(event.parent)
        if self._hedger is not None:
            self._hedger.planned(self._stages[event.first : event.first + event.size])
        group = self._groups.get(event.parent)
        for task in range(event.first, event.first + event.size):
            if group is not None:
                group.open += 1
                group.size += 1
                self._group_of[task] = group
        if self.stopping and not self.specs[self._stages[event.first]].final:
            for task in range(event.first, event.first + event.size):
                self._settle(ev.TaskCancelled(event.at, task, self.stopping))

    def _items_closed(self, event: ev.ItemsClosed) -> None:
        group = self._groups.get(event.parent)
        if group is not None:
            self._fold(event)
            self._opened.discard(event.parent)
            group.closed = True
            group.problem = event.problem
            self._end_group(group, event.at)

    def _approval_given(self, event: ev.ApprovalGiven) -> None:
        if event.task in self.state.held:
            self._fold(event)
            self._enqueue(event.task, event.at)

    def _stop_requested(self, event: ev.StopRequested) -> None:
        if self.state.finished:
            return
        self._fold(event)
        if not self.stopping:
            self._stop(event.at, event.reason)
        if event.mode == "cancel":
            for attempt, running in list(self.state.running.items()):
                if attempt not in self._asked:
                    self._asked.add(attempt)
                    self._decide(ev.CancelRequested(event.at, running.task, attempt))

    # ---- decisions --------------------------------------------------------------------------------

    def _stop(self, at: float, reason: str) -> None:
        """Nothing new starts: whatever does not run now is cancelled."""
        self.stopping = reason
        for queue in self._queues:
            queue[:] = [entry for entry in queue if self.specs[self._stages[entry[2]]].final]
            heapify(queue)
        groups = [g for g in self._groups.values() if not self.specs[self._stages[g.parent]].final]
        for group in groups:
            group.aborted = True
            group.waiting.clear()
        status = self.state.status
        for task in range(len(status)):
            if status[task] < FIRST_SETTLED and status[task] != RUNNING and not self.specs[self._stages[task]].final:
                self._settle(ev.TaskCancelled(at, task, reason))
        for group in groups:
            self._end_group(group, at)
        self.state.released[:] = [t for t in self.state.released if self.specs[self._stages[t]].final]

    def _release(self, at: float) -> None:
        """Ask the rule of every task whose last dependency has just settled; settling may release more."""
        specs, stages = self.specs, self._stages
        released, status = self.state.released, self.state.status
        dependencies = self.graph.dependencies
        while released:
            batch = released[:]
            released.clear()
            for task in batch:
                deps = dependencies[task]
                spec = specs[stages[task]]
                if status[task] >= FIRST_SETTLED:
                    continue  # a stop has cancelled it meanwhile
                if not deps:
                    verdict = judge(spec.rule, ())
                elif spec.rule == "all_success" and (
                    status[deps[0]] == SUCCEEDED if len(deps) == 1 else not [d for d in deps if status[d] != SUCCEEDED]
                ):
                    verdict = "run"
                else:
                    verdict = self._judge(task, spec, deps)
                if verdict == "run":
                    self._enqueue(task, at)
                elif verdict == "skip":
                    self._settle(ev.TaskSkipped(at, task))
                else:
                    cause = next(d for d in deps if status[d] in (BLOCKED, FAILED, CANCELLED))
                    self._settle(ev.TaskBlocked(at, task, cause))

    def _judge(self, task: int, spec: TaskSpec, deps: Sequence[int]) -> str:
        status = self.state.status
        if spec.gated:
            entry = status[deps[0]]
            if entry != SUCCEEDED:
                return "skip" if entry == SKIPPED else "block"
            deps = deps[1:]
        source = self.graph.flows.get(task)
        if source in self.state.expanded:  # its items come one by one, however it ends as a whole
            deps = [d for d in deps if d != source]
        return judge(spec.rule, [status[d] for d in deps])

    def _pool_of(self, task: int) -> int:
        return self.specs[self._stages[task]].pools[self._candidate.get(task, 0) if self._candidate else 0]

    def _enqueue(self, task: int, at: float, *, proceed: bool = False) -> None:
        """Put a ready task into its pool's queue; steps that need no worker start at once."""
        stage = self._stages[task]
        spec = self.specs[stage]
        pool = spec.pools[self._candidate.get(task, 0) if self._candidate else 0]
        if pool == CONTROL or (spec.conditional and not proceed):
            self._start(task, at, CONTROL, 0, 0, condition=pool != CONTROL)
            self._stepped = True
            return
        self._entries += 1
        entry = (self._keys[stage], self._entries, task)
        group = self._group_of.get(task) if self._group_of else None
        if group is not None and group.cap:
            if group.holding >= group.cap:
                group.waiting.append(entry)
                return
            group.holding += 1
        heappush(self._queues[pool], entry)

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
            if self._idling is not None and self._hold_back(task, at, self._idling):
                continue
            endpoint, worker = pools[best].acquire()
            self._holding += 1
            self._start(task, at, best, endpoint, worker)
            if cap and self._holding >= cap:
                return

    def _hold_back(self, task: int, at: float, idling: Idling) -> bool:
        """Whether the task waits though it could start; if it may start, those that wait for it may go, too."""
        patience = idling.patience(task)
        if patience:
            self._set_timer(task, at, at + patience, KEPT)
            idling.keep(task, self._timers)
        else:
            self._let_go(idling.started(task), at)
        return patience > 0

    def _let_go(self, kept: Sequence[tuple[int, int]], at: float) -> None:
        """Tasks that were held back may queue again, ahead of their timers."""
        for task, timer in kept:
            if self.state.timers.get(timer) == task:
                self._fold(ev.TimerFired(at, timer))
                self._enqueue(task, at, proceed=True)

    def _start(self, task: int, at: float, pool: int, endpoint: int, worker: int, *, condition: bool = False) -> None:
        self._attempts += 1
        number = 0 if condition else self.state.attempts[task] + 1
        candidate = self._candidate.get(task, 0) if self._candidate else 0
        values = (at, task, self._attempts, number, pool, endpoint, worker, candidate)
        self._decide(new_tuple(ev.AttemptStarted, values))
        if self._hedger is not None and pool != CONTROL:
            self._hedger.started(self._attempts, task, self._stages[task], pool, at)

    def _hedge(self, at: float, hedger: Hedger) -> None:
        """Double what takes too long on workers that are left over, and set the alarm for what will."""
        while not self.workers or self._holding < self.workers:
            attempt = hedger.choose(at, self._is_idle, self._may_double)
            if attempt is None:
                due = hedger.next_due(self._is_idle)
                if due < (self.state.alarm if not isnan(self.state.alarm) else inf):
                    self._decide(ev.AlarmSet(at, due))
                return
            task, pool, _, _, _, number, candidate = self.state.running[attempt]
            endpoint, worker = self._pools[pool].acquire()
            self._holding += 1
            group = self._group_of.get(task)
            if group is not None and group.cap:
                group.holding += 1
                self._doubled_items[attempt] = self._doubled_items[self._attempts + 1] = group
            self._attempts += 1
            hedger.doubled(attempt, self._attempts, at)
            self._decide(ev.AttemptDoubled(at, task, attempt, self._attempts))
            self._decide(ev.AttemptStarted(at, task, self._attempts, number, pool, endpoint, worker, candidate))

    def _is_idle(self, pool: int) -> bool:
        return not self._queues[pool] and self._pools[pool].has_room()

    def _may_double(self, task: int) -> bool:
        group = self._group_of.get(task)
        return group is None or not group.cap or group.holding < group.cap

    def _next_candidate(self, task: int) -> bool:
        candidate = self._candidate.get(task, 0) + 1
        if candidate >= len(self.specs[self._stages[task]].pools):
            return False
        self._candidate[task] = candidate
        self._retries.start_anew(task)
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
        if self.stopping and self.stopping != "fail_fast":
            return "stopped"
        return "failed" if self._failed else "stopped" if self._cancelled else "succeeded"
