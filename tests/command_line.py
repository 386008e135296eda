"""Runs `llmflow` as a person does, in a process of its own, for the tests of commands, examples and docs.

    ended = llmflow("run", "hello.yaml", "-i", "text=Ada", cwd=tmp_path)
    assert ended == Ended(0, "Dear Ada\\n", "…")

What a run says holds times and an id that nobody can know: `masked` puts fixed words in their place, so that
whole outputs can be compared.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import llmflow as package

PROGRAM = (sys.executable, "-m", "llmflow")
EXAMPLES = Path(package.__file__).parents[1] / "examples"
DURATION = 120.0
"""Seconds after which a command counts as hung."""

_MASKS = (
    (re.compile(r"^(time {10}).*$", re.MULTILINE), r"\1WHERE IT WENT"),
    (re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b"), "RUN"),
    (re.compile(r"^ *\d+\.\d\d  ", re.MULTILINE), "TIME  "),
    (re.compile(r"\b\d+\.\d+(e-\d+)?\b"), "N.N"),
    (re.compile(r"\b\d+ %"), "N %"),
)


@dataclass(frozen=True)
class Ended:
    """How a command ended, with all it wrote."""

    code: int
    out: str
    err: str


def llmflow(*words: str, cwd: Path | None = None, stdin: str = "", **environment: str) -> Ended:
    """Run it to its end without a terminal; `environment` goes on top of the test's own."""
    done = subprocess.run(
        [*PROGRAM, *words],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "80", **environment},
        timeout=DURATION,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def masked(text: str) -> str:
    """`text` with run ids, times and shares made the same for every run."""
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    return text


def pipeline(folder: Path, text: str, name: str = "p.yaml") -> Path:
    """Write a pipeline file."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
