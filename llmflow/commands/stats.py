"""`llmflow stats`: what past runs taught of each task and model, what keeps runs long, what to do about it."""

from __future__ import annotations

import os
import time

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length, say
from llmflow.commands.past_runs import check_known, read, since
from llmflow.errors import UsageError
from llmflow.history import forecasts, learned, stories
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.reports.findings import findings
from llmflow.reports.forecast_scores import render_scores, scores, scores_csv, scores_json
from llmflow.reports.stats import Statistics, run_rows, task_rows
from llmflow.reports.stats_text import render_stats, stats_csv, stats_json

MOST_RUNS, MOST_EVENTS = 50, 100_000
"""How many of the youngest runs are read whole, and how long their stories may be together."""


def stats(
    pipeline: str | None,
    *,
    task: str | None = None,
    model: str | None = None,
    last: str | None = None,
    items: bool = False,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
    as_csv: bool = False,
) -> int:
    """Print the statistics of one pipeline (its file, or the name it is filed under) or of all.

    `items`: a row for each item of a `foreach`. `last`: only what began so long ago, `7d`.
    """
    _one_form(as_json, as_csv)
    directory = store_dir(store, os.environ)
    wanted = learned.Wanted(None if pipeline is None else key_of(pipeline), task, model, since(last))
    history = Store.open_if_there(directory)
    statistics = Statistics()
    if history is not None:
        with history:
            statistics = _statistics(history, wanted, items)
            if not statistics.tasks:
                check_known(history, pipeline, wanted.pipeline, task, model)
    found = findings(statistics, task)
    if as_json:
        deliver(to_json(stats_json(statistics, found)), output)
    elif as_csv:
        deliver(stats_csv(statistics), output)
    elif statistics.tasks:
        deliver(render_stats(statistics, found, columns=line_length(), chart=task is not None), output)
    else:
        say(f"no history of {'that' if pipeline is None else pipeline} in {directory}; `llmflow run` makes some")
    return 0


def calibration(
    pipeline: str | None,
    *,
    last: str | None = None,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
    as_csv: bool = False,
) -> int:
    """Print how often the runs of one pipeline, or of all, fell within what was foretold of them."""
    _one_form(as_json, as_csv)
    directory = store_dir(store, os.environ)
    key, moment = None if pipeline is None else key_of(pipeline), since(last)
    history = Store.open_if_there(directory)
    found = []
    if history is not None:
        with history:
            found = scores(forecasts.foretold(history, pipeline=key, since=moment))
            if not found:
                check_known(history, pipeline, key, None, None)
    if as_json:
        deliver(to_json(scores_json(found)), output)
    elif as_csv:
        deliver(scores_csv(found), output)
    elif found:
        deliver(render_scores(found, line_length()), output)
    else:
        say(
            f"no run to judge in {directory}: a forecast needs a run before it, or estimates with a spread; runs that "
            "failed, went on, or had answers of earlier runs are left out"
        )
    return 0


def _one_form(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of the same figures", "say one of them")


def key_of(pipeline: str) -> str:
    """What history files a pipeline under: a file's own `name`, else its absolute path; else the word itself."""
    if not os.path.isfile(pipeline):
        return pipeline
    from llmflow.binding.loading import load_file

    return load_file(pipeline).key


def _statistics(history: Store, wanted: learned.Wanted, items: bool) -> Statistics:
    rows, pairs = task_rows(
        learned.durations(history, wanted, items=items), learned.counts(history, wanted, items=items).items(), _hour_of
    )
    pipelines = None if wanted.pipeline is None else [wanted.pipeline]
    narrow = wanted.task is not None or wanted.model is not None
    if narrow:
        pipelines = list(dict.fromkeys(row.pipeline for row in rows))
    ids, total = learned.runs_to_read(
        history, pipelines=pipelines, since=wanted.since, most_runs=MOST_RUNS, most_events=MOST_EVENTS
    )
    stored = [one for run_id in ids if (one := stories.run(history, run_id)) is not None]
    found = Statistics(rows, run_rows(read(history, one) for one in stored), total, pairs)
    return found.of_its_tasks() if narrow else found


def _hour_of(moment: float) -> int:
    """The hour of the user's clock."""
    return time.localtime(moment).tm_hour
