"""A run whose prompts and answers are kept out of the history."""

from __future__ import annotations

from pathlib import Path

from command_line import llmflow, masked, pipeline

SECRET = "ornithopter"
TEXT = """\
inputs: {thing: {}}
providers: {mock: {answers: {ask: "an ornithopter", wrong: "ornithopter, but no JSON"}}}
defaults: {model: mock/m}
tasks:
  ask: {prompt: "An ornithopter or {{ inputs.thing }}?"}
  wrong: {prompt: "{{ tasks.ask.output }}", output: {schema: {a: string}, on_invalid: {attempts: 1}}}
"""


def test_nothing_that_was_said_is_left_and_nobody_can_go_on(tmp_path: Path, own_home: Path) -> None:
    path = pipeline(tmp_path, TEXT)
    ended = llmflow("run", str(path), "-i", f"thing={SECRET}", "--no-content", "--plain")
    assert ended.code == 1
    first, *_, last = ended.err.splitlines()
    assert first == "prompts and answers are kept out of the history: nobody can go on with this run later"
    assert last == "this run kept no content (--no-content): nobody can go on with it"
    left = [file for file in own_home.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert left == []
    resumed = llmflow("run", str(path), "--resume")
    assert (resumed.code, resumed.out) == (2, "")
    assert masked(resumed.err) == (
        "run RUN kept no content (--no-content), so nobody can go on with it\n  hint: run it anew\n"
    )
    assert llmflow("show", "last").code == 0
    shown = llmflow("show", "last", "ask").out
    assert "content     not kept (--no-content)\n" in shown
    assert shown.splitlines()[-1].startswith("  mock/m · "), "no answer is made up in its place"
    assert llmflow("stats", str(path)).code == 0


def test_a_run_that_keeps_its_content_does_leave_it(tmp_path: Path, own_home: Path) -> None:
    assert llmflow("run", str(pipeline(tmp_path, TEXT)), "-i", f"thing={SECRET}").code == 1
    assert SECRET.encode() in b"".join(file.read_bytes() for file in own_home.rglob("*") if file.is_file())
