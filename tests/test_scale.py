"""100,000 items cost what a window of them costs, and a few numbers each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import resource, sys
from llmflow.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""
HEAD = """
inputs: {rows: {type: file, format: jsonl}}
providers: {mock: {kind: mock, workers: 64, answers: fine}}
defaults: {model: mock/any}
"""
ONE_STAGE = """
tasks:
  each: {foreach: "{{ inputs.rows }}", prompt: "Say {{ item.text }}", save: lines.jsonl}
  done: {value: all, depends_on: [each]}
"""
FLOWING = """
tasks:
  one: {foreach: "{{ inputs.rows }}", prompt: "Say {{ item.text }}"}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: "Again: {{ item }}"}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree}, prompt: "{{ items }}"}
"""
PER_ITEM = 300
"""Bytes per node that may be kept: 30 MB for 100,000."""

SLACK = 4
"""Megabytes for caches that fill up once, whatever the number of items."""


def megabytes(folder: Path, tasks: str, items: int) -> int:
    """The peak of a whole `llmflow run` over so many items, in a process of its own."""
    folder.mkdir()
    (folder / "p.yaml").write_text(HEAD + tasks, encoding="utf-8")
    rows = "".join(f'{{"id": {n}, "text": "row {n} with some words"}}\n' for n in range(items))
    (folder / "rows.jsonl").write_text(rows, encoding="utf-8")
    words = ["run", "p.yaml", "-i", "rows=@rows.jsonl", "--store", str(folder / "store")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("tasks", "nodes_per_item"), [(ONE_STAGE, 1), (FLOWING, 2.1)], ids=["one stage", "two and a tree"]
)
def test_more_items_take_a_few_bytes_each(tmp_path: Path, tasks: str, nodes_per_item: float) -> None:
    few, many = megabytes(tmp_path / "few", tasks, 2_000), megabytes(tmp_path / "many", tasks, 20_000)
    assert many - few <= SLACK + 18_000 * nodes_per_item * PER_ITEM / 2**20
