"""Every benchmark runs at a tiny size and prints its table; what the figures are is no test's business."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TABLES = {
    "barrier": (
        ["", "makespan, s", "× bound", "first out, s", "held"],
        ["llmflow, items flow", "llmflow, a filter makes a barrier"],
    ),
    "fan_out": (
        ["", "CPU s", "µs a call", "peak MB", "MB beyond 20"],
        [f"{what}, {rows} rows" for what in ("one stage", "two stages and a tree") for rows in (20, 60)],
    ),
    "engine": (
        ["graph", "by hand", "llmflow", "× by hand", "× at 1,000", "build", "journal", "× llmflow", "commits/task"],
        ["fan 20", "fan 60", "chain 20", "chain 60", "layered 20", "layered 60"],
    ),
    "startup": (
        ["command", "ms", "× typer hello"],
        [
            "python -c pass",
            "typer hello.py NAME",
            "typer hello.py --help",
            "llmflow --help",
            "llmflow --version",
            "llmflow plan --policy critical-path",
            "llmflow stats",
            "llmflow validate",
            "llmflow run (100 simulated tasks)",
        ],
    ),
    "load": (
        ["", "CPU s", "whole process", "peak MB"],
        [
            "50 tasks, 0.0 MB: llmflow: read, check, plan",
            "50 tasks, 0.0 MB: llmflow: read, check",
            "50 tasks, 0.0 MB: PyYAML CSafeLoader alone",
        ],
    ),
    "http": (
        ["", "µs", "× the SDK", "kB per call in flight"],
        [
            "2 in flight: llmflow, openai",
            "2 in flight: AsyncOpenAI",
            "2 in flight: llmflow, anthropic",
            "2 in flight: AsyncAnthropic",
        ],
    ),
    "worked_example": (
        ["", "due", "makespan, s", "off by", "within 2 %", "lower bound", "utilisation"],
        ["4 workers, critical-path", "unlimited"],
    ),
    "reliability": (
        ["", "runs", "kills", "calls", "paid twice", "in flight", "just answered", "lost", "ended otherwise"],
        ["llmflow"],
    ),
}
if sys.platform == "linux":  # it reads /proc
    TABLES["soak"] = (
        ["", "resident MB", "descriptors", "asyncio tasks"],
        [*(f"{share}% of 100 items" for share in (1, 10, 25, 50, 75, 100)), "after the run"],
    )


def rows_of(text: str) -> list[list[str]]:
    """The cells of the Markdown table in `text`."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


@pytest.mark.parametrize("name", TABLES)
def test_a_benchmark_says_where_it_ran_and_prints_its_whole_table(name: str) -> None:
    head, first_cells = TABLES[name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--quick"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    machine, command, *_ = ran.stdout.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d, Python 3\.[\d.]+\S*, \w+ \w+, \d+ cores, load [\d.]+ at the start", machine)
    assert command == f"$ python -m bench.{name} --quick"
    table = rows_of(ran.stdout)
    assert table[0] == head
    assert [row[0] for row in table[2:]] == first_cells
    assert {len(row) for row in table} == {len(head)}
