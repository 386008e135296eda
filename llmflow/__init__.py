"""llmflow runs workflows of language-model calls, written in YAML, in the shortest time their graph allows.

For Python programs: `llmflow.run(path, inputs={…}) -> RunResult` and its async twin `llmflow.run_async`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["RunResult", "__version__", "run", "run_async"]

if TYPE_CHECKING:
    from llmflow.binding.api import RunResult, run, run_async


def __getattr__(name: str) -> Any:
    """Load the engine only when a program asks for it: `llmflow --help` does not."""
    if name in ("RunResult", "run", "run_async"):
        from llmflow.binding import api

        return getattr(api, name)
    raise AttributeError(f"module 'llmflow' has no attribute {name!r}")
