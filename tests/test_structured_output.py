"""Structured answers end to end: what is sent to a provider's own mode, what is checked, when it is asked again."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import EXAMPLES, llmflow, pipeline
from fake_server import FakeServer, Reply, Seen

SCHEMA = {
    "type": "object",
    "properties": {"label": {"enum": ["bug", "praise"]}, "urgency": {"type": "integer"}},
    "required": ["label", "urgency"],
    "additionalProperties": False,
}
SHORTHAND = 'schema: {label: "enum[bug, praise]", urgency: integer}'
GOOD = json.dumps({"label": "bug", "urgency": 4})

PIPELINE = """
name: structured
providers:
  them: {{kind: {kind}, base_url: "{url}"}}
tasks:
  t:
    prompt: "Classify this"
    model: them/fake-large
    {fields}
"""


def run(folder: Path, kind: str, fields: str, *replies: Reply) -> tuple[int, dict[str, Any], list[Seen]]:
    with FakeServer() as server:
        server.script(*replies)
        url = server.openai_url if kind == "openai" else server.anthropic_url
        ended = llmflow("run", str(pipeline(folder, PIPELINE.format(kind=kind, url=url, fields=fields))), "--json")
        seen = list(server.requests)
    assert ended.out, ended.err
    said = json.loads(ended.out)
    return ended.code, {**said["tasks"]["t"], "output": said["outputs"]}, seen


def schema_sent(seen: Seen, kind: str) -> Any:
    """The schema in the provider's own structured mode."""
    if kind == "openai":
        assert seen.body["response_format"]["type"] == "json_schema"
        return seen.body["response_format"]["json_schema"]["schema"]
    assert seen.body["output_config"]["format"]["type"] == "json_schema"
    return seen.body["output_config"]["format"]["schema"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("fields", [SHORTHAND, f"json_schema: {json.dumps(SCHEMA)}", "json_schema: s.json"])
def test_the_schema_is_sent_in_the_provider_s_own_mode(kind: str, fields: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(SCHEMA))
    code, task, (seen,) = run(tmp_path, kind, f"output: {{{fields}}}", Reply(text=GOOD))
    assert (code, task["output"]) == (0, {"label": "bug", "urgency": 4})
    sent = schema_sent(seen, kind)
    assert sent["required"] == ["label", "urgency"]
    assert sent["additionalProperties"] is False
    assert sent["properties"]["label"]["enum"] == ["bug", "praise"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "bad", ['{"label": "bug"}', '{"label": "joke", "urgency": 1}', '{"label": "bug", "urgency": "4"}', "[]", "bug"]
)
def test_the_answer_is_checked_all_the_same_and_asked_for_again_with_the_reason(
    kind: str, bad: str, tmp_path: Path
) -> None:
    code, task, seen = run(tmp_path, kind, f"output: {{{SHORTHAND}}}", Reply(text=bad), Reply(text=GOOD))
    assert (code, task["output"]) == (0, {"label": "bug", "urgency": 4})
    first, second = (s.body["messages"] for s in seen)
    assert [m["role"] for m in second] == [*(m["role"] for m in first), "assistant", "user"]
    assert bad in json.dumps(second[-2]["content"]).encode().decode("unicode_escape")
    assert second[-1]["content"]


def test_without_feedback_it_is_asked_the_same_again(tmp_path: Path) -> None:
    fields = f"output: {{{SHORTHAND}, on_invalid: {{attempts: 3, feedback: false}}}}"
    code, _, seen = run(tmp_path, "openai", fields, *[Reply(text="no")] * 2, Reply(text=GOOD))
    assert code == 0
    assert seen[0].body["messages"] == seen[1].body["messages"] == seen[2].body["messages"]


def test_the_answers_that_are_paid_for_are_bounded(tmp_path: Path) -> None:
    code, task, seen = run(tmp_path, "openai", f"output: {{{SHORTHAND}}}", *[Reply(text="no")] * 9)
    assert (code, task["status"], task["error"]["kind"], len(seen)) == (1, "failed", "invalid_output", 2)


def test_validate_is_a_reason_to_ask_again(tmp_path: Path) -> None:
    fields = f'output: {{{SHORTHAND}, validate: ["output.urgency < 4", "output.label == \'bug\'"]}}'
    less = json.dumps({"label": "bug", "urgency": 3})
    code, task, seen = run(tmp_path, "openai", fields, Reply(text=GOOD), Reply(text=less))
    assert (code, task["output"]["urgency"], len(seen)) == (0, 3, 2)
    assert "output.urgency < 4" in seen[1].body["messages"][-1]["content"]


def test_a_fenced_answer_is_the_same_answer(tmp_path: Path) -> None:
    code, task, seen = run(tmp_path, "openai", f"output: {{{SHORTHAND}}}", Reply(text=f"```json\n{GOOD}\n```"))
    assert (code, task["output"], len(seen)) == (0, {"label": "bug", "urgency": 4}, 1)


# ---- answers that are cut off --------------------------------------------------------------------------


def limit(seen: Seen) -> int:
    return int(seen.body.get("max_completion_tokens") or seen.body.get("max_tokens"))


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_cut_off_answer_fails_and_is_never_parsed(kind: str, tmp_path: Path) -> None:
    code, task, seen = run(tmp_path, kind, f"output: {{{SHORTHAND}}}", Reply(text=GOOD, finish="length"))
    assert (code, task["status"], task["error"]["kind"], len(seen)) == (1, "failed", "truncated", 1)


def test_a_cut_off_text_can_be_kept(tmp_path: Path) -> None:
    code, task, seen = run(tmp_path, "openai", "output: {on_truncated: keep}", Reply(text="half", finish="length"))
    assert (code, task["output"], len(seen)) == (0, "half", 1)


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_extend_asks_again_with_twice_the_tokens_at_most_twice(kind: str, tmp_path: Path) -> None:
    fields = "params: {max_output_tokens: 10}\n    output: {on_truncated: extend}"
    cut = Reply(text="half", finish="length")
    code, task, seen = run(tmp_path, kind, fields, cut, cut, Reply(text="whole"))
    assert (code, task["output"], [limit(s) for s in seen]) == (0, "whole", [10, 20, 40])
    code, task, seen = run(tmp_path, kind, fields, cut, cut, cut, cut)
    assert (code, task["error"]["kind"], [limit(s) for s in seen]) == (1, "truncated", [10, 20, 40])


# ---- images ----------------------------------------------------------------------------------------------


def test_images_reach_both_protocols_as_the_file_s_bytes(tmp_path: Path) -> None:
    data = (EXAMPLES / "data" / "dark.png").read_bytes()
    (tmp_path / "dark.png").write_bytes(data)
    for kind in ("openai", "anthropic"):
        code, _, (seen,) = run(tmp_path, kind, "images: [dark.png, 'dark.png']", Reply(text="black"))
        assert code == 0
        content = seen.body["messages"][-1]["content"]
        assert [part["text"] for part in content if part["type"] == "text"] == ["Classify this"]
        if kind == "openai":
            urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
            sent = [base64.b64decode(url.removeprefix("data:image/png;base64,")) for url in urls]
        else:
            sources = [part["source"] for part in content if part["type"] == "image"]
            assert {source["media_type"] for source in sources} == {"image/png"}
            sent = [base64.b64decode(source["data"]) for source in sources]
        assert sent == [data, data]


# ---- the real model ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("local_model")
def test_the_embedded_model_can_give_no_other_answer_than_the_schema_s(tmp_path: Path) -> None:
    text = """
    name: grammar
    defaults: {model: local/smollm2, params: {temperature: 0, max_output_tokens: 60}}
    tasks:
      t:
        prompt: "Tell me a long story about the sea."
        output:
          schema: {label: "enum[bug, praise]", sure: boolean}
          on_invalid: {attempts: 1}
    """
    ended = llmflow("run", str(pipeline(tmp_path, text)))
    assert ended.code == 0, ended.err
    answer = json.loads(ended.out)
    assert set(answer) == {"label", "sure"}
    assert answer["label"] in ("bug", "praise")
    assert isinstance(answer["sure"], bool)
