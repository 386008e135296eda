"""llmflow for Python programs: `run` and its async twin.

They leave a history like the command does, draw nothing on the terminal and handle no signals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice, source_text
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs

__all__ = ["RunResult", "run", "run_async"]


async def run_async(
    path: str | Path,
    inputs: Mapping[str, Any] | None = None,
    *,
    workers: int | str | None = None,
    policy: str | None = None,
    model: str | Sequence[str] | None = None,
    fail_fast: bool = False,
    store: str | Path | None = None,
    seed: int = 0,
) -> RunResult:
    """Run the pipeline at `path`.

    `workers`: at most so many attempts at once, or `"unlimited"`. `model`: `provider/name` for every
    task, or `ALIAS=provider/name`. `store`: the folder of the history. A failed task does not raise:
    it stands in `RunResult.status` and `.tasks`. Raises InputError, SetupError, StoreError.
    """
    words = [model] if isinstance(model, str) else list(model or ())
    choice = model_choice(words)
    pipeline = load_file(str(path), choice)
    compiled = bind(pipeline, choice, None if workers is None else str(workers), seed=seed)
    given = check_inputs(pipeline, dict(inputs or {}))
    directory = store_dir(None if store is None else str(store), os.environ)
    with Store.open(directory) as history:
        options = RunOptions(
            inputs=given,
            policy=choose_policy(pipeline, policy),
            beliefs=believed(compiled, history),
            environment=os.environ,
            store=history,
            fail_fast=fail_fast or pipeline.scheduling.fail_fast,
            seed=seed,
            source=source_text(pipeline.path),
        )
        return await execute(compiled, options)


def run(path: str | Path, inputs: Mapping[str, Any] | None = None, **options: Any) -> RunResult:
    """`run_async` on an event loop of its own; not to be called where one is running already."""
    return asyncio.run(run_async(path, inputs, **options))
