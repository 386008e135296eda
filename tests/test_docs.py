"""The README and the docs say what is so: their commands are run, their files are loaded, their links lead somewhere.

In a `console` block a line `$ command` is run in a folder of the page's own, and what follows must be what a
terminal shows. A line `…` stands for any number of lines; times, shares and run ids may differ, except in a plan,
which is exact. The commands of a `sh` block are run for their exit code. A `yaml` or `python` block is checked, and
written to the folder first if its first line is a comment with the name of a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import EXAMPLES, masked

from llmflow.errors import CallFailed, LlmflowError, SetupError, StoreError, StoreLocked, UsageError
from llmflow.errors import FailureKind as Kind
from llmflow.language.loader import load
from llmflow.providers.registry import KINDS
from llmflow.scheduling.policies import POLICIES

ROOT = EXAMPLES.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

PROVED_ELSEWHERE = {
    'pip install ".[local]" && llmflow run examples/review_triage.yaml': ".ci/run, in a virtual environment of its own",
    'pip install -e ".[local,test]" && llmflow local pull && python -m pytest': ".ci/run; this is what is running now",
    "llmflow run examples/review_triage.yaml > triage.json": "test_examples.py, on the real model",
    "export OPENAI_API_KEY=…": "nothing to run",
    "export ANTHROPIC_API_KEY=…": "nothing to run",
    'llmflow run examples/hosted_api.yaml -i topic="tide pools"': "test_examples.py, against the fake server",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: the language it names, its text, and the heading above it."""

    language: str
    text: str
    heading: str


def blocks(page: Path) -> list[Block]:
    found: list[Block] = []
    heading, language, lines = "", None, []
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line[3:].strip(), []
            else:
                found.append(Block(language, "\n".join(lines) + "\n", heading))
                language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line
    assert language is None, f"{page.name}: a fenced block has no end"
    return found


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """(command, the lines shown below it) of a `console` or `sh` block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if block.language == "sh":
            found.append((line, []))
        elif line.startswith("$ "):
            found.append((line[2:], []))
        else:
            assert found, f"a console block begins with `$ `: {block.text}"
            found[-1][1].append(line.rstrip())
    return found


def matches(shown: list[str], written: list[str]) -> bool:
    """`shown` is `written`, with `…` for any number of lines."""
    pattern = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line + "\n" for line in written)) is not None


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the command `llmflow`, to stand first in PATH."""
    script = tmp_path_factory.mktemp("bin") / "llmflow"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llmflow "$@"\n')
    script.chmod(0o755)
    return script.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader stands: the examples are here, and nothing else."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_what_happens(page: Path, folder: Path, programs: Path) -> None:
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    for block in blocks(page):
        name = re.match(r"# (\w+\.(?:yaml|py))\n", block.text)
        if name is not None:
            (folder / name[1]).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            subprocess.run([sys.executable, "-c", block.text], cwd=folder, check=True, capture_output=True, timeout=120)
        if block.language not in ("console", "sh"):
            continue
        for command, shown in commands(block):
            if command in PROVED_ELSEWHERE and block.language == "sh":
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=120,
                check=False,
            )
            if block.language == "sh":
                assert done.returncode == 0, f"{command}\n{done.stdout}"
                continue
            written = [line.rstrip() for line in done.stdout.splitlines()]
            if not command.startswith("llmflow plan"):
                shown, written = (masked("\n".join(lines)).split("\n") for lines in (shown, written))
            assert matches(shown, written), f"{page.name}: {command}\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pipelines_on_a_page_are_right_unless_they_show_what_is_wrong(page: Path, tmp_path: Path) -> None:
    wrong = {"wrong.yaml", "circle.yaml"}
    for number, block in enumerate(blocks(page)):
        if (code := re.match(r"# (\w+\.py)\n", block.text)) is not None:
            (tmp_path / code[1]).write_text(block.text, encoding="utf-8")
        if block.language != "yaml" or any(block.text.startswith(f"# {name}") for name in wrong):
            continue
        name = re.match(r"# (\w+\.yaml)\n", block.text)
        path = tmp_path / (name[1] if name is not None else f"{number}.yaml")
        whole = re.search(r"^tasks:", block.text, re.MULTILINE)
        path.write_text(block.text + ("" if whole else "tasks: {t: {prompt: x}}\n"), encoding="utf-8")
        assert load(str(path)).tasks, path.name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    broken = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    anchors = {re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()}
    broken += [target for target in targets if target.startswith("#") and target[1:] not in anchors]
    assert broken == []


def test_what_is_proved_elsewhere_still_stands_in_the_docs() -> None:
    written = {
        command for page in PAGES for block in blocks(page) if block.language == "sh" for command, _ in commands(block)
    }
    assert set(PROVED_ELSEWHERE) <= written


def test_the_readme_begins_with_one_command_to_start_and_one_to_test() -> None:
    readme = ROOT / "README.md"
    headings = re.findall(r"^## .*", readme.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["## Quick start", "## Tests"]
    for heading in headings[:2]:
        (block,) = [block for block in blocks(readme) if block.heading == heading]
        assert len(commands(block)) == 1


def test_the_unpublished_name_is_never_installed_from_an_index() -> None:
    pages = [*PAGES, ROOT / "CHANGELOG.md", *EXAMPLES.glob("*.yaml")]
    assert [page.name for page in pages if re.search(r"pip install \S*llmflow", page.read_text(encoding="utf-8"))] == []


def test_the_exit_codes_and_the_kinds_of_failure_are_all_explained() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    kinds = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    raised = {error.exit_code for error in (LlmflowError, UsageError, SetupError, StoreError, StoreLocked, CallFailed)}
    assert raised | {0, 130} <= codes
    assert kinds == [kind.value for kind in Kind]


def test_the_policies_are_all_explained() -> None:
    text = (ROOT / "docs" / "scheduling.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == sorted(POLICIES)


def test_the_providers_are_all_explained_with_their_key_and_their_workers() -> None:
    text = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .*? \| `?([\w ]+?)`? \| (\w+) \|$", text, re.MULTILINE)
    expected = [(name, kind.key_env or "none", str(kind.workers or "unlimited")) for name, kind in KINDS.items()]
    assert sorted(rows) == sorted(expected)


def test_every_test_that_a_page_names_is_there() -> None:
    named = {name for page in PAGES for name in re.findall(r"`(test_\w+\.py::test_\w+)`", page.read_text("utf-8"))}
    defined = {
        f"{path.name}::{name}"
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 30
    assert named - defined == set()
