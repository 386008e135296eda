"""What comes before any run or plan: the file, the words a person said about it, the graph they make."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from difflib import get_close_matches
from pathlib import Path

from llmflow.binding.compile import Compiled, compile_pipeline
from llmflow.binding.models import ModelChoice, config_file, default_model
from llmflow.errors import UsageError
from llmflow.language.durations import parse_duration
from llmflow.language.loader import load
from llmflow.language.pipeline import UNLIMITED, Pipeline
from llmflow.scheduling.policies import DEFAULT_POLICY, POLICIES


def load_file(file: str, choice: ModelChoice | None = None) -> Pipeline:
    """Read and check `file`; `-` is standard input. Raises PipelineError with all problems."""
    return load(file, aliases=choice.aliases if choice is not None else None)


def parse_workers(text: str | None, what: str = "--workers") -> int | None:
    """`-j` → a number, 0 for `unlimited`, None if it was not given. `what` names the place in a UsageError."""
    if text is None:
        return None
    if text == "unlimited":
        return UNLIMITED
    try:
        workers = int(text)
    except ValueError:
        workers = 0
    if workers < 1:
        raise UsageError(f"{what} takes a number from 1 or `unlimited`, not {text!r}")
    return workers


def parse_budget(text: str | None) -> float | None:
    """`--plan-budget` → seconds; `0` needs no unit; None if it was not given."""
    if text is None:
        return None
    if text.strip() == "0":
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--plan-budget: {error}") from error


def choose_policy(pipeline: Pipeline, named: str | None) -> str:
    """The command line's policy, else the file's, else the default."""
    name = named or pipeline.scheduling.policy or DEFAULT_POLICY
    if name not in POLICIES:
        near = get_close_matches(name, POLICIES, n=1)
        raise UsageError(
            f"no policy {name!r}", f"did you mean {near[0]}?" if near else f"policies: {', '.join(POLICIES)}"
        )
    return name


def bind(
    pipeline: Pipeline,
    choice: ModelChoice,
    workers: str | None,
    *,
    seed: int = 0,
    recalled: Container[str] = (),
) -> Compiled:
    """The pipeline bound to models and pools.

    `recalled`: tasks for which an answer may be at hand.
    """
    return compile_pipeline(
        pipeline,
        choice=choice,
        fallback_model=lambda: default_model(config_file(os.environ)),
        workers=parse_workers(workers),
        seed=seed,
        recalled=recalled,
    )


def model_choice(words: Sequence[str]) -> ModelChoice:
    return ModelChoice.parse(words)


def source_text(path: str) -> str:
    """The pipeline's own text, for the history; empty where it came from standard input."""
    return Path(path).read_text(encoding="utf-8", errors="replace") if os.path.isfile(path) else ""
