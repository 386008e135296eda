"""`llmflow run`: load, check, run on a real event loop with a view on standard error, print the outputs."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmflow.binding.caching import Cache
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice, parse_budget, source_text
from llmflow.binding.recall import Recall
from llmflow.binding.resuming import file_of, find_run, last_outputs, take_up
from llmflow.binding.selection import Selection, select
from llmflow.binding.words import Words
from llmflow.commands.asking import at_terminal, given_approvals
from llmflow.commands.console import as_json, deliver, say
from llmflow.errors import LlmflowError, OutputClosed, StoreError, UsageError
from llmflow.history.location import store_dir
from llmflow.history.locks import RunLock
from llmflow.history.records import StoredRun
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.providers.local_model import show_progress
from llmflow.reports.summary_text import render_summary
from llmflow.reports.time_booking import booking_json, booking_text
from llmflow.views.choice import view_for
from llmflow.views.view import View

if TYPE_CHECKING:
    from llmflow.views.json_lines import JsonLines


@dataclass(frozen=True, slots=True)
class RunCommand:
    """The words of the command line, unparsed. `file` may be a run's id where `resume` is said."""

    file: str | None
    words: Words = field(default_factory=Words)
    resume: bool = False
    approve: Sequence[str] = ()
    rerun_interrupted: bool = False
    no_content: bool = False
    no_cache: bool = False
    refresh: Sequence[str] = ()
    store: str | None = None
    durability: str = "full"
    output: str | None = None
    as_json: bool = False
    plain: bool = False
    events: str | None = None
    plan_budget: str | None = None
    seed: int | None = None

    def run(self) -> int:
        """Run it; gives the exit code."""
        if self.durability not in ("full", "normal"):
            raise UsageError(f"--durability takes full or normal, not {self.durability!r}")
        if self.file is None and not self.resume:
            raise UsageError("which pipeline? FILE is missing", "`llmflow run FILE`, or `llmflow run --resume`")
        if self.no_content and self.resume:
            raise UsageError("--no-content is said when a run begins, not when it goes on")
        if self.rerun_interrupted and not self.resume:
            raise UsageError("--rerun-interrupted is said when a run goes on", "add --resume")
        try:
            with ExitStack() as stack:
                history = stored = None
                if self.resume:
                    history = self._open(stack)
                    stored = self._stored(history)
                    history.refuse_if_held(stored.record.id)  # before anything is said of what it left behind
                    if _has_all(stored):
                        return self._print_again(history, stored)
                result, lost = self._carry_out(stack, history, stored)
        except StoreError as error:
            raise self._with_a_way_on(error) from error
        say(render_summary(result.summary))
        if result.booking is not None:
            say(f"{'time':<14}{booking_text(result.booking)}")
        if "problem" in result.document:
            say(f"error: {result.document['problem']}")
        if result.status != "succeeded" and result.unsaved is None:
            say(self._way_on(result))
        if result.lock is not None:
            self._hand_over(result.lock, result.document, result.exit_code)
        else:
            self._print(result.document)
        if result.unsaved is not None:
            raise self._with_a_way_on(result.unsaved)
        if lost is not None:
            if result.exit_code == 0:
                raise lost
            say(str(lost))
        return result.exit_code

    def _open(self, stack: ExitStack) -> Store:
        return stack.enter_context(Store.open(store_dir(self.store, os.environ), durability=self.durability))

    def _carry_out(
        self, stack: ExitStack, history: Store | None, stored: StoredRun | None
    ) -> tuple[RunResult, LlmflowError | None]:
        """The result, and why the story in `--events` is not whole, None where it is.

        Everything is checked before a new run touches the store; a run that goes on is looked up first.
        """
        words, file = self.words, self.file
        earlier = None
        if history is not None and stored is not None:
            words, file = words.over(stored.record.options), file_of(stored)
            earlier = take_up(history, stored, rerun_interrupted=self.rerun_interrupted)
            if earlier.in_flight:
                say(earlier.in_flight)
        assert file is not None
        seed = self.seed if self.seed is not None else stored.record.seed if stored is not None else 0
        choice = model_choice(words.models)
        pipeline = load_file(file, choice)
        selected = select(pipeline, Selection(words.only, words.start, words.until))
        policy = choose_policy(pipeline, words.policy)
        recalled = selected.given | (earlier.names if earlier is not None else frozenset())
        compiled = bind(selected.pipeline, choice, words.workers, seed=seed, recalled=recalled)
        refreshed = _refreshed(self.refresh, [stage.name for stage in compiled.stages])
        asking = [stage.name for stage in compiled.stages if stage.task.approve is not None]
        approved = given_approvals(self.approve, asking)
        inputs = check_inputs(pipeline, parse_given(words.inputs))
        if history is None:
            history = self._open(stack)
        if self.no_content:
            say("prompts and answers are kept out of the history: nobody can go on with this run later")
        for warning in history.warnings:
            say(f"warning: {warning}")
        views, story = self._views(stack, asks=bool(asking))
        options = RunOptions(
            inputs=inputs,
            policy=policy,
            beliefs=believed(compiled, history),
            environment=os.environ,
            store=history,
            fail_fast=words.fail_fast or pipeline.scheduling.fail_fast,
            plan_budget=parse_budget(self.plan_budget),
            seed=seed,
            source=source_text(pipeline.path),
            keep_content=not self.no_content,
            views=views,
            handle_signals=True,
            delivers=True,
            approved=approved,
            ask=at_terminal(),
            earlier=earlier,
            recall=Recall(
                [*(earlier.known if earlier else ()), *last_outputs(history, pipeline.key, selected.given)],
                selected.given,
                interrupted=earlier.in_doubt if earlier else (),
            ),
            cache=Cache(history, off=self.no_cache, refresh=refreshed),
            fetching=stack.enter_context(show_progress(sys.stderr)),
            words=asdict(words),
        )
        gc.freeze()  # what was loaded stays to the end, so the collector need not look through it again
        gc.enable()
        with redirect_stdout(sys.stderr):  # what a `python` task prints is for people; our output is data
            result = asyncio.run(execute(compiled, options))
        if earlier is not None and result.unsaved is None:
            result = _with_time_of_all_parts(result, history)
        return result, self._lost(story, result.run)

    def _way_on(self, result: RunResult) -> str:
        """The line to copy for going on with a run that has not succeeded."""
        if self.no_content:
            return "this run kept no content (--no-content): nobody can go on with it"
        if result.lacking and self.file is not None:
            store = ("--store", self.store) if self.store is not None else ()
            return f"to have what was left out: {shlex.join(('llmflow', 'run', self.file, *store))}"
        words = [word for name in result.unapproved for word in ("--approve", name)]
        return self._line_to_go_on(result.run, *words, *(("--rerun-interrupted",) if result.in_doubt else ()))

    def _with_a_way_on(self, error: StoreError) -> StoreError:
        return type(error)(f"{error}\n{self._line_to_go_on(error.run)}") if error.run and not self.no_content else error

    def _line_to_go_on(self, run: str, *words: str) -> str:
        store = ("--store", self.store) if self.store is not None else ()
        return f"to go on: {shlex.join(('llmflow', 'run', '--resume', run, *words, *store))}"

    def _stored(self, history: Store) -> StoredRun:
        """The run to go on with: FILE's last one that did not end well, the one with this id, or the last of all."""
        if self.file is None:
            return find_run(history, None, None)
        if os.path.isfile(self.file):
            return find_run(history, None, load_file(self.file).key)
        return find_run(history, self.file, None)

    def _views(self, stack: ExitStack, *, asks: bool) -> tuple[list[View], JsonLines | None]:
        """What watches, and which of them writes `--events`.

        A run that may ask a person keeps to plain lines: a table would be drawn over the question.
        """
        view = view_for(sys.stderr, os.environ, plain=self.plain or asks)
        if self.events is None:
            return [view], None
        from llmflow.views.json_lines import JsonLines

        try:
            stream = Path(self.events).open("w", encoding="utf-8")  # noqa: SIM115 - the view closes it
        except OSError as error:
            raise UsageError(f"cannot write {self.events}: {error.strerror}") from error
        story = JsonLines(stream)
        stack.callback(story.close)
        return [view, story], story

    def _lost(self, story: JsonLines | None, run: str) -> LlmflowError | None:
        """Why the story could not be written to its end. What the run gave is there all the same."""
        if story is None or story.unwritten is None:
            return None
        if isinstance(story.unwritten, BrokenPipeError):
            return OutputClosed()
        return StoreError(
            f"cannot write {self.events}: {story.unwritten.strerror}; the story in it is not whole\n"
            f"  hint: the run itself is in the history: llmflow show {run}"
        )

    def _print_again(self, history: Store, stored: StoredRun) -> int:
        """A run that was stopped between its last word to the history and its outputs has nothing left to do."""
        assert stored.outcome is not None
        lock = history.lock_run(stored.record.id)
        say(f"run {stored.record.id} has succeeded already: these are its outputs")
        self._hand_over(lock, stored.outcome.summary, 0)
        return 0

    def _hand_over(self, lock: RunLock, document: Mapping[str, Any], exit_code: int) -> None:
        """Print the outputs of a run that has succeeded; it is done with when they are out and the exit code is 0."""
        with lock:
            try:
                self._print(document)
            except StoreError as error:
                error.run = document["run"]
                raise self._with_a_way_on(error) from error
            if exit_code:
                lock.leave()

    def _print(self, document: Mapping[str, Any]) -> None:
        """Outputs on standard output: text raw, data as JSON; with `--json` the whole document."""
        outputs = document["outputs"]
        if self.as_json:
            deliver(as_json(document), self.output)
        elif isinstance(outputs, str):
            deliver(outputs, self.output)
        else:
            deliver(as_json(outputs), self.output)


def _refreshed(words: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """The tasks to ask anew. Raises UsageError for one that is none of `names`: an old answer would serve, unseen."""
    for word in words:
        if word not in names:
            near = get_close_matches(word, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"tasks: {', '.join(dict.fromkeys(names))}"
            raise UsageError(f"--refresh: no task {word!r}", hint)
    return words


def _has_all(stored: StoredRun) -> bool:
    """True where nothing is left to be done but to print outputs."""
    return stored.outcome is not None and stored.status == "succeeded" and not stored.outcome.summary.get("problem")


def _with_time_of_all_parts(result: RunResult, history: Store) -> RunResult:
    """Where the time of a run that went on has gone since it first began, which only the history knows."""
    from llmflow.commands.past_runs import read
    from llmflow.history import stories

    stored = stories.run(history, result.run)
    if stored is None:
        return result
    past = read(history, stored)
    names = [task.facts.shown for task in past.tasks]
    document = {**result.document, "time": booking_json(past.booking, names)}
    return replace(result, booking=past.booking, document=document)
