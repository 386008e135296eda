"""What the command line says and which exit code it gives when something is wrong; keys are never shown."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import EXAMPLES, PROGRAM, Ended, llmflow, pipeline
from fake_server import FakeServer, Reply
from greeting import ACCEPTED, CANARY, GOLDEN, ONE, asking

from llmflow.scheduling.policies import POLICIES

# ---- exit codes -----------------------------------------------------------------------------------


def test_an_accepted_failure_is_a_success(tmp_path: Path) -> None:
    ended = llmflow("run", str(pipeline(tmp_path, ACCEPTED)))
    assert (ended.code, ended.out) == (0, "[\n  1\n]\n")
    assert "failed        bad (accepted): refusal: never\n" in ended.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "nothing.yaml"], "nothing.yaml: there is no such file\n"),
        (["run", "p.yaml", "-i", "nam=x"], "unknown input `nam`: did you mean `name`?\n"),
        (["run", "p.yaml", "-j", "0"], "--workers takes a number from 1 or `unlimited`, not '0'\n"),
        (["run", "p.yaml", "--policy", "fifoo"], "no policy 'fifoo'\n  hint: did you mean fifo?\n"),
        (["run", "p.yaml", "--durability", "none"], "--durability takes full or normal, not 'none'\n"),
        (["run", "p.yaml", "--model", "mok/x"], "no model 'mok/x'\n  hint: did you mean mock/x?\n"),
        (["run", "p.yaml", "--events", "no/such/place"], "cannot write no/such/place: No such file or directory\n"),
        (
            ["run"],
            "which pipeline? FILE is missing\n  hint: `llmflow run FILE`, or `llmflow run --resume`\n",
        ),
        (["plan", "p.yaml", "--policy", "best"], "no policy 'best'\n  hint: policies: " + ", ".join(POLICIES) + "\n"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_spent(tmp_path: Path, words: list[str], text: str) -> None:
    pipeline(tmp_path, ONE)
    calls = tmp_path / "calls"
    assert llmflow(*words, cwd=tmp_path, LLMFLOW_MOCK_CALLS=str(calls)) == Ended(2, "", text)
    assert not calls.exists()


@pytest.mark.parametrize("words", [["frobnicate"], ["run", "p.yaml", "--bogus"], ["local"]])
def test_what_the_parser_does_not_know_is_a_usage_error(words: list[str]) -> None:
    ended = llmflow(*words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: ")


def test_a_missing_input_is_named_with_the_way_to_give_it(tmp_path: Path) -> None:
    path = pipeline(tmp_path, "tasks: {a: {prompt: '{{ inputs.text }}', model: mock/any}}")
    assert llmflow("run", str(path)) == Ended(2, "", "missing input `text`: give it with -i text=…\n")


def test_a_missing_key_ends_the_run_before_it_begins() -> None:
    ended = llmflow("run", str(EXAMPLES / "hosted_api.yaml"), "-i", "topic=tides")
    assert ended == Ended(
        5,
        "",
        "provider openai: the environment variable OPENAI_API_KEY is not set\n"
        "  hint: export OPENAI_API_KEY=…, or use another model with --model\n",
    )


def test_a_store_that_cannot_be_written_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = llmflow("run", str(pipeline(tmp_path, ONE)), "--store", "file/store", cwd=tmp_path)
    assert ended == Ended(
        74,
        "",
        "file/store: cannot be written: Not a directory\n"
        "  hint: name another folder with --store DIR or LLMFLOW_STORE\n",
    )


def test_a_store_that_somebody_keeps_locked_is_given_up_after_a_while(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, ONE)
    assert llmflow("run", str(path), "--store", str(store)).code == 0
    with (store / "store.lock").open("r+b") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        gate.write(b"%-10d" % os.getpid())
        gate.flush()
        ended = llmflow("run", str(path), "--store", str(store))
    assert ended == Ended(75, "", f"{store}: process {os.getpid()} has kept the store busy for 10 s\n")


def test_ctrl_c_lets_what_runs_end_and_gives_130(tmp_path: Path) -> None:
    text = "providers: {mock: {answers: {a: {text: done, delay: 1}, b: late}}}\ndefaults: {model: mock/x}\n"
    path = pipeline(tmp_path, text + "tasks: {a: {prompt: x}, b: {prompt: '{{ tasks.a.output }}'}}")
    child = subprocess.Popen([*PROGRAM, "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    said_before = child.stderr.readline() + child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert "a  started on mock/0" in said_before
    assert (child.returncode, out) == (130, "null\n")
    assert "a  succeeded after" in err
    assert "b  cancelled: " in err
    assert "Traceback" not in err


# ---- a wrong file -----------------------------------------------------------------------------------


TEN_MISTAKES = """\
version: 2
inputs:
  text: {type: strng}
tasks:
  first-one:
    prompt: "Read {{ inputs.txt }}"
  second:
    promt: "Write {{ tasks.third.output }}"
  third:
    prompt: "Go on with {{ tasks.fourth.output }}"
    timeout: 90
    needs: [second]
  fourth:
    prompt: "And {{ tasks.third.output }}"
    value: 1
    trigger_rule: always
scheduling:
  policy: quickest
providers:
  openai: {api_key: sk-proj-0123456789abcdefghijklmnop}
"""


def test_ten_different_mistakes_are_all_shown_with_their_places_in_file_order(tmp_path: Path) -> None:
    pipeline(tmp_path, TEN_MISTAKES)
    ended = llmflow("run", "p.yaml", cwd=tmp_path)
    assert ended == Ended(2, "", (GOLDEN / "ten_mistakes.txt").read_text(encoding="utf-8"))
    places = re.findall(r"^p\.yaml:(\d+):(\d+): ", ended.err, re.MULTILINE)
    assert len(places) >= 10
    assert places == sorted(places, key=lambda place: (int(place[0]), int(place[1])))


def test_validate_says_the_same_of_every_file_and_counts(tmp_path: Path) -> None:
    pipeline(tmp_path, ONE, "right.yaml")
    pipeline(tmp_path, "tasks: {a: {promt: x}}", "wrong.yaml")
    ended = llmflow("validate", "right.yaml", "wrong.yaml", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "right.yaml: 1 task, no problem\n")
    assert ended.err.startswith("wrong.yaml:1:")
    assert re.search(r"^wrong\.yaml: \d problems?$", ended.err, re.MULTILINE)


# ---- keys -----------------------------------------------------------------------------------------


def test_a_refused_key_is_named_by_its_variable_and_never_shown(tmp_path: Path) -> None:
    error = {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": "invalid_api_key"}}
    with FakeServer() as server:
        server.script(Reply(status=401, body=error))
        path = pipeline(tmp_path, asking(server, "{kind: openai, base_url: 'URL', api_key_env: MY_KEY}"))
        ended = llmflow("run", str(path), "--events", "story", "--json", cwd=tmp_path, MY_KEY=CANARY)
        assert [seen.key for seen in server.requests] == [CANARY]
    assert ended.code == 1
    assert (
        f"failed        t: auth: the key in MY_KEY was not accepted by {server.openai_url} (401, invalid_api_key"
        in ended.err
    )
    store = Path(os.environ["LLMFLOW_STORE"])
    written = [path.read_bytes() for folder in (tmp_path, store) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 2
    assert not any(CANARY.encode() in text for text in (ended.out.encode(), ended.err.encode(), *written))


def test_the_ambient_key_is_not_sent_to_an_endpoint_of_ones_own(tmp_path: Path) -> None:
    with FakeServer() as server:
        path = pipeline(tmp_path, asking(server, "{kind: openai, base_url: 'URL'}"))
        ended = llmflow("run", str(path), OPENAI_API_KEY=CANARY, ANTHROPIC_API_KEY=CANARY)
        sent = json.dumps([seen.headers for seen in server.requests])
    assert (ended.code, ended.out) == (0, "You said: x\n")
    assert "authorization" in sent
    assert CANARY not in sent


def test_the_ambient_key_cannot_be_named_for_a_foreign_host(tmp_path: Path) -> None:
    text = "providers: {api: {kind: openai, base_url: 'http://models.invalid/v1', api_key_env: OPENAI_API_KEY}}\n"
    path = pipeline(tmp_path, text + "tasks: {t: {prompt: x, model: api/m}}")
    assert llmflow("run", str(path), OPENAI_API_KEY=CANARY) == Ended(
        5,
        "",
        "provider api: OPENAI_API_KEY is only ever sent to api.openai.com, not to models.invalid\n"
        "  hint: put the key for this endpoint into a variable of another name and write that as api_key_env\n",
    )


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "not_found"), (400, "invalid_request"), (413, "too_large"), (422, "invalid_request")]
)
def test_what_cannot_get_better_is_asked_once(tmp_path: Path, status: int, kind: str) -> None:
    with FakeServer() as server:
        server.default = Reply(status=status)
        ended = llmflow("run", str(pipeline(tmp_path, asking(server, "{kind: openai, base_url: 'URL'}"))), "--json")
        asked = [seen.path for seen in server.requests if seen.method == "POST"]
    assert (ended.code, asked) == (1, ["/v1/chat/completions"])
    task = json.loads(ended.out)["tasks"]["t"]
    assert (task["status"], task["attempts"], task["error"]["kind"]) == ("failed", 1, kind)
