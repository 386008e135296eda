"""The JSON Schema of a pipeline file, made from the field definitions: for completion and hover in editors."""

from __future__ import annotations

from typing import Any

from llmflow.language.fields import PIPELINE

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What YAML language servers understand best."""


def json_schema() -> dict[str, Any]:
    """The schema as plain data. It takes every file that the loader takes; the loader checks more."""
    schema = PIPELINE.schema()
    return {
        "$schema": DIALECT,
        "title": "llmflow pipeline",
        "description": "A workflow of language-model calls.",
        **schema,
    }
