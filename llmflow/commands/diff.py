"""`llmflow diff`: what made one run slower than another."""

from __future__ import annotations

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length
from llmflow.commands.past_runs import find, opened, read
from llmflow.errors import UsageError
from llmflow.history import looking_back, stories
from llmflow.history.records import StoredRun
from llmflow.history.store import Store
from llmflow.reports.diff import Prompts, diff_runs
from llmflow.reports.diff_text import diff_json, render_diff


def diff(
    first: str,
    second: str | None = None,
    *,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Compare two runs; with one alone, the run of its pipeline before it is the first."""
    with opened(store) as history:
        later = find(history, first if second is None else second)
        earlier = looking_back.run_before(history, later) if second is None else find(history, first)
        if earlier is None:
            raise UsageError(
                f"{later.record.id} is the first run of {later.record.pipeline}", "name two runs: llmflow diff RUN RUN"
            )
        found = diff_runs(
            read(history, earlier), read(history, later), (_prompts(history, earlier), _prompts(history, later))
        )
    deliver(to_json(diff_json(found)) if as_json else render_diff(found, columns=line_length()), output)
    return 0


def _prompts(history: Store, one: StoredRun) -> Prompts:
    run_id = one.record.id
    records = stories.tasks(history, run_id)
    asked = {(records[task].name, records[task].item): text for task, text in looking_back.messages_of(history, run_id)}
    return Prompts(looking_back.templates(history, run_id), asked)
