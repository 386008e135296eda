"""A list of models: who is asked next and after what, against a server that speaks both protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import llmflow, pipeline
from fake_server import FakeServer, Reply

OPENAI, ANTHROPIC = "/v1/chat/completions", "/v1/messages"

PIPELINE = """
name: fallback
providers:
  first: {{kind: openai, base_url: "{openai}"}}
  second: {{kind: anthropic, base_url: "{anthropic}"}}
models:
  best: [first/fake-large, second/fake-small]
tasks:
  t:
    prompt: "Say hello"
    model: best
    retry: {{max_attempts: 2, backoff: {{initial: 10ms, jitter: false}}}}
    {more}
"""


def run(folder: Path, *replies: Reply, more: str = "") -> tuple[int, dict[str, Any], list[str]]:
    """Exit code, the task as `--json` tells it, and where requests went."""
    with FakeServer() as server:
        server.script(*replies)
        text = PIPELINE.format(openai=server.openai_url, anthropic=server.anthropic_url, more=more)
        ended = llmflow("run", str(pipeline(folder, text)), "--json")
        paths = [seen.path for seen in server.requests if seen.method == "POST"]  # not the list of models for a hint
    said = json.loads(ended.out)
    return ended.code, {**said["tasks"]["t"], "output": said["outputs"]}, paths


def error(status: int, code: str, message: str = "no") -> Reply:
    return Reply(status=status, body={"error": {"message": message, "type": code, "code": code}})


AUTH = error(401, "invalid_api_key")
QUOTA = error(429, "insufficient_quota", "You exceeded your current quota")
NOT_FOUND = error(404, "model_not_found")
CONTEXT = error(400, "context_length_exceeded", "This model's maximum context length is 10 tokens")


@pytest.mark.parametrize("reply", [AUTH, QUOTA, NOT_FOUND, CONTEXT], ids=["auth", "quota", "not_found", "context"])
def test_what_will_not_get_better_here_goes_to_the_next_model_at_once(reply: Reply, tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, reply, Reply(text="hello from the second"))
    assert (code, task["status"], task["output"]) == (0, "succeeded", "hello from the second")
    assert paths == [OPENAI, ANTHROPIC]


def test_used_up_attempts_go_to_the_next_model_which_gets_its_own(tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, Reply(status=500), Reply(status=500), Reply(status=529), Reply(text="at last"))
    assert (code, task["output"]) == (0, "at last")
    assert paths == [OPENAI, OPENAI, ANTHROPIC, ANTHROPIC]
    assert task["attempts"] == 4


def test_the_last_model_s_failure_is_the_task_s(tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, AUTH, Reply(status=500), Reply(status=500))
    assert (code, task["status"], task["error"]["kind"]) == (1, "failed", "server")
    assert paths == [OPENAI, ANTHROPIC, ANTHROPIC]


def test_a_dead_endpoint_goes_to_the_next_model(tmp_path: Path) -> None:
    with FakeServer() as server:
        text = PIPELINE.format(openai="http://127.0.0.1:9/v1", anthropic=server.anthropic_url, more="")
        server.script(Reply(text="alive"))
        ended = llmflow("run", str(pipeline(tmp_path, text)))
        assert (ended.code, ended.out) == (0, "alive\n"), ended.err
        assert [seen.path for seen in server.requests] == [ANTHROPIC]


def test_a_refusal_is_an_answer_and_nobody_else_is_asked(tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, Reply(text="", finish="content_filter"))
    assert (code, task["status"], task["error"]["kind"]) == (1, "failed", "refusal")
    assert paths == [OPENAI]


def test_an_invalid_answer_is_asked_for_again_here_and_nobody_else_is_asked(tmp_path: Path) -> None:
    answers = [Reply(text="no JSON")] * 2
    code, task, paths = run(tmp_path, *answers, more="output: {schema: {n: integer}}")
    assert (code, task["error"]["kind"]) == (1, "invalid_output")
    assert paths == [OPENAI, OPENAI]


def test_a_wrong_request_is_wrong_everywhere(tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, error(400, "invalid_request_error"))
    assert (code, task["error"]["kind"]) == (1, "invalid_request")
    assert paths == [OPENAI]


def test_an_answer_that_no_model_gave_can_have_a_default(tmp_path: Path) -> None:
    code, task, paths = run(tmp_path, AUTH, AUTH, more='on_error: {default: "(none)"}')
    assert (code, task["status"], task["output"]) == (0, "failed", "(none)")
    assert paths == [OPENAI, ANTHROPIC]
