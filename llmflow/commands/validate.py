"""`llmflow validate`: every mistake of every file, with its place."""

from __future__ import annotations

from collections.abc import Sequence

from llmflow.binding.loading import load_file
from llmflow.commands.console import deliver, say
from llmflow.errors import PipelineError
from llmflow.quantities import plural


def validate(files: Sequence[str]) -> int:
    """0 if all are right, else 2."""
    code = 0
    for file in files:
        try:
            pipeline = load_file(file)
        except PipelineError as error:
            say(str(error))
            say(f"{file}: {plural(len(error.problems), 'problem')}")
            code = error.exit_code
        else:
            deliver(f"{file}: {plural(len(pipeline.tasks), 'task')}, no problem")
    return code
