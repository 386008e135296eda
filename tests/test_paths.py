"""Files that a pipeline names at run time stay below its folder and are regular files, whatever a model answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_line import EXAMPLES, llmflow, pipeline

LEAVING = [
    "../secret.txt",
    "link.txt",
    "out/secret.txt",
    "/dev/zero",
    "zero.jsonl",
    "/proc/self/environ",
    "a/../../secret.txt",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder with ways out of it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.png").write_bytes((EXAMPLES / "data" / "dark.png").read_bytes())
    (inside / "link.txt").symlink_to("../secret.txt")
    (inside / "link.png").symlink_to("../secret.png")
    (inside / "zero.jsonl").symlink_to("/dev/zero")
    (inside / "out").symlink_to(tmp_path)
    for name in ("pipe.jsonl", "pipe.png", "pipe.txt"):
        os.mkfifo(inside / name)
    return inside


def said_by_a_model(folder: Path, answer: str, task: str) -> tuple[str, str]:
    """The status of a task that uses a model's answer as a path, and all that was written on the way."""
    text = f"""
    name: paths
    providers: {{mock: {{answers: {{path: {json.dumps(answer)}, t: fine}}}}}}
    defaults: {{model: mock/any}}
    tasks:
      path: {{prompt: x}}
      t: {task}
    """
    ended = llmflow("run", str(pipeline(folder, text)), "--json")
    return json.loads(ended.out)["tasks"]["t"]["status"], ended.out + ended.err


@pytest.mark.parametrize("answer", [*LEAVING, "pipe.jsonl"])
def test_a_foreach_reads_no_file_outside(answer: str, folder: Path) -> None:
    task = "{foreach: {items: {file: '{{ tasks.path.output }}'}}, value: '{{ item }}'}"
    status, text = said_by_a_model(folder, answer, task)
    assert status == "failed"
    assert "secret\n" not in text


@pytest.mark.parametrize("answer", ["../secret.png", "link.png", "out/secret.png", "/dev/zero", "pipe.png"])
def test_no_image_outside_is_sent(answer: str, folder: Path) -> None:
    assert said_by_a_model(folder, answer, "{prompt: x, images: '{{ tasks.path.output }}'}")[0] == "failed"


@pytest.mark.parametrize(
    "answer", ["../made.txt", "link.txt", "out/made.txt", "/tmp/llmflow-made.txt", "a/../../made.txt"]
)
def test_nothing_is_saved_outside(answer: str, folder: Path) -> None:
    assert said_by_a_model(folder, answer, "{prompt: x, save: '{{ tasks.path.output }}'}")[0] == "failed"
    assert (folder.parent / "secret.txt").read_text() == "secret"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["inside", "secret.png", "secret.txt"]


@pytest.mark.parametrize("command", ["plan", "graph", "validate", "run"])
def test_a_pipe_that_is_written_out_is_waited_for_by_no_command(command: str, folder: Path) -> None:
    path = pipeline(folder, "tasks: {t: {foreach: {items: {file: pipe.jsonl}}, value: '{{ item }}'}}")
    assert llmflow(command, str(path)).code in (0, 1, 2)


HOSTILE = [
    "; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a\ntouch pwned",
    "-rf",
    "--help",
    "' && touch pwned '",
    "| touch pwned",
]


@pytest.mark.parametrize("answer", HOSTILE)
def test_an_answer_is_no_part_of_a_command(answer: str, tmp_path: Path) -> None:
    text = f"""
    name: shell
    providers: {{mock: {{answers: {json.dumps(answer)}}}}}
    defaults: {{model: mock/any}}
    tasks:
      said: {{prompt: x}}
      args: {{command: [printf, '%s'], args: ['{{{{ tasks.said.output }}}}']}}
      stdin: {{command: cat, stdin: '{{{{ tasks.said.output }}}}'}}
      env: {{command: [sh, -c, 'printf %s "$SAID"'], env: {{SAID: '{{{{ tasks.said.output }}}}'}}}}
      shell: {{command: 'printf %s "$1"', shell: true, args: ['{{{{ tasks.said.output }}}}']}}
    """
    ended = llmflow("run", str(pipeline(tmp_path, text)), cwd=tmp_path)
    assert (ended.code, json.loads(ended.out)) == (0, dict.fromkeys(["args", "stdin", "env", "shell"], answer))
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]
