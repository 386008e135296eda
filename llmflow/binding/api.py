"""llmflow for Python programs: `run` and its async twin.

They leave a history like the command does, draw nothing on the terminal and handle no signals.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.estimates import believed
from llmflow.binding.execution import Earlier, RunOptions, RunResult, execute
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice, source_text
from llmflow.binding.recall import Recall
from llmflow.binding.resuming import file_of, find_run, last_outputs, take_up
from llmflow.binding.selection import Selection, select
from llmflow.binding.words import Words, inputs_as_words
from llmflow.errors import UsageError
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.language.pipeline import Pipeline

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
    seed: int | None = None,
    resume: bool | str = False,
    rerun_interrupted: bool = False,
) -> RunResult:
    """Run the pipeline at `path`.

    `workers`: at most so many attempts at once, or `"unlimited"`. `model`: `provider/name` for every
    task, or `ALIAS=provider/name`. `store`: the folder of the history. A failed task does not raise:
    it stands in `RunResult.status` and `.tasks`. Raises InputError, SetupError, StoreError.

    `resume`: go on with the last run of the pipeline that did not end well, or with the run of this id, instead of
    beginning a new one; what it was told stands where nothing else is said here. `rerun_interrupted`: have done again
    what was under way when it was interrupted and may have acted. Raises UsageError where nothing can go on,
    StoreLocked where another process is at the run.
    """
    said = Words(
        inputs=inputs_as_words(inputs or {}),
        workers=None if workers is None else str(workers),
        policy=policy,
        models=(model,) if isinstance(model, str) else tuple(model or ()),
        fail_fast=fail_fast,
    )
    directory = store_dir(None if store is None else str(store), os.environ)
    if not resume:
        checked = _checked(str(path), said, inputs or {}, seed or 0)
        with Store.open(directory) as history:
            return await execute(checked.compiled, checked.options(history, Recall()))
    with Store.open(directory) as history:
        wanted = resume if isinstance(resume, str) else None
        stored = find_run(history, wanted, load_file(str(path)).key if wanted is None else None)
        if stored.status == "succeeded" and wanted is not None:
            raise UsageError(f"run {stored.record.id} has succeeded: there is nothing to go on with")
        earlier = take_up(history, stored, rerun_interrupted=rerun_interrupted)
        words = said.over(stored.record.options)
        checked = _checked(
            file_of(stored), words, parse_given(words.inputs), stored.record.seed if seed is None else seed, earlier
        )
        given = checked.left_out
        answers = [*earlier.known, *last_outputs(history, checked.pipeline.key, given)]
        recall = Recall(answers, given, interrupted=earlier.in_doubt)
        return await execute(checked.compiled, checked.options(history, recall))


@dataclass(frozen=True)
class _Checked:
    """A run that can begin: everything said about it is right."""

    pipeline: Pipeline
    compiled: Compiled
    words: Words
    inputs: Mapping[str, Any]
    left_out: frozenset[str]
    seed: int
    earlier: Earlier | None

    def options(self, history: Store, recall: Recall) -> RunOptions:
        return RunOptions(
            inputs=self.inputs,
            policy=choose_policy(self.pipeline, self.words.policy),
            beliefs=believed(self.compiled, history),
            environment=os.environ,
            store=history,
            fail_fast=self.words.fail_fast or self.pipeline.scheduling.fail_fast,
            seed=self.seed,
            source=source_text(self.pipeline.path),
            earlier=self.earlier,
            recall=recall,
            words=asdict(self.words),
        )


def _checked(path: str, words: Words, inputs: Mapping[str, Any], seed: int, earlier: Earlier | None = None) -> _Checked:
    choice = model_choice(words.models)
    pipeline = load_file(path, choice)
    selected = select(pipeline, Selection(words.only, words.start, words.until))
    recalled = selected.given | (earlier.names if earlier is not None else frozenset())
    compiled = bind(selected.pipeline, choice, words.workers, seed=seed, recalled=recalled)
    given = check_inputs(pipeline, dict(inputs))
    return _Checked(pipeline, compiled, words, given, selected.given, seed, earlier)


def run(path: str | Path, inputs: Mapping[str, Any] | None = None, **options: Any) -> RunResult:
    """`run_async` on an event loop of its own; not to be called where one is running already."""
    return asyncio.run(run_async(path, inputs, **options))
