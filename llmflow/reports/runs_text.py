"""The list of past runs, for people and as data (`llmflow.runs/1`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from llmflow.quantities import ratio_text, seconds_text
from llmflow.reports.columns import Column, render_columns
from llmflow.sanitise import one_line


class Line(Protocol):
    """A run in one line: seconds, times of day, None for what is unknown."""

    @property
    def id(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def started_at(self) -> float: ...
    @property
    def status(self) -> str: ...
    @property
    def makespan(self) -> float | None: ...
    @property
    def ratio(self) -> float | None: ...
    @property
    def policy(self) -> str: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def tasks(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def output_tokens(self) -> int: ...


HEADS = (
    Column("RUN", right=True),
    Column("PIPELINE", most=32),
    Column("STARTED", right=True),
    Column("STATUS"),
    Column("MAKESPAN", right=True),
    Column("RATIO", right=True),
    Column("TASKS", right=True),
    Column("TOKENS", right=True),
)


def render_runs(lines: Sequence[Line], *, columns: int = 100) -> str:
    """A table in the order of `lines`, without a line end behind the last; safe to print."""
    ids = shorter_ids([line.id for line in lines])
    rows = [[one_line(shown), *_cells(line)] for shown, line in zip(ids, lines, strict=True)]
    return render_columns(HEADS, rows, columns)


SHORT = 12
"""Characters of an id that are shown at least: its time and a little of its chance."""


def shorter_ids(ids: Sequence[str]) -> list[str]:
    """Each id cut to a beginning that no other of them has."""
    length = SHORT
    while len({one[:length] for one in ids}) < len(set(ids)):
        length += 1
    return [one[:length] for one in ids]


def runs_json(lines: Sequence[Line]) -> dict[str, Any]:
    """`llmflow.runs/1`: one object per run; seconds, null where something is unknown."""
    return {"schema": "llmflow.runs/1", "runs": [_record(line) for line in lines]}


def clock_text(moment: float) -> str:
    """A time of day as the user's clock showed it: `2026-11-24 15:59:10`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def iso_text(moment: float) -> str:
    """A time of day for programs: `2026-11-24T15:59:10.250Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pipeline_text(pipeline: str, path: str) -> str:
    """What people call it: its name, or its file's where it has none."""
    return one_line(pipeline.replace("\\", "/").rpartition("/")[2] if pipeline == path else pipeline)


def _cells(line: Line) -> list[str]:
    failed = f" ({line.failed:,} failed)" if line.failed else ""
    tokens = line.input_tokens + line.output_tokens
    return [
        pipeline_text(line.pipeline, line.path),
        clock_text(line.started_at),
        one_line(line.status),
        "-" if line.makespan is None else seconds_text(line.makespan),
        "-" if line.ratio is None else ratio_text(line.ratio),
        f"{line.tasks:,}{failed}",
        f"{tokens:,}" if tokens else "-",
    ]


def _record(line: Line) -> dict[str, Any]:
    return {
        "run": line.id,
        "pipeline": line.pipeline,
        "path": line.path,
        "started_at": iso_text(line.started_at),
        "status": line.status,
        "makespan": line.makespan,
        "ratio": line.ratio,
        "policy": line.policy,
        "workers": line.workers,
        "tasks": line.tasks,
        "failed": line.failed,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
    }
