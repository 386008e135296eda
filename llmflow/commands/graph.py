"""`llmflow graph`: the shape of a pipeline, drawn. Offline: no key, no import, no network, nothing of it executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence

from llmflow.binding.estimates import believed
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.binding.outline import outline_of
from llmflow.commands.console import deliver
from llmflow.errors import UsageError
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.reports.graph_dot import render_dot
from llmflow.reports.graph_mermaid import render_mermaid
from llmflow.reports.graph_outline import Outline
from llmflow.reports.graph_terminal import render_terminal

FORMATS: dict[str, Callable[[Outline], str]] = {
    "terminal": lambda outline: render_terminal(outline, columns=shutil.get_terminal_size((100, 24)).columns),
    "mermaid": render_mermaid,
    "dot": render_dot,
}


def graph(
    file: str,
    *,
    style: str = "terminal",
    workers: str | None = None,
    models: Sequence[str] = (),
    store: str | None = None,
    output: str | None = None,
) -> int:
    """Print the graph in one of `FORMATS`."""
    if style not in FORMATS:
        raise UsageError(f"--format takes {', '.join(FORMATS)}, not {style!r}")
    choice = model_choice(models)
    compiled = bind(load_file(file, choice), choice, workers)
    history = Store.open_if_there(store_dir(store, os.environ))
    try:
        outline = outline_of(compiled, believed(compiled, history).estimates, history)
    finally:
        if history is not None:
            history.close()
    deliver(FORMATS[style](outline), output)
    return 0
