"""What a wrong pipeline file gets: every problem at once, in its place, with the way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmflow.errors import PipelineError
from llmflow.language.loader import load
from llmflow.language.pipeline_files import MAX_BYTES

GOLDEN = Path(__file__).parent / "golden" / "loader_errors"
CASES = sorted(path.stem for path in GOLDEN.glob("*.yaml"))


def errors_of(path: Path | str, text: str | bytes | None = None) -> str:
    if isinstance(text, str):
        text = text.encode()
    with pytest.raises(PipelineError) as caught:
        load(path, text=text)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_told_all_its_mistakes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    assert errors_of(f"{case}.yaml") + "\n" == (GOLDEN / f"{case}.txt").read_text(encoding="utf-8")


def test_ten_different_mistakes_show_all_ten() -> None:
    with pytest.raises(PipelineError) as caught:
        load(GOLDEN / "ten_mistakes.yaml")
    problems = caught.value.problems
    assert len(problems) >= 10
    assert all(p.mark.line and p.mark.column and p.source for p in problems)
    assert [p.mark.line for p in problems] == sorted(p.mark.line for p in problems)


def test_no_message_repeats_a_key() -> None:
    text = errors_of(GOLDEN / "api_keys.yaml")
    for secret in ("0123456789abcdef", "abcdefgh12345678", "f3a8b1c9d7e2", "sk-"):
        assert secret not in text


def test_a_password_in_a_url_is_not_repeated() -> None:
    text = 'providers: {a: {kind: openai, base_url: "http://me:hunter2@example.org"}}\ntasks: {a: {prompt: x}}\n'
    assert "hunter2" not in errors_of("-", text)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "nosuch.yaml"
    assert errors_of(path) == f"{path}: there is no such file"


def test_a_folder_is_no_pipeline(tmp_path: Path) -> None:
    assert errors_of(tmp_path) == f"{tmp_path}: cannot be read: is a directory"


def test_escape_sequences_in_names_do_not_reach_the_terminal() -> None:
    text = errors_of("-", 'tasks: {"\\e]0;owned\\a": {prompt: x}}\n')
    assert "\x1b" not in text
    assert "\x07" not in text


def test_escape_sequences_in_a_prompt_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("\x1b[2J {{ tasks.nobody.output }}\n")
    (tmp_path / "a.yaml").write_text("tasks: {a: {prompt_file: p.md}}\n")
    assert errors_of(tmp_path / "a.yaml") == (
        f"{tmp_path}/p.md:1:9: unknown task `nobody`\n    �[2J {{{{ tasks.nobody.output }}}}\n            ^"
    )


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.md").write_text("secret")
    (inside / "link.md").symlink_to(tmp_path / "secret.md")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "a.yaml").write_text(
        "tasks:\n  a: {prompt_file: link.md}\n  b: {prompt_file: folder/secret.md}\n"
        "  c: {prompt_file: folder/nosuch.md}\n"
    )
    text = errors_of(inside / "a.yaml")
    assert text.count("leads outside the folder of the pipeline") == 2
    assert "`folder/nosuch.md` cannot be read" in text


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("Hello")
    (tmp_path / "link.md").symlink_to("p.md")
    (tmp_path / "a.yaml").write_text("tasks:\n  a: {prompt_file: link.md}\n")
    assert load(tmp_path / "a.yaml").tasks["a"].messages[0].content.source == "Hello"


def test_a_pipe_as_prompt_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.yaml").write_text("tasks: {a: {prompt_file: pipe}}\n")
    assert "`pipe` is not a regular file" in errors_of(tmp_path / "a.yaml")


def test_items_from_a_pipe_or_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    text = "tasks: {{a: {{foreach: {{file: {}}}, value: x}}}}\n"
    assert "`rows.jsonl` is not a regular file" in errors_of(tmp_path / "a.yaml", text.format("rows.jsonl"))
    (tmp_path / "rows.csv").mkdir()
    assert "`rows.csv` is a folder" in errors_of(tmp_path / "a.yaml", text.format("rows.csv"))


def test_a_prompt_file_has_a_largest_size(tmp_path: Path) -> None:
    with open(tmp_path / "big.md", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    (tmp_path / "a.yaml").write_text("tasks: {a: {prompt_file: big.md}}\n")
    assert "`big.md` is larger than 8 MiB" in errors_of(tmp_path / "a.yaml")


def test_a_key_in_a_prompt_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("Hello\nmy key: sk-abcdefgh0123456789\n")
    (tmp_path / "a.yaml").write_text("tasks: {a: {prompt_file: p.md}}\n")
    text = errors_of(tmp_path / "a.yaml")
    assert text.startswith(f"{tmp_path}/p.md:2:9: this looks like an API key\n")
    assert "0123456789" not in text


def test_a_mistake_behind_an_alias_is_told_once() -> None:
    text = "base: &b {promt: x}\ntasks: {a: *b, b: *b}\n"
    assert errors_of("-", text).count("unknown key `promt`") == 1


def test_thousands_of_wrong_references_are_told_without_comparing_names_for_ever() -> None:
    lines = ["tasks:"]
    for n in range(3000):
        lines.append(f'  t{n}: {{prompt: "{{{{ tasks.u{n}.output }}}}"}}')
    assert errors_of("-", "\n".join(lines)).count("unknown task") == 3000
