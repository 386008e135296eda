"""The tutorial: every file in it is whole and is run, and its steps add up to the language.

That each command gives what stands below it is checked with the other pages, in test_docs.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import EXAMPLES, llmflow
from test_docs import blocks, commands

from llmflow.language.loader import load

PAGE = EXAMPLES.parent / "docs" / "tutorial.md"
FILES = {
    found[1]: block.text
    for block in blocks(PAGE)
    if (found := re.match(r"# (\w+\.(?:yaml|py))\n", block.text)) is not None
}
STEPS = [name for name in FILES if name.startswith("step")]
RUN = {
    word
    for block in blocks(PAGE)
    if block.language == "console"
    for command, _ in commands(block)
    for word in command.split()
}

FEATURES = [
    "schema",
    "foreach",
    "value",
    "when",
    "trigger_rule",
    "repeat",
    "uses",
    "python",
    "command",
    "finally",
    "on_error",
    "workers",
    "approve",
    "outputs",
    "inputs",
    "estimate",
    "validate",
    "retry",
    "stdin",
    "args",
    "with",
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_block_but_commands_is_a_whole_file_with_a_name() -> None:
    assert len(FILES) == sum(block.language in ("yaml", "python") for block in blocks(PAGE))
    assert [f"step{number}.yaml" for number in range(1, len(STEPS) + 1)] == STEPS


def test_every_step_is_run() -> None:
    assert [name for name in STEPS if name not in RUN] == []


@pytest.mark.parametrize("name", STEPS)
def test_every_step_can_be_checked_planned_and_drawn(name: str, written: Path) -> None:
    for command in ("validate", "plan", "graph"):
        ended = llmflow(command, name, cwd=written)
        assert (ended.code, ended.err) == (0, ""), command


@pytest.mark.parametrize("name", STEPS)
def test_no_step_needs_a_key_or_a_network(name: str, written: Path) -> None:
    pipeline = load(str(written / name))
    assert {spec.kind for spec in pipeline.providers.values()} <= {"simulated", "mock"}


def test_the_steps_show_the_language() -> None:
    text = "".join(FILES.values())
    assert [key for key in FEATURES if re.search(rf"\b{key}:", text) is None] == []
