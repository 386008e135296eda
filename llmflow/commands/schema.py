"""`llmflow schema`: the JSON Schema of pipelines, for editors."""

from __future__ import annotations

from llmflow.commands.console import as_json, deliver
from llmflow.language.schema import json_schema


def schema(output: str | None = None) -> int:
    """Print it, or write it to `output`."""
    deliver(as_json(json_schema()), output)
    return 0
