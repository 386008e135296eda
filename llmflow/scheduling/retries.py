"""How long each task of one run waits for its next try, and whether it has one left with its model."""

from __future__ import annotations

from math import isnan
from random import Random

from llmflow.errors import FailureKind
from llmflow.scheduling import events as ev
from llmflow.scheduling.tasks import RATE_LIMIT_PATIENCE, SHORTEST_REJECTION, TaskSpec


class Retries:
    """Counts failures per task. `seed` is for the jitter."""

    __slots__ = ("_seed", "failures", "rejections")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.failures: dict[int, int] = {}
        self.rejections: dict[int, tuple[int, float]] = {}
        """Task → (times a rate limit turned it away, seconds it waited for that)."""

    def forget(self, task: int) -> None:
        """The task has settled."""
        self.failures.pop(task, None)
        self.rejections.pop(task, None)

    def start_anew(self, task: int) -> None:
        """Failures so far do not count against what the task asks next, or against its next model."""
        self.failures.pop(task, None)

    def delay(self, event: ev.AttemptFailed, spec: TaskSpec) -> float | None:
        """Seconds until the next try; None if there is none left with this candidate.

        `retry_after` is someone else's word: nothing and nonsense (NaN) leave us our own backoff, and
        a rate limit that says 0 or less gets it too, or it would be asked again without end.
        """
        task, told = event.task, event.retry_after
        if told is not None and isnan(told):
            told = None
        dice = Random(f"{self._seed}:{task}:{event.attempt}")
        if event.kind is FailureKind.RATE_LIMIT:
            times, waited = self.rejections.get(task, (0, 0.0))
            delay = max(
                told if told is not None and told > 0 else spec.retry.delay(times + 1, dice), SHORTEST_REJECTION
            )
            if waited + delay > RATE_LIMIT_PATIENCE:
                return None
            self.rejections[task] = (times + 1, waited + delay)
            return delay
        failures = self.failures.get(task, 0) + 1
        self.failures[task] = failures
        if failures >= spec.retry.max_attempts:
            return None
        if told is not None:
            return max(0.0, told) if told <= RATE_LIMIT_PATIENCE else None
        return spec.retry.delay(failures, dice)
