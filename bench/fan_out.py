"""What an item of a fan-out costs: whole `llmflow run`s over a JSONL file of 1,000 to 100,000 rows.

    python -m bench.fan_out [--quick]

The provider is `mock` with 64 workers, the journal is on. *One stage*: a `foreach` with `save`. *Two
stages and a tree*: two `foreach` through which items flow, joined by tens, 2.1 calls per row. CPU is
that of the whole process less that of the smallest run, by the calls in between.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.measuring import ROOT, cpu_of, print_table, say_machine

HEAD = """
inputs: {rows: {type: file, format: jsonl}}
providers: {mock: {kind: mock, workers: 64, answers: fine}}
defaults: {model: mock/any}
"""
PIPELINES = {
    "one stage": """
tasks:
  each: {foreach: "{{ inputs.rows }}", prompt: "Say {{ item.text }}", save: lines.jsonl}
  done: {value: all, depends_on: [each]}
""",
    "two stages and a tree": """
tasks:
  one: {foreach: "{{ inputs.rows }}", prompt: "Say {{ item.text }}"}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: "Again: {{ item }}"}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree}, prompt: "{{ items }}"}
""",
}
CALLS = {"one stage": 1.0, "two stages and a tree": 2.11}
"""Calls per row."""


def measure(folder: Path, tasks: str, rows: int) -> tuple[float, float]:
    """CPU seconds and peak megabytes."""
    (folder / "p.yaml").write_text(HEAD + tasks, encoding="utf-8")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f'{{"id": {n}, "text": "row {n} with some words in it"}}\n' for n in range(rows))
    words = ["run", str(folder / "p.yaml"), "-i", f"rows=@{folder / 'rows.jsonl'}", "--store", str(folder / "store")]
    seconds, peak = cpu_of([sys.executable, "-m", "llmflow", *words], {**os.environ, "PYTHONPATH": str(ROOT)})
    return seconds, peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    counts = (20, 60) if parser.parse_args().quick else (1_000, 10_000, 100_000)
    say_machine()
    table = []
    for name, tasks in PIPELINES.items():
        least = (0.0, 0.0)
        for rows in counts:
            with tempfile.TemporaryDirectory() as folder:
                seconds, peak = measure(Path(folder), tasks, rows)
            if rows == counts[0]:
                least = seconds, peak
                each, more = "", ""
            else:
                each = f"{(seconds - least[0]) / ((rows - counts[0]) * CALLS[name]) * 1e6:.0f}"
                more = f"{peak - least[1]:+.0f}"
            table.append([f"{name}, {rows:,} rows", f"{seconds:.2f}", each, f"{peak:.0f}", more])
    head = ["", "CPU s", "µs a call", "peak MB", f"MB beyond {counts[0]:,}"]
    print_table("A fan-out over the rows of a file", head, table)


if __name__ == "__main__":
    main()
