"""`llmflow run`: load, check, run on a real event loop with a view on standard error, print the outputs."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from llmflow.binding.estimates import estimates
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice, source_text
from llmflow.commands.console import as_json, deliver, say
from llmflow.errors import UsageError
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.reports.summary_text import render_summary
from llmflow.views.choice import view_for
from llmflow.views.view import View


@dataclass(frozen=True, slots=True)
class RunCommand:
    """The words of the command line, unparsed."""

    file: str
    inputs: Sequence[str] = ()
    workers: str | None = None
    policy: str | None = None
    models: Sequence[str] = ()
    fail_fast: bool = False
    store: str | None = None
    durability: str = "full"
    output: str | None = None
    as_json: bool = False
    plain: bool = False
    events: str | None = None

    def run(self) -> int:
        """Run it; gives the exit code."""
        if self.durability not in ("full", "normal"):
            raise UsageError(f"--durability takes full or normal, not {self.durability!r}")
        choice = model_choice(self.models)
        pipeline = load_file(self.file, choice)
        policy = choose_policy(pipeline, self.policy)
        compiled = bind(pipeline, choice, self.workers)
        inputs = check_inputs(pipeline, parse_given(self.inputs))
        with ExitStack() as stack:
            directory = store_dir(self.store, os.environ)
            history = stack.enter_context(Store.open(directory, durability=self.durability))
            for warning in history.warnings:
                say(f"warning: {warning}")
            options = RunOptions(
                inputs=inputs,
                policy=policy,
                estimates=estimates(compiled, history),
                environment=os.environ,
                store=history,
                fail_fast=self.fail_fast or pipeline.scheduling.fail_fast,
                source=source_text(pipeline.path),
                views=self._views(stack),
                handle_signals=True,
            )
            gc.freeze()  # what was loaded stays to the end, so the collector need not look through it again
            gc.enable()
            result = asyncio.run(execute(compiled, options))
        say(render_summary(result.summary))
        if "problem" in result.document:
            say(f"error: {result.document['problem']}")
        self._print(result)
        return result.exit_code

    def _views(self, stack: ExitStack) -> list[View]:
        views: list[View] = [view_for(sys.stderr, os.environ, plain=self.plain)]
        if self.events is not None:
            from llmflow.views.json_lines import JsonLines

            try:
                stream = Path(self.events).open("w", encoding="utf-8")  # noqa: SIM115 - the stack closes it
            except OSError as error:
                raise UsageError(f"cannot write {self.events}: {error.strerror}") from error
            views.append(JsonLines(stack.enter_context(stream)))
        return views

    def _print(self, result: RunResult) -> None:
        """Outputs on standard output: text raw, data as JSON; with `--json` the whole document."""
        if self.as_json:
            deliver(as_json(result.document), self.output)
        elif isinstance(result.outputs, str):
            deliver(result.outputs, self.output)
        else:
            deliver(as_json(result.outputs), self.output)
