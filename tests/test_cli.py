"""The command line as a person or a script meets it: help, whole outputs, streams, and what is never loaded."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
from command_line import EXAMPLES, PROGRAM, Ended, llmflow, masked, pipeline
from fake_server import FakeServer
from greeting import CANARY, DATA, GOLDEN, ONE, RUN_SAID, SDKS, TWO, asking, said

import llmflow as package

# ---- help ---------------------------------------------------------------------------------------


def test_help_names_every_command() -> None:
    assert llmflow("--help") == Ended(0, (GOLDEN / "help.txt").read_text(encoding="utf-8"), "")


def test_without_a_command_the_help_goes_to_standard_error_and_it_is_a_usage_error() -> None:
    assert llmflow() == Ended(2, "", (GOLDEN / "help.txt").read_text(encoding="utf-8"))


def test_version_is_the_packages_own() -> None:
    assert llmflow("--version") == Ended(0, f"llmflow {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", "durability events fail-fast help input json model output plain plan-budget policy store workers"),
        ("plan", "help input json model output plan-budget policy samples store what-if workers"),
        ("compare", "execute help input json model output plan-budget policy samples store workers"),
        ("stats", "csv help json model output store task"),
        ("validate", "help"),
        ("graph", "format help model output store workers"),
        ("schema", "help output"),
        ("doctor", "help json store"),
        ("local pull", "help"),
    ],
)
def test_every_command_explains_its_options(command: str, options: str) -> None:
    ended = llmflow(*command.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    explained = re.findall(r"^  (?:-\w, )?--([a-z-]+)(?: \S+)?(?:  +|\n {10,})\w", ended.out, re.MULTILINE)
    named = re.findall(r"^  (?:-\w, )?--([a-z-]+)", ended.out, re.MULTILINE)
    assert named == explained
    assert set(options.split()) <= set(named)


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["plan", str(EXAMPLES / "worked_example.yaml")], set()),
        (["plan", str(EXAMPLES / "hosted_api.yaml")], set()),
        (["validate", str(EXAMPLES / "hosted_api.yaml")], set()),
        (["stats"], set()),
    ],
)
def test_help_plan_and_stats_load_no_sdk(words: list[str], loaded: set[str]) -> None:
    program = (
        "import sys; from llmflow.cli import main\n"
        f"try: sys.argv[1:] = {words!r}; main()\n"
        f"finally: sys.stderr.write(' '.join(m for m in {SDKS!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    last = done.stderr.splitlines()[-1:]
    assert [word for line in last for word in line.split() if word in SDKS] == sorted(loaded)


# ---- what a run prints ----------------------------------------------------------------------------


def test_one_text_is_printed_raw_and_everything_for_people_goes_to_standard_error(tmp_path: Path) -> None:
    path = pipeline(tmp_path, ONE)
    assert said(llmflow("run", str(path))) == Ended(0, "Hello Ada\n", RUN_SAID)


def test_data_is_printed_as_json(tmp_path: Path) -> None:
    ended = llmflow("run", str(pipeline(tmp_path, DATA)))
    assert (ended.code, ended.out) == (0, '{\n  "words": 2\n}\n')


def test_several_leaves_are_one_object_in_which_what_did_not_come_is_null(tmp_path: Path) -> None:
    assert said(llmflow("run", str(pipeline(tmp_path, TWO)))) == Ended(
        1,
        '{\n  "greet": "Hello Ada",\n  "after": null\n}\n',
        """\
TIME  run RUN of greeting: 3 tasks
TIME  bad  started on mock/0
TIME  greet  started on mock/1
TIME  bad  attempt 1 failed: refusal: never
TIME  bad  failed: refusal: never
TIME  after  blocked: bad did not succeed
TIME  greet  succeeded after N.N s, ~2 + 2 tokens
TIME  run failed
run failed: 3 tasks, 1 succeeded, 1 blocked, 1 failed
failed        bad: refusal: never
makespan      N.N s · lower bound N.N s (critical path), ratio N.N
fifo          N.N s, first in, first out on the same durations
critical path greet
workers       mock × unlimited (2 used), N % busy (0: N %, 1: N %)
tokens        ~2 input, ~2 output
time          WHERE IT WENT
to go on: llmflow run --resume RUN
""",
    )


def test_json_is_the_whole_run_as_one_document(tmp_path: Path) -> None:
    ended = llmflow("run", str(pipeline(tmp_path, ONE)), "--json")
    usage = {
        "input_tokens": 2,
        "output_tokens": 2,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 0,
        "estimated": True,
    }
    busy = {"busy": 0.0, "utilisation": 0.0}
    task = {"status": "succeeded", "attempts": 1, "duration": 0.0, "started": 0.0, "finished": 0.0, "usage": usage}
    assert (ended.code, without_times(json.loads(ended.out))) == (
        0,
        {
            "schema": "llmflow.run/1",
            "run": "RUN",
            "status": "succeeded",
            "outputs": "Hello Ada",
            "makespan": 0.0,
            "lower_bound": 0.0,
            "lower_bound_kind": "critical path",
            "ratio": 0.0,
            "fifo_makespan": 0.0,
            "critical_path": ["greet"],
            "pools": [{"name": "mock", "workers": None, **busy, "used": [{"worker": 0, **busy}]}],
            "second_calls": {"made": 0, "answered_first": 0},
            "tasks": {"greet": task},
            "usage": usage,
            "cost_usd": None,
            "resumed": False,
            "answers_reused": 0,
            "loop_lag": 0.0,
            "ranks_renewed": 0,
            "time": {
                "makespan": 0.0,
                "columns": dict.fromkeys(COLUMNS, 0.0),
                "path": [{"task": "greet", "seconds": {"model": 0.0, "llmflow": 0.0}}],
            },
        },
    )


COLUMNS = (
    *("model", "code", "failed", "cancelled", "asked_again"),
    *("dependency", "worker", "rate_limit", "backoff", "approval", "llmflow"),
)
"""What a second of a run can have been spent on."""


def without_times(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: without_times(value) for key, value in data.items()}
    if isinstance(data, list):
        return [without_times(value) for value in data]
    if isinstance(data, float):
        return 0.0
    return masked(data) if isinstance(data, str) else data


def test_an_output_file_gets_what_would_have_been_printed(tmp_path: Path) -> None:
    path = pipeline(tmp_path, ONE)
    ended = said(llmflow("run", str(path), "-o", "out.txt", cwd=tmp_path))
    assert (ended, (tmp_path / "out.txt").read_text()) == (Ended(0, "", RUN_SAID), "Hello Ada\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.txt", "p.yaml"]


def test_the_story_goes_to_the_events_file_one_json_object_a_line(tmp_path: Path) -> None:
    path = pipeline(tmp_path, ONE)
    assert said(llmflow("run", str(path), "--events", "story.jsonl", cwd=tmp_path)) == Ended(0, "Hello Ada\n", RUN_SAID)
    attempt = {"task": "greet", "attempt": 1}
    started = {**attempt, "number": 1, "pool": "mock", "endpoint": 0, "worker": 0, "candidate": 0}
    assert [without_times(json.loads(line)) for line in (tmp_path / "story.jsonl").read_text().splitlines()] == [
        {"at": 0.0, "event": "RunStarted"},
        {"at": 0.0, "event": "AttemptStarted", **started},
        {"at": 0.0, "event": "AttemptSucceeded", **attempt, "outcome": "done"},
        {"at": 0.0, "event": "TaskSucceeded", "task": "greet"},
        {"at": 0.0, "event": "RunFinished", "status": "succeeded"},
    ]


def test_a_pipeline_comes_from_standard_input() -> None:
    assert said(llmflow("run", "-", stdin=ONE)) == Ended(0, "Hello Ada\n", RUN_SAID)


def test_an_input_is_text_a_file_or_json(tmp_path: Path) -> None:
    path = pipeline(
        tmp_path,
        "inputs: {a: {}, b: {}, c: {type: list}}\n"
        "tasks: {t: {value: ['{{ inputs.a }}', '{{ inputs.b }}', '{{ inputs.c }}']}}",
    )
    (tmp_path / "b.txt").write_text("from a file")
    ended = llmflow("run", str(path), "-i", "a=x=y", "-i", "b=@b.txt", "-i", "c:=[1, true]", cwd=tmp_path)
    assert (ended.code, json.loads(ended.out)) == (0, ["x=y", "from a file", [1, True]])


def test_a_named_model_replaces_every_tasks_model(tmp_path: Path) -> None:
    path = pipeline(tmp_path, "tasks: {a: {prompt: x, model: openai/gpt-5}}")
    ended = llmflow("run", str(path), "--model", "mock/any")
    assert (ended.code, ended.out) == (0, "A made-up answer to a.\n")


# ---- terminals, pipes, colour ----------------------------------------------------------------------


def on_a_terminal(path: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code and everything that reached an 80 × 24 terminal."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    child = pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], "run", str(path), *words],
        env={**inherited, "TERM": "xterm-256color", **environment},
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 80),
    )
    written = str(child.read())
    child.close()
    return int(child.exitstatus or 0), written


def test_on_a_terminal_the_table_is_drawn_and_the_answer_stands_below(tmp_path: Path) -> None:
    code, written = on_a_terminal(pipeline(tmp_path, ONE))
    assert code == 0
    assert re.search(r"\x1b\[\d*[A-K]", written), "the cursor never moved"
    assert re.search(r"\x1b\[[\d;]*m", written), "there was no colour"
    assert written.endswith("Hello Ada\r\n")


def test_no_color_means_no_colour(tmp_path: Path) -> None:
    code, written = on_a_terminal(pipeline(tmp_path, ONE), NO_COLOR="1")
    assert (code, re.findall(r"\x1b\[[\d;]*m", written)) == (0, [])
    assert written.endswith("Hello Ada\r\n")


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}, {}])
def test_plain_lines_have_no_escape_sequence(tmp_path: Path, environment: dict[str, str]) -> None:
    words = [] if environment else ["--plain"]
    code, written = on_a_terminal(pipeline(tmp_path, ONE), *words, **environment)
    assert (code, masked(written.replace("\r\n", "\n"))) == (0, RUN_SAID + "Hello Ada\n")


def test_what_a_model_says_has_no_power_over_the_terminal(tmp_path: Path) -> None:
    text = 'providers: {mock: {answers: "a\\e]0;owned\\a\\e[2Jb[/nope]"}}\ntasks: {t: {prompt: x, model: mock/any}}'
    path = pipeline(tmp_path, text)
    code, written = on_a_terminal(path, "--plain")
    assert (code, written.splitlines()[-1]) == (0, "ab[/nope]")
    assert llmflow("run", str(path)).out == "a\x1b]0;owned\x07\x1b[2Jb[/nope]\n", "a pipe gets the bytes as they are"


def shell(script: str, **environment: str) -> Ended:
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "LLMFLOW": shlex.join(PROGRAM), **environment},
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def test_a_reader_that_goes_away_ends_a_plan_without_a_traceback() -> None:
    plan = shlex.quote(str(EXAMPLES / "worked_example.yaml"))
    ended = shell(f"$LLMFLOW plan {plan} | (exec 0<&-; sleep 1); echo ${{PIPESTATUS[0]}}")
    assert ended == Ended(0, "141\n", "")


def test_no_command_complains_that_nobody_reads_what_it_delivers(tmp_path: Path) -> None:
    path = shlex.quote(str(pipeline(tmp_path, ONE)))
    assert llmflow("run", path).code == 0
    about_runs = "runs", "stats greeting", "show last", "show last --json", "diff last last", "cache ls"
    about_files = (
        f"validate {path}",
        f"plan {path}",
        f"graph {path}",
        f"compare {path}",
        "schema",
        "--version",
        "doctor",
    )
    for words in (*about_runs, *about_files):
        ended = shell(f"$LLMFLOW {words} >&-")
        assert (words, ended.code, ended.err) == (words, 141, "")


def test_the_first_line_of_a_schema_can_be_taken_alone() -> None:
    assert shell("$LLMFLOW schema | head -1") == Ended(0, "{\n", "")


def test_a_run_whose_reader_has_gone_goes_on_to_its_end_and_is_remembered(tmp_path: Path) -> None:
    path = shlex.quote(str(pipeline(tmp_path, ONE)))
    ended = shell(f"$LLMFLOW run {path} | (exec 0<&-; sleep 2); echo ${{PIPESTATUS[0]}}")
    assert said(ended) == Ended(0, "141\n", RUN_SAID)
    assert [row["count"] for row in json.loads(llmflow("stats", "greeting", "--json").out)["rows"]] == [1]


# ---- the other commands ------------------------------------------------------------------------------


def test_stats_without_history_says_where_it_looked() -> None:
    store = os.environ["LLMFLOW_STORE"]
    assert llmflow("stats") == Ended(0, "", f"no history of that in {store}; `llmflow run` makes some\n")


def test_stats_are_kept_under_the_pipelines_name(tmp_path: Path) -> None:
    path = pipeline(tmp_path, ONE)
    for _ in range(2):
        assert llmflow("run", str(path)).code == 0
    by_file, by_name = (llmflow("stats", which, "--json") for which in (str(path), "greeting"))
    assert by_file == by_name
    document = json.loads(by_name.out)
    assert (by_name.code, document["schema"]) == (0, "llmflow.stats/1")
    assert [(row["task"], row["model"], row["count"]) for row in document["rows"]] == [("greet", "mock/any", 2)]


def test_the_schema_is_json_and_goes_to_a_file_too(tmp_path: Path) -> None:
    printed = llmflow("schema")
    assert llmflow("schema", "-o", "schema.json", cwd=tmp_path) == Ended(0, "", "")
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == printed.out
    assert json.loads(printed.out)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_doctor_shows_that_a_key_is_there_and_never_the_key(tmp_path: Path) -> None:
    ended = llmflow("doctor", OPENAI_API_KEY=CANARY)
    lines = {line[8:].split()[0]: line.split() for line in ended.out.splitlines()}
    assert (ended.code, ended.err) == (0, "")
    assert lines["OPENAI_API_KEY"] == ["ok", "OPENAI_API_KEY", "set"]
    assert lines["ANTHROPIC_API_KEY"] == ["missing", "ANTHROPIC_API_KEY", "not", "set"]
    assert lines["store"][0] == "ok"
    assert CANARY not in ended.out


def test_doctor_reaches_for_the_endpoints_of_a_pipeline(tmp_path: Path) -> None:
    with FakeServer() as server:
        path = pipeline(tmp_path, asking(server, "{kind: openai, base_url: 'URL', api_key_env: MY_KEY}"))
        reached = llmflow("doctor", str(path), MY_KEY=CANARY)
    gone = llmflow("doctor", str(path))
    assert reached.code == 0
    assert f"{server.openai_url}: reachable\n" in reached.out
    assert server.count == 0, "nothing is sent"
    assert gone.code == 5
    assert "bad     api key " in gone.out
    assert "bad     api endpoint " in gone.out
