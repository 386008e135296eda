"""`llmflow stats`: what past runs taught of each task and model."""

from __future__ import annotations

import os

from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, say
from llmflow.history.location import store_dir
from llmflow.history.samples import duration_samples
from llmflow.history.store import Store
from llmflow.reports.stats import render_stats, stats_csv, stats_json
from llmflow.scheduling.statistics import TaskStatistics, summarise


def stats(
    pipeline: str | None,
    *,
    task: str | None = None,
    model: str | None = None,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
    as_csv: bool = False,
) -> int:
    """Print the statistics of one pipeline (its file, or the name it is filed under) or of all."""
    directory = store_dir(store, os.environ)
    history = Store.open_if_there(directory)
    rows: list[TaskStatistics] = []
    if history is not None:
        with history:
            rows = summarise(
                duration_samples(
                    history, pipeline=None if pipeline is None else key_of(pipeline), task=task, model=model
                )
            )
    if as_json:
        deliver(to_json(stats_json(rows)), output)
    elif as_csv:
        deliver(stats_csv(rows), output)
    elif rows:
        deliver(render_stats(rows), output)
    else:
        say(f"no history of that in {directory}; `llmflow run` makes some")
    return 0


def key_of(pipeline: str) -> str:
    """What history files a pipeline under: a file's own `name`, else its absolute path; else the word itself."""
    if not os.path.isfile(pipeline):
        return pipeline
    from llmflow.binding.loading import load_file

    return load_file(pipeline).key
