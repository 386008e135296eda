"""The command line: parse, call a command, print one error, give the exit code. No logic.

Exit codes: 0 succeeded · 1 a task failed · 2 wrong file or usage · 4 paused · 5 provider or key missing ·
74 store I/O · 75 run or store locked · 128 + n ended by signal n.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from llmflow.commands.options import (
    Approve,
    CachedOf,
    Durability,
    Events,
    FailFast,
    File,
    From,
    Inputs,
    ItemKey,
    Json,
    Last,
    Models,
    NoCache,
    NoContent,
    Only,
    Output,
    Plain,
    PlanBudget,
    Policy,
    Refresh,
    RerunInterrupted,
    Resume,
    RunId,
    Seed,
    StoreDir,
    Until,
    Workers,
    Yes,
)

if TYPE_CHECKING:
    from llmflow.errors import LlmflowError

app = typer.Typer(
    name="llmflow",
    help="Run workflows of language-model calls, written in YAML, in the shortest time their graph allows.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
local_app = typer.Typer(help="The embedded model.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(local_app, name="local")
runs_app = typer.Typer(
    help="List past runs; `rm` and `prune` remove some.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(runs_app, name="runs")
cache_app = typer.Typer(help="Answers that may serve again.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cache_app, name="cache")


def _version(wanted: bool) -> None:
    if wanted:
        from llmflow import __version__
        from llmflow.commands.console import deliver

        deliver(f"llmflow {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """What every command shares."""


@app.command()
def run(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The pipeline, a YAML file (`-`: standard input); a run to resume."),
    ] = None,
    inputs: Inputs = [],  # noqa: B006 - typer reads the default and never changes it
    workers: Workers = None,
    policy: Policy = None,
    plan_budget: PlanBudget = None,
    seed: Seed = None,
    models: Models = [],  # noqa: B006 - as above
    fail_fast: FailFast = False,
    resume: Resume = False,
    approve: Approve = [],  # noqa: B006 - as above
    rerun_interrupted: RerunInterrupted = False,
    no_content: NoContent = False,
    no_cache: NoCache = False,
    refresh: Refresh = [],  # noqa: B006 - as above
    only: Only = [],  # noqa: B006 - as above
    start: From = [],  # noqa: B006 - as above
    until: Until = [],  # noqa: B006 - as above
    store: StoreDir = None,
    durability: Durability = "full",
    output: Output = None,
    as_json: Json = False,
    plain: Plain = False,
    events: Events = None,
) -> None:
    """Run a pipeline and print its outputs.

    llmflow run hello.yaml -i text="Ada met Grace."
    """
    from llmflow.binding.words import Words
    from llmflow.commands.run import RunCommand

    words = Words(
        inputs=tuple(inputs),
        workers=workers,
        policy=policy,
        models=tuple(models),
        fail_fast=fail_fast,
        only=tuple(only),
        start=tuple(start),
        until=tuple(until),
    )
    _exit(
        RunCommand(
            file=file,
            words=words,
            resume=resume,
            approve=approve,
            rerun_interrupted=rerun_interrupted,
            no_content=no_content,
            no_cache=no_cache,
            refresh=refresh,
            store=store,
            durability=durability,
            output=output,
            as_json=as_json,
            plain=plain,
            events=events,
            plan_budget=plan_budget,
            seed=seed,
        ).run()
    )


@app.command()
def plan(
    file: File,
    inputs: Inputs = [],  # noqa: B006 - typer reads the default and never changes it
    workers: Workers = None,
    policy: Policy = None,
    plan_budget: PlanBudget = None,
    seed: Seed = None,
    models: Models = [],  # noqa: B006 - as above
    what_ifs: Annotated[
        list[str],
        typer.Option(
            "--what-if", metavar="CHANGE", help="Also with workers=N, pool:NAME=N or model:ALIAS=MODEL. Repeatable."
        ),
    ] = [],  # noqa: B006 - as above
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=0, metavar="N", help="Sampled runs behind P50 and P90 (default 200; 0 with --policy)."
        ),
    ] = None,
    store: StoreDir = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show what a run would do and how long it would take. Calls nothing, needs no key.

    llmflow plan examples/worked_example.yaml -j 4 --what-if workers=8
    """
    from llmflow.commands.plan import plan as command

    _exit(
        command(
            file,
            inputs=inputs,
            workers=workers,
            policy=policy,
            models=models,
            what_ifs=what_ifs,
            samples=samples,
            plan_budget=plan_budget,
            seed=seed or 0,
            store=store,
            output=output,
            as_json=as_json,
        )
    )


@app.command()
def compare(
    file: File,
    inputs: Inputs = [],  # noqa: B006 - typer reads the default and never changes it
    workers: Annotated[
        str, typer.Option("--workers", "-j", metavar="LIST", help="Numbers of workers, with commas.")
    ] = "1,4,unlimited",
    policy: Annotated[
        str, typer.Option("--policy", metavar="LIST", help="Policies, with commas.")
    ] = "fifo,critical-path,stochastic",
    execute: Annotated[
        bool, typer.Option("--execute", help="Really run each; only where every model call is simulated.")
    ] = False,
    plan_budget: PlanBudget = None,
    seed: Seed = None,
    models: Models = [],  # noqa: B006 - as above
    samples: Annotated[
        int, typer.Option("--samples", min=0, metavar="N", help="Sampled runs behind P50 and P90.")
    ] = 200,
    store: StoreDir = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Also save the comparison as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare policies and numbers of workers on one pipeline, simulated at once or really run.

    llmflow compare examples/worked_example.yaml --workers 1,4,unlimited
    """
    from llmflow.commands.compare import compare as command

    _exit(
        command(
            file,
            inputs=inputs,
            workers=workers,
            policies=policy,
            really=execute,
            plan_budget=plan_budget,
            seed=seed or 0,
            models=models,
            samples=samples,
            store=store,
            output=output,
            as_json=as_json,
        )
    )


@app.command()
def stats(
    pipeline: Annotated[
        str | None, typer.Argument(metavar="[PIPELINE]", help="A pipeline's file or name; without it, all of them.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="Only this task.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Only this model.")] = None,
    last: Last = None,
    items: Annotated[bool, typer.Option("--items", help="A row for each item of a foreach.")] = False,
    store: StoreDir = None,
    output: Output = None,
    as_json: Json = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="How often runs fell within what was foretold of them.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table for spreadsheets.")] = False,
) -> None:
    """Show what past runs taught: durations, failures, waits, the critical path, and what to do about it."""
    if calibration:
        from llmflow.commands.stats import calibration as forecasts

        _exit(forecasts(pipeline, last=last, store=store, output=output, as_json=as_json, as_csv=as_csv))
    from llmflow.commands.stats import stats as command

    _exit(
        command(
            pipeline,
            task=task,
            model=model,
            last=last,
            items=items,
            store=store,
            output=output,
            as_json=as_json,
            as_csv=as_csv,
        )
    )


@runs_app.callback()
def runs(
    context: typer.Context,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", "-p", metavar="PIPELINE", help="Only runs of this file or name.")
    ] = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only runs that failed, were stopped or were interrupted.")
    ] = False,
    last: Last = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="At most N runs.")] = None,
    store: StoreDir = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """List past runs, the youngest first.

    llmflow runs --failed --last 7d
    """
    if context.invoked_subcommand is not None:
        return
    from llmflow.commands.runs import runs as command

    _exit(command(pipeline, failed=failed, last=last, limit=limit, store=store, output=output, as_json=as_json))


@runs_app.command("rm")
def runs_remove(
    which: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids, beginnings of ids, or `last`.")],
    yes: Yes = False,
    store: StoreDir = None,
) -> None:
    """Remove runs with every answer and all that was learned from them."""
    from llmflow.commands.runs import remove

    _exit(remove(which, yes=yes, store=store))


@runs_app.command("prune")
def runs_prune(
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Runs that began longer ago: 30d, 12h, 2w.")
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=0, metavar="N", help="Spare the youngest N runs.")] = None,
    yes: Yes = False,
    store: StoreDir = None,
) -> None:
    """Remove old runs and their answers; the durations they taught are kept."""
    from llmflow.commands.runs import prune

    _exit(prune(older_than=older_than, keep=keep, yes=yes, store=store))


@app.command()
def show(
    run: RunId,
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="Every attempt of this task.")] = None,
    key: ItemKey = None,
    all_items: Annotated[bool, typer.Option("--all", help="Show every item, not only the slowest.")] = False,
    store: StoreDir = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Look at a past run: its tasks, where the time went, prompts and answers.

    llmflow show last
    """
    from llmflow.commands.show import show as command

    _exit(command(run, task, key, all_items=all_items, store=store, output=output, as_json=as_json))


@app.command()
def diff(
    first: RunId,
    second: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="The later run; without it, the first is compared with the one before."),
    ] = None,
    store: StoreDir = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Show what made one run slower than another: durations, waits, tokens, models, changed prompts."""
    from llmflow.commands.diff import diff as command

    _exit(command(first, second, store=store, output=output, as_json=as_json))


@app.command()
def validate(files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Pipelines to check.")]) -> None:
    """Check pipelines and show every mistake with its place. Calls nothing."""
    from llmflow.commands.validate import validate as command

    _exit(command(files))


@app.command()
def graph(
    file: File,
    style: Annotated[
        str,
        typer.Option("--format", metavar="terminal|mermaid|dot", help="A drawing, or text for Mermaid or Graphviz."),
    ] = "terminal",
    workers: Workers = None,
    models: Models = [],  # noqa: B006 - as above
    store: StoreDir = None,
    output: Output = None,
) -> None:
    """Draw a pipeline's graph: who waits for whom and why, the longest chain, pools. Executes nothing.

    llmflow graph examples/worked_example.yaml
    """
    from llmflow.commands.graph import graph as command

    _exit(command(file, style=style, workers=workers, models=models, store=store, output=output))


@app.command()
def schema(output: Output = None) -> None:
    """Print the JSON Schema of pipelines, for editors."""
    from llmflow.commands.schema import schema as command

    _exit(command(output))


@app.command()
def doctor(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="Also check the keys and endpoints of this pipeline.")
    ] = None,
    store: StoreDir = None,
    as_json: Json = False,
) -> None:
    """Check this machine: versions, the store, keys (never shown), endpoints."""
    from llmflow.commands.doctor import doctor as command

    _exit(command(file, store=store, as_json=as_json))


@cache_app.command("ls")
def cache_ls(pipeline: CachedOf = None, store: StoreDir = None, as_json: Json = False) -> None:
    """List the tasks whose answers may serve again."""
    from llmflow.commands.cache import listing

    _exit(listing(pipeline, store=store, json=as_json))


@cache_app.command("why")
def cache_why(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Its file or its name.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task.")],
    key: ItemKey = None,
    store: StoreDir = None,
) -> None:
    """Say which part of a task's question changed since the answer before."""
    from llmflow.commands.cache import why

    _exit(why(pipeline, task, key, store=store))


@cache_app.command("prune")
def cache_prune(
    older_than: Annotated[str, typer.Option("--older-than", metavar="TIME", help="Given longer ago: 30d, 12h, 2w.")],
    pipeline: CachedOf = None,
    store: StoreDir = None,
) -> None:
    """Let old answers serve no more; they stay in the history."""
    from llmflow.commands.cache import prune

    _exit(prune(pipeline, older_than=older_than, store=store))


@cache_app.command("clear")
def cache_clear(pipeline: CachedOf = None, store: StoreDir = None) -> None:
    """Let no answer serve again; they stay in the history."""
    from llmflow.commands.cache import clear

    _exit(clear(pipeline, store=store))


@local_app.command("pull")
def local_pull() -> None:
    """Fetch the embedded model ahead of its first use."""
    from llmflow.commands.local import pull

    _exit(pull())


def _exit(code: int) -> None:
    raise typer.Exit(code)


def main() -> None:
    """The entry point: every error of ours is printed once, on standard error, without a traceback."""
    gc.disable()  # commands end soon and make no cycles; a large plan took twice as long with it. `run` turns it on
    from llmflow.errors import LlmflowError
    from llmflow.standard_streams import complain, fill_closed, write_whole

    fill_closed()
    write_whole()
    try:
        app()
    except LlmflowError as error:
        _end_with(error)
    except MemoryError:
        complain("out of memory; what was committed is in the history: `llmflow run --resume` goes on\n")
        os._exit(1)
    except OSError as error:
        if error.filename is not None:
            raise
        _end_unsaid(error)
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:
            # Ended by a signal: Python's own way out would let one more signal change the exit code.
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(end.code)
        if isinstance(end.__context__, OSError):
            _end_unsaid(end.__context__)
        raise


def _end_with(error: LlmflowError) -> NoReturn:
    from llmflow.sanitise import printable
    from llmflow.standard_streams import complain

    if str(error):
        complain(f"{printable(str(error))}\n")
    sys.exit(error.exit_code)


def _end_unsaid(error: OSError) -> NoReturn:
    """A text of typer's own could not be written: help, to standard output, or what is wrong with the command line."""
    from llmflow.commands.console import unwritten
    from llmflow.standard_streams import lead_nowhere

    wrong = getattr(error.__context__, "exit_code", None)
    lead_nowhere(sys.stderr if wrong is not None else sys.stdout)
    if wrong is not None:
        sys.exit(wrong)
    _end_with(unwritten("standard output", error))
