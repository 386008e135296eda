"""No model: waits as long as the estimate says, scaled by the run's speed, and makes an answer up.

Where the author wrote `durations`, these are what calls really take, and the estimate is a mere belief.

A duration is drawn from a log-normal distribution with the estimate's mean and standard deviation, from
dice that are seeded by (seed, task, attempt): the same whatever order the calls come in.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Mapping

from llmflow.errors import SetupError
from llmflow.protocol import Progress, Request, Response
from llmflow.providers.answers import Script, as_text, estimated_usage, made_up
from llmflow.providers.registry import ProviderConfig

STEPS = 10
"""How many pieces a streamed answer comes in."""


class SimulatedProvider:
    """Answers from `answers`, where a task has none there with a short text or an instance of its schema."""

    def __init__(self, config: ProviderConfig, environment: Mapping[str, str]) -> None:
        if not config.speed > 0:
            raise SetupError(f"provider {config.name}: speed must be above 0, not {config.speed:g}")
        self._speed, self._seed, self._durations = config.speed, config.seed, config.durations
        self._script = Script(config.answers)

    async def complete(self, request: Request, progress: Progress | None = None) -> Response:
        """Waits `drawn_duration / speed` seconds of real time. Never fails."""
        duration = self._durations.get(_task_of(request.label))
        if duration is None:
            duration = drawn_duration(request, self._seed)
        try:
            text = as_text(self._script.next(request))
        except LookupError:
            text = made_up(request)
        usage = estimated_usage(request, text)
        if not request.stream or progress is None:
            await asyncio.sleep(duration / self._speed)
            return Response(text, usage, model=request.model)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for step in range(1, STEPS + 1):
            await asyncio.sleep(max(0.0, began + step / STEPS * duration / self._speed - loop.time()))
            progress(usage.output_tokens * step // STEPS)
        return Response(text, usage, model=request.model, first_token=duration / STEPS)

    async def aclose(self) -> None:
        """Nothing is held."""


def _task_of(label: str) -> str:
    """The task's id, of `task`, `task[key]` and `parent/task[key]`."""
    return label.partition("[")[0].rpartition("/")[2]


def drawn_duration(request: Request, seed: int) -> float:
    """Seconds of the run that this attempt takes; exactly the expected ones where their deviation is 0."""
    mean, deviation = max(0.0, request.expected), request.expected_sd
    if deviation <= 0 or mean == 0:
        return mean
    # The parameters of a log-normal with this mean and standard deviation (method of moments).
    variance = math.log1p((deviation / mean) ** 2)
    copy = f"\x00{request.copy}" if request.copy else ""
    dice = random.Random(f"{seed}\x00{request.label}\x00{request.attempt}{copy}")
    return dice.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))
