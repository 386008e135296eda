"""`llmflow runs`: which runs there were; `rm` and `prune` take some of them out of the history."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length, say
from llmflow.commands.past_runs import check_known, find, opened, seconds_of, since
from llmflow.commands.stats import key_of
from llmflow.errors import UsageError
from llmflow.history import looking_back
from llmflow.history.location import store_dir
from llmflow.history.removal import remove_runs
from llmflow.history.store import Store
from llmflow.quantities import plural
from llmflow.reports.runs_text import render_runs, runs_json

UNSUCCESSFUL = ("failed", "stopped", "interrupted")
"""What `--failed` means."""

LIMIT = 30
"""How many runs are listed unless the user says."""


def runs(
    pipeline: str | None = None,
    *,
    failed: bool = False,
    last: str | None = None,
    limit: int | None = None,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the runs that fit, youngest first; `limit` of None is `LIMIT` for people and all for programs."""
    directory = store_dir(store, os.environ)
    after, key = since(last), None if pipeline is None else key_of(pipeline)
    history = Store.open_if_there(directory)
    lines: list[looking_back.RunLine] = []
    if history is not None:
        with history:
            lines = list(
                looking_back.run_lines(
                    history,
                    pipeline=key,
                    since=after,
                    statuses=UNSUCCESSFUL if failed else None,
                    limit=limit if limit is not None or as_json else LIMIT + 1,
                )
            )
            if not lines:
                check_known(history, pipeline, key, None, None)
    if as_json:
        deliver(to_json(runs_json(lines)), output)
    elif not lines:
        what = "no such runs" if pipeline is None else f"no such runs of {pipeline}"
        say(f"{what} in {directory}; `llmflow run` makes some")
    elif limit is None and len(lines) > LIMIT:
        deliver(render_runs(lines[:LIMIT], columns=line_length()), output)
        say(f"these are the youngest {LIMIT}; --limit N shows more")
    else:
        deliver(render_runs(lines, columns=line_length()), output)
    return 0


def remove(words: Sequence[str], *, yes: bool = False, store: str | None = None) -> int:
    """Remove the runs that `words` name, with all they left behind."""
    with opened(store) as history:
        found = {one.record.id: one for one in (find(history, word) for word in words)}
        for one in found.values():
            say(f"{one.record.id}  {one.status}  {one.record.pipeline}")
        _confirm(f"remove {_these(len(found))} with every answer and all that was learned from it", yes)
        count = remove_runs(history, list(found), keep_samples=False)
    say(f"removed {plural(count, 'run')}")
    return 0


def prune(
    *,
    older_than: str | None = None,
    keep: int | None = None,
    yes: bool = False,
    store: str | None = None,
) -> int:
    """Remove old runs; the durations that they taught stay. At least one of the limits must be given."""
    if older_than is None and keep is None:
        raise UsageError("prune what?", "say --older-than 30d, --keep 100, or both")
    moment = time.time() - (0.0 if older_than is None else seconds_of(older_than))
    with opened(store) as history:
        ids = looking_back.finished_before(history, moment, keep or 0)
        ids = [run_id for run_id in ids if history.holder(run_id) is None]
        if not ids:
            say("nothing to prune")
            return 0
        left = looking_back.count_runs(history) - len(ids)
        _confirm(f"remove {plural(len(ids), 'run')} with their answers and keep {left:,}", yes)
        count = remove_runs(history, ids, keep_samples=True, compact=True)
    say(f"removed {plural(count, 'run')}")
    return 0


def _these(count: int) -> str:
    return "this run" if count == 1 else f"these {count:,} runs"


def _confirm(what: str, yes: bool) -> None:
    """Ask at a terminal. Raises UsageError where nobody can be asked, or where the answer is no."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"this would {what}", "say --yes")
    sys.stderr.write(f"{what}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was removed")
