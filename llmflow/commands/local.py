"""`llmflow local pull`: the embedded model ahead of its first use."""

from __future__ import annotations

import os
import sys

from llmflow.commands.console import deliver
from llmflow.providers.local_model import fetch_model, show_progress


def pull() -> int:
    """Fetch and check the model unless it is here; print where it is."""
    with show_progress(sys.stderr) as report:
        path = fetch_model(report, os.environ)
    deliver(str(path))
    return 0
