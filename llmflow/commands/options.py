"""The options and arguments of the command line that more than one command takes, or that `run` has a row of."""

from __future__ import annotations

from typing import Annotated

import typer

File = Annotated[str, typer.Argument(metavar="FILE", help="The pipeline, a YAML file; `-` reads standard input.")]
Inputs = Annotated[
    list[str],
    typer.Option("--input", "-i", metavar="NAME=VALUE", help="An input: name=value, name=@file or name:=json."),
]
Workers = Annotated[
    str | None,
    typer.Option("--workers", "-j", metavar="N|unlimited", help="At most N attempts at once over the whole run."),
]
Policy = Annotated[str | None, typer.Option("--policy", metavar="NAME", help="Which of the ready tasks goes first.")]
Models = Annotated[
    list[str],
    typer.Option(
        "--model", metavar="MODEL", help="provider/name for every task, or ALIAS=provider/name for one alias."
    ),
]
PlanBudget = Annotated[
    str | None,
    typer.Option(
        "--plan-budget", metavar="TIME", help="How long choosing an order may take: 2s, 100ms, 0 = not at all."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Of all dice: sampled runs, simulated calls (default 0).")
]
StoreDir = Annotated[
    str | None, typer.Option("--store", metavar="DIR", help="Where the history lives (default: $LLMFLOW_STORE).")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
Last = Annotated[
    str | None, typer.Option("--last", metavar="TIME", help="Only runs that began within: 7d, 12h, 30m, 2w.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `last`.", show_default=False)
]
ItemKey = Annotated[str | None, typer.Argument(metavar="[KEY]", help="The item of a foreach.")]
Output = Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="Write the output to a file.")]
CachedOf = Annotated[str | None, typer.Argument(metavar="[PIPELINE]", help="Only of this file or name.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Start nothing new after the first failure.")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with a run that did not end well (FILE its file or its id)."),
]
Approve = Annotated[list[str], typer.Option("--approve", metavar="TASK", help="Approve a task that waits.")]
RerunInterrupted = Annotated[
    bool, typer.Option("--rerun-interrupted", help="Also run again what may have done its work already.")
]
NoContent = Annotated[
    bool, typer.Option("--no-content", help="Keep prompts and answers, not item keys, out of the history; no --resume.")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Use no answers of earlier runs.")]
Refresh = Annotated[list[str], typer.Option("--refresh", metavar="TASK", help="Ask this task anew.")]
Only = Annotated[list[str], typer.Option("--only", metavar="TASK", help="Run just this task, or tag:NAME.")]
From = Annotated[list[str], typer.Option("--from", metavar="TASK", help="Run it and all that depends on it.")]
Until = Annotated[list[str], typer.Option("--until", metavar="TASK", help="Run it and all it needs.")]
Durability = Annotated[
    str, typer.Option("--durability", metavar="full|normal", help="normal: a power cut may lose the last moments.")
]
Plain = Annotated[bool, typer.Option("--plain", help="One line per change instead of the live table.")]
Events = Annotated[
    str | None, typer.Option("--events", metavar="FILE", help="Also write the run's story as JSON lines.")
]
