"""Every example is run: on the real model, on simulated time, or against a server that speaks the hosted protocols."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import EXAMPLES, llmflow
from fake_server import FakeServer
from worked_example import DURATIONS, EDGES

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.runtime.clock import VirtualTimeLoop

WORKED = str(EXAMPLES / "worked_example.yaml")
MAKESPANS = [
    ("critical-path", "1", 95.0),
    ("fifo", "4", 62.0),
    ("critical-path", "4", 52.0),
    ("critical-path", "unlimited", 52.0),
]


def test_every_example_is_run_by_some_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    assert [path.name for path in sorted(EXAMPLES.glob("*.yaml")) if f'"{path.name}"' not in tests] == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_planned_without_a_key(path: Path) -> None:
    ended = llmflow("plan", str(path), "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["schema"] == "llmflow.plan/1"


# ---- on the embedded model ------------------------------------------------------------------------


def run_json(*words: str) -> dict[str, Any]:
    ended = llmflow("run", *words, "--json")
    assert ended.code == 0, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    assert {task["status"] for task in document["tasks"].values()} == {"succeeded"}, ended.err
    return document


@pytest.mark.usefixtures("local_model")
def test_hello_on_the_real_model() -> None:
    document = run_json(str(EXAMPLES / "hello.yaml"), "-i", "text=Ada met Grace.")
    assert isinstance(document["outputs"], str)
    assert document["outputs"]
    assert document["usage"]["estimated"] is False


@pytest.mark.usefixtures("local_model")
def test_review_triage_on_the_real_model() -> None:
    document = run_json(str(EXAMPLES / "review_triage.yaml"))
    outputs = document["outputs"]
    assert list(outputs) == ["positive", "negative", "complaints", "summary"]
    assert outputs["positive"] + outputs["negative"] == 8
    assert len(outputs["complaints"]) == outputs["negative"]
    assert outputs["negative"] == 0 or outputs["summary"]
    assert [pool["workers"] for pool in document["pools"]] == [2]
    assert document["usage"]["output_tokens"] > 0


@pytest.mark.usefixtures("local_model")
def test_news_digest_on_the_real_model() -> None:
    outputs = run_json(str(EXAMPLES / "news_digest.yaml"))["outputs"]
    texts = outputs.split("\n\n")
    assert len(texts) == 3
    for text in texts:
        headline, _, summary = text.partition("\n")
        assert headline == headline.upper()
        assert summary


# ---- the worked example ------------------------------------------------------------------------------


def test_the_worked_example_is_the_graph_that_the_core_is_tested_on() -> None:
    pipeline = load_file(WORKED)
    assert {task.id: set(task.dependencies) for task in pipeline} == {name: set(d) for name, d in EDGES.items()}
    estimated = {task.id: task.estimate.mean for task in pipeline if task.estimate is not None}
    assert estimated == DURATIONS


@pytest.mark.parametrize(("policy", "workers", "makespan"), MAKESPANS)
def test_the_plan_of_the_worked_example_is_exact(policy: str, workers: str, makespan: float) -> None:
    ended = llmflow("plan", WORKED, "-j", workers, "--policy", policy, "--json")
    plan = json.loads(ended.out)
    assert (plan["makespan"], plan["policy"]) == (makespan, policy)
    assert plan["critical_path"] == ["S1", "Gate", "C1", "C2", "C3", "End"]
    assert max(row["finish"] for row in plan["schedule"]) == makespan
    assert plan["lower_bound"] == (95.0 if workers == "1" else 52.0)


def test_the_plan_compares_the_four_ways_to_run_it() -> None:
    plan = json.loads(llmflow("plan", WORKED, "-j", "4", "--json").out)
    compared = (plan["one_worker"], plan["policies"]["fifo"], plan["policies"]["critical-path"], plan["unlimited"])
    assert compared == (95.0, 62.0, 52.0, 52.0)


@pytest.mark.parametrize(("policy", "workers", "makespan"), MAKESPANS)
def test_a_run_of_the_worked_example_on_virtual_time_takes_what_the_plan_says(
    policy: str, workers: str, makespan: float
) -> None:
    async def main() -> RunResult:
        compiled = bind(load_file(WORKED), model_choice(()), workers)
        return await execute(
            compiled, RunOptions(inputs={}, policy=policy, beliefs=believed(compiled, None), environment={})
        )

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(main())
    assert result.status == "succeeded"
    assert result.summary.makespan == pytest.approx(makespan, abs=1e-6)
    assert result.summary.lower_bound == pytest.approx(95.0 if workers == "1" else 52.0, abs=1e-6)


def test_a_real_run_of_the_worked_example_follows_its_critical_path() -> None:
    document = run_json(WORKED, "-j", "4")
    assert document["outputs"] == {"end": "A made-up answer to End."}
    assert document["critical_path"][1:] == ["Gate", "C1", "C2", "C3", "End"]
    (pool,) = document["pools"]
    assert (pool["workers"], len(pool["used"])) == (4, 4)
    assert document["makespan"] >= document["lower_bound"] >= 52.0
    assert document["fifo_makespan"] > document["makespan"]


# ---- one feature of the language each, on simulated time -------------------------------------------------

FEATURES: dict[str, dict[str, Any]] = {
    "cleanup.yaml": {"headline": "Library opens", "translation": "(no translation)", "report": "All told."},
    "code_steps.yaml": {"common": ["sea", "the", "and"], "sorted": "the\nsea\nand", "lines": 3},
    "fan_out.yaml": {"cities": 6, "report": "A made-up answer to report[2.0]."},
    "images.yaml": {
        "darker": "A made-up answer to compare.",
        "descriptions": ["A made-up answer to describe[0].", "A made-up answer to describe[1]."],
    },
    "matrix.yaml": {
        "table": (
            "English, formal: Good morning, madam.\nEnglish, friendly: Hi there!\n"
            "Finnish, formal: Hyvää huomenta.\nFinnish, friendly: Moi!\n"
        ),
        "count": 4,
    },
    "refine_loop.yaml": {
        "poem": "Snow on the quiet pond; the heron has left nothing but its name.",
        "good_enough": True,
    },
    "stragglers.yaml": {"reviews": 10},
    "streamed_file.yaml": {"answered": 6},
    "structured_output.yaml": {
        "label": "bug",
        "reply": {"subject": "Your invoices", "body": "We are sorry. A new version is on its way."},
    },
    "sub_pipeline.yaml": {
        "digest": "A made-up answer to digest.",
        "titles": ["A made-up answer to summaries/title[0].", "A made-up answer to summaries/title[1]."],
    },
}


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of the examples: some of them write files beside themselves."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("out", "__pycache__")))


@pytest.mark.parametrize("name", FEATURES)
def test_an_example_of_a_feature_gives_what_it_promises(name: str, examples: Path) -> None:
    ended = llmflow("run", str(examples / name))
    assert (ended.code, json.loads(ended.out)) == (0, FEATURES[name]), ended.err


def test_a_part_of_a_pipeline_runs_alone_too(examples: Path) -> None:
    ended = llmflow("run", str(examples / "parts" / "summarise.yaml"), "-i", "text=Long.", "--model", "mock/any")
    assert ended.code == 0, ended.err


def test_the_approval_example_pauses_where_nobody_can_be_asked_and_goes_on_when_it_is_given(examples: Path) -> None:
    path = str(examples / "approval.yaml")
    paused = llmflow("run", path)
    assert (paused.code, json.loads(paused.out)) == (4, {"result": None})
    resumed = llmflow("run", path, "--resume", "--approve", "release")
    assert (resumed.code, json.loads(resumed.out)) == (0, {"result": "sent: Our new library opens on Monday."}), (
        resumed.err
    )


def test_the_http_example_reads_what_a_server_says(examples: Path) -> None:
    folder = str(examples / "data")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        ended = llmflow("run", str(examples / "http_step.yaml"), "-i", f"server=http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert ended.code == 0, ended.err
    weather = json.loads((examples / "data" / "weather.json").read_text(encoding="utf-8"))
    assert json.loads(ended.out) == {"place": weather["place"], "advice": "A made-up answer to advice."}


class QuietFiles(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


# ---- hosted models and endpoints of one's own ---------------------------------------------------------

KEYS = {"OPENAI_API_KEY": "sk-of-the-tests-1", "ANTHROPIC_API_KEY": "sk-of-the-tests-2"}


def test_hosted_api_against_a_server_that_speaks_both_protocols(tmp_path: Path) -> None:
    """The example word for word; only where the two vendors answer is declared on top of it."""
    with FakeServer() as server:
        declared = (
            "providers:\n"
            f"  openai: {{kind: openai, base_url: '{server.openai_url}', api_key_env: OPENAI_API_KEY}}\n"
            f"  anthropic: {{kind: anthropic, base_url: '{server.anthropic_url}', api_key_env: ANTHROPIC_API_KEY}}\n"
        )
        copy = tmp_path / "hosted_api.yaml"
        copy.write_text((EXAMPLES / "hosted_api.yaml").read_text(encoding="utf-8") + declared, encoding="utf-8")
        ended = llmflow("run", str(copy), "-i", "topic=tide pools", **KEYS)
        asked = sorted((seen.path, seen.body["model"], seen.key) for seen in server.requests)
        judged = next(seen.body for seen in server.requests if seen.path == "/v1/messages")
    assert ended.code == 0, ended.err
    outputs = json.loads(ended.out)
    assert list(outputs) == ["winner", "reason", "text"]
    audience = {"A": "a child of eight", "B": "an expert"}[outputs["winner"]]
    assert outputs["text"] == f"You said: Explain tide pools to {audience} in three sentences."
    writer = ("/v1/chat/completions", "gpt-5-mini", KEYS["OPENAI_API_KEY"])
    assert asked == [writer, writer, ("/v1/messages", "claude-haiku-4-5", KEYS["ANTHROPIC_API_KEY"])]
    assert judged["system"] == "You judge texts. Be brief."


def test_own_endpoint_gets_its_two_questions_side_by_side_and_no_key(tmp_path: Path) -> None:
    written = (EXAMPLES / "own_endpoint.yaml").read_text(encoding="utf-8")
    assert "http://127.0.0.1:8000/v1" in written
    with FakeServer() as server:
        copy = tmp_path / "own_endpoint.yaml"
        copy.write_text(written.replace("http://127.0.0.1:8000/v1", server.openai_url), encoding="utf-8")
        ended = llmflow("run", str(copy), "-i", "text=Ada met Grace in Turin.", **KEYS)
        keys = {seen.key for seen in server.requests}
        asked = [seen.body["messages"][-1]["content"] for seen in server.requests]
    assert ended.code == 0, ended.err
    outputs = json.loads(ended.out)
    assert asked[2] == (
        f"Write one sentence with these people: {', '.join(outputs['people'])},"
        f" and these places: {', '.join(outputs['places'])}."
    )
    assert outputs["sentence"] == f"You said: {asked[2]}"
    assert keys.isdisjoint(KEYS.values())
