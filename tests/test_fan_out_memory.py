"""What a run keeps of each item that is through: a few columns, whatever its prompt and its answer were."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.scheduling import events as ev
from llmflow.views.view import RunContext

STAGES = """
providers: {mock: {kind: mock, workers: 16, answers: "{'fine, ' * 40}"}}
defaults: {model: mock/any}
tasks:
  one: {foreach: {file: rows.jsonl}, prompt: "Say {{ item.text }}"}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: "Again: {{ item }}"}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree}, prompt: "{{ items }}"}
"""


class Held:
    """A view that looks, when all has ended, at what is still held."""

    def __init__(self) -> None:
        self.bytes = self.tasks = 0

    def start(self, context: RunContext) -> None:
        self._state = context.state

    def on_events(self, events: Sequence[ev.Event]) -> None:
        if any(isinstance(event, ev.RunFinished) for event in events):
            gc.collect()
            self.bytes, self.tasks = tracemalloc.get_traced_memory()[0], len(self._state.status)

    def tick(self) -> None:
        """Time that passes is not of interest."""

    def note(self, text: str) -> None:
        """Nor is what is said."""

    def close(self) -> None:
        """Nothing is held."""


def held(folder: Path, rows: int) -> Held:
    (folder / "p.yaml").write_text(STAGES, encoding="utf-8")
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f'{{"text": "row {n} {"with many words in it " * 10}"}}\n' for n in range(rows))
    compiled = bind(load_file(str(folder / "p.yaml")), model_choice(()), None)
    view = Held()
    options = RunOptions(
        inputs={}, policy="critical-path", beliefs=believed(compiled, None), environment={}, learns=False, views=[view]
    )
    assert asyncio.run(execute(compiled, options)).status == "succeeded"
    return view


def test_an_item_that_has_gone_through_two_stages_and_a_tree_leaves_a_few_columns(tmp_path: Path) -> None:
    held(tmp_path, 50)  # whatever is imported or cached once
    tracemalloc.start()
    try:
        few, many = held(tmp_path, 200), held(tmp_path, 1_500)
    finally:
        tracemalloc.stop()
    assert many.tasks - few.tasks > 2_700
    each = (many.bytes - few.bytes) / (many.tasks - few.tasks)
    assert each < 180, f"{each:.0f} bytes a task"
