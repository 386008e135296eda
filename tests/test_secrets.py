"""A canary key, sent through everything that can go wrong, is found nowhere afterwards."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import PROGRAM, Ended, llmflow, pipeline
from fake_server import FakeServer, Reply

CANARY = "sk-canary-0123456789abcdefghijklmnopqrstuvwxyz"
ECHO = f"Incorrect API key provided: {CANARY}. Authorization: Bearer {CANARY}; x-api-key={CANARY}"


def echoing(kind: str, status: int) -> Reply:
    """A failure that tells the key back, in its body and in its headers."""
    error = {"message": ECHO, "type": "invalid_request_error", "code": CANARY}
    body = {"error": error} if kind == "openai" else {"type": "error", "error": error}
    headers = {"x-request-id": CANARY, "request-id": CANARY, "retry-after": "0"}
    return Reply(status=status, body=body, headers=headers)


def failures(kind: str) -> list[Reply]:
    """Thirty ways to fail."""
    statuses = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
    modes = ("rst", "close", "short", "garbage", "bad_gzip", "html", "rst_body")
    bodies = (ECHO, [ECHO], {}, {"error": ECHO}, {"choices": ECHO}, {"choices": [], "content": [], "id": CANARY})
    strange: tuple[Reply, ...] = (Reply(status=302, headers={"location": f"http://127.0.0.1:1/{CANARY}"}),)
    strange += (Reply(text=""), Reply(usage={"prompt_tokens": CANARY, "input_tokens": CANARY}))
    return [
        *(echoing(kind, status) for status in statuses),
        *(Reply(mode=mode) for mode in modes),
        *(Reply(body=body) for body in bodies),
        *strange,
    ]


@dataclass
class Places:
    """Everything that a run can leave behind: its home, where it was started, what it said."""

    folder: Path

    def run(self, *words: str, **environment: str) -> Ended:
        return llmflow(*words, cwd=self.folder, HOME=str(self.folder / "home"), **environment)

    def with_canary(self) -> list[str]:
        """The files that hold the key, in any of its usual disguises."""
        disguises = [CANARY.encode(), CANARY[:20].encode(), CANARY[8:].encode(), CANARY.encode("utf-16-le")]
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert any(path.name == "history.db" for path in files)
        return [str(path) for path in files if any(d in path.read_bytes() for d in disguises)]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_key_through_thirty_failures_is_found_nowhere(tmp_path: Path, kind: str) -> None:
    places = Places(tmp_path)
    replies = failures(kind)
    assert len(replies) >= 30
    with FakeServer() as server:
        server.script(*replies)
        url = server.openai_url if kind == "openai" else server.anthropic_url
        provider = f"{{kind: {kind}, base_url: '{url}', api_key_env: CANARY_KEY, workers: 1}}"
        tasks = "\n".join(f"  t{n}: {{prompt: 'call {n}'}}" for n in range(len(replies)))
        head = f"providers: {{p: {provider}}}\ndefaults: {{model: p/fake-small, retry: {{max_attempts: 1}}}}\n"
        path = pipeline(tmp_path, f"{head}tasks:\n{tasks}\n")
        store = str(tmp_path / "store")
        words = ["--store", store, "--events", "events.jsonl", "--json", "-o", "out.json"]
        ended = places.run("run", str(path), *words, CANARY_KEY=CANARY)
        assert ended.code == 1
        assert len(server.requests) >= len(replies)
        assert {seen.key for seen in server.requests} == {CANARY}
        said = [ended]
        for more in (
            ["show", "last"],
            ["show", "last", "t1"],
            ["stats"],
            ["runs"],
            ["doctor", str(path)],
            ["plan", str(path)],
        ):
            said.append(places.run(*more, "--store", store, CANARY_KEY=CANARY))
        server.script(*replies)
        said.append(places.run("run", "--resume", *words[:2], CANARY_KEY=CANARY))
    for each in said:
        assert "canary-0123" not in each.out + each.err
    assert places.with_canary() == []


def test_a_key_is_in_no_command_line_and_no_environment_of_a_program_that_a_task_starts(tmp_path: Path) -> None:
    places = Places(tmp_path)
    looks = 'command: [sh, -c, \'env; cat /proc/*/cmdline 2>/dev/null | tr "\\\\0" " "\']'
    text = f"providers: {{p: {{kind: openai, api_key_env: CANARY_KEY}}}}\ntasks: {{look: {{{looks}}}}}\n"
    path = pipeline(tmp_path, text)
    ended = places.run("run", str(path), "--store", str(tmp_path / "store"), CANARY_KEY=CANARY, OPENAI_API_KEY=CANARY)
    assert ended.code == 0
    assert "PATH=" in ended.out
    assert "llmflow run" in ended.out
    assert CANARY not in ended.out + ended.err
    assert places.with_canary() == []


def test_a_key_written_into_a_file_is_refused_and_not_shown(tmp_path: Path) -> None:
    text = f"providers: {{p: {{kind: openai, api_key: {CANARY}}}}}\ntasks: {{t: {{prompt: x, model: p/m}}}}\n"
    ended = llmflow("run", str(pipeline(tmp_path, text)))
    assert ended.code == 2
    assert CANARY not in ended.out + ended.err


def test_a_key_survives_no_kill(tmp_path: Path) -> None:
    """Killed while the call hangs: what is on disk holds no key, and no process shows one."""
    places = Places(tmp_path)
    with FakeServer() as server:
        server.script(Reply(mode="hang"))
        provider = f"{{kind: openai, base_url: '{server.openai_url}', api_key_env: CANARY_KEY}}"
        path = pipeline(tmp_path, f"providers: {{p: {provider}}}\ntasks: {{t: {{prompt: x, model: p/fake-small}}}}\n")
        child = subprocess.Popen(
            [*PROGRAM, "run", str(path), "--store", str(tmp_path / "store")],
            env={**os.environ, "CANARY_KEY": CANARY},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert server.wait_for(lambda s: len(s.requests) == 1, 60)
        assert CANARY.encode() not in Path(f"/proc/{child.pid}/cmdline").read_bytes()
        child.kill()
        out, _ = child.communicate()
    assert CANARY.encode() not in out
    assert places.with_canary() == []


# ---- secrets that go through ------------------------------------------------------------------------

TOKEN = "tok-Zq7Rw2Xy9Lm4Kp1Vb8Nc3Hd6"
BASIC = base64.b64encode(f"ada:{TOKEN}".encode()).decode()


def everything_of(places: Places, store: str, *tasks: str, **environment: str) -> str:
    """All that commands show of the last run."""
    looks = [["show", "last"], ["show", "last", "--json"], ["runs", "--json"], ["stats"], ["stats", "--json"]]
    looks += [["show", "last", task] for task in tasks] + [["show", "last", task, "--json"] for task in tasks]
    ended = [places.run(*look, "--store", store, **environment) for look in looks]
    assert {each.code for each in ended} == {0}
    return "".join(each.out + each.err for each in ended)


def pieces_in(text: str, secret: str, least: int = 8) -> list[str]:
    """What of the secret stands in `text`."""
    return [secret[at : at + least] for at in range(len(secret) - least + 1) if secret[at : at + least] in text]


def test_a_secret_of_the_environment_is_used_and_kept_nowhere(tmp_path: Path) -> None:
    """In headers, an address, a body, a prompt, arguments, standard input and what all of these give back."""
    places, store = Places(tmp_path), str(tmp_path / "store")
    (tmp_path / "code.py").write_text("def back(token):\n    return {'t': [token], token: 1}\n")
    with FakeServer() as server:
        server.script(*[Reply(text=f"yours: {CANARY}, {TOKEN}, {BASIC}")] * 9)
        provider = f"{{kind: openai, base_url: '{server.openai_url}', api_key_env: CANARY_KEY}}"
        env = "{{ env.API_TOKEN }}"
        program = 'sh, -c, "cat; echo $MORE; printf $MORE | base64; echo $1; echo $API_TOKEN", sh'
        given = f'stdin: "{env}", args: ["{env}"], env: {{MORE: "{env}"}}'
        sent = (
            f'method: POST, url: "{server.url}/x?t={env}", headers: {{Authorization: "Bearer {env}"}}, json: ["{env}"]'
        )
        text = f"""\
providers: {{p: {provider}}}
defaults: {{model: p/fake-small, retry: {{max_attempts: 1}}}}
env: [API_TOKEN]
tasks:
  asked: {{prompt: "my token is {env}"}}
  code: {{python: "code.py:back", with: {{token: "{env}"}}}}
  program: {{command: [{program}], {given}}}
  broken: {{command: [sh, -c, "cat >&2; exit 3"], stdin: "x {env}", on_error: continue}}
  value: {{value: "{{{{ tasks.program.output }}}}"}}
  checked: {{value: "{env}", output: {{schema: {{a: integer}}}}, on_error: continue}}
  sent: {{http: {{{sent}}}, on_error: continue}}
outputs: {{all: "{{{{ tasks.value.output }}}}"}}
"""
        path = pipeline(tmp_path, text)
        environment = {"CANARY_KEY": CANARY, "API_TOKEN": TOKEN}
        ended = places.run("run", str(path), "--store", store, "--events", "story", "-o", "out.json", **environment)
        assert ended.code == 0, ended.err
        said = ended.err + everything_of(places, store, "asked", "code", "program", "sent", **environment)
        assert TOKEN in json.dumps([seen.body for seen in server.requests])
    assert "[API_TOKEN]" in (tmp_path / "out.json").read_text()
    kept = "".join(p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file())
    for secret in (TOKEN, CANARY, base64.b64encode(TOKEN.encode()).decode()):
        assert pieces_in(said + kept, secret) == []


def test_headers_that_are_secret_by_their_name_are_not_kept(tmp_path: Path) -> None:
    places, store = Places(tmp_path), str(tmp_path / "store")
    headers = ", ".join(f"{name}: 'a {{{{ inputs.who }}}} b'" for name in ("cookie", "X-Api-Key", "X-Session-Token"))
    text = (
        f"tasks: {{h: {{http: {{url: 'http://127.0.0.1:PORT/v1/models', headers: {{{headers}, X-Kind: plain}}}}}}}}\n"
    )
    with FakeServer() as server:
        path = pipeline(tmp_path, text.replace("http://127.0.0.1:PORT/v1", server.openai_url))
        assert places.run("run", str(path), "--store", store, "-i", "who=canary").code == 0
        shown = json.loads(places.run("show", "last", "h", "--json", "--store", store).out)
    asked = {said["role"]: said["content"] for said in shown["tasks"][0]["tries"][0]["answer"]["messages"]}
    assert asked["headers"] == {
        "cookie": "[not kept]",
        "X-Api-Key": "[not kept]",
        "X-Session-Token": "[not kept]",
        "X-Kind": "plain",
    }


FAILS_ONCE = "  after: {command: [sh, -c, 'cat >got; test -e again'], stdin: '{{ tasks.first.output }}'}"


def test_an_answer_that_held_a_secret_is_asked_for_again_and_the_reason_is_told(tmp_path: Path) -> None:
    """Later tasks work with what was really answered, in the run and in one that goes on."""
    places, store = Places(tmp_path), str(tmp_path / "store")
    with FakeServer() as server:
        server.script(*[Reply(text=f"your key: {CANARY}")] * 2)
        provider = f"{{kind: openai, base_url: '{server.openai_url}', api_key_env: CANARY_KEY}}"
        path = pipeline(
            tmp_path,
            f"providers: {{p: {provider}}}\ntasks:\n  first: {{prompt: x, model: p/fake-small}}\n{FAILS_ONCE}\n",
        )
        assert places.run("run", str(path), "--store", store, CANARY_KEY=CANARY).code == 1
        assert (tmp_path / "got").read_text() == f"your key: {CANARY}"
        (tmp_path / "got").unlink()
        (tmp_path / "again").touch()
        words = ("run", "--resume", "--rerun-interrupted", "--store", store, "--plain")
        ended = places.run(*words, CANARY_KEY=CANARY)
        assert (ended.code, len(server.requests)) == (0, 2)
    assert "first runs again: its answer held a secret, which the history does not keep\n" in ended.err
    assert (tmp_path / "got").read_text() == f"your key: {CANARY}"
    (tmp_path / "got").unlink()
    assert places.with_canary() == []


def test_a_program_that_gave_a_secret_back_does_not_run_again_by_itself(tmp_path: Path) -> None:
    """It has acted; what it gave is not kept. So whoever resumes the run is asked, as for one that was interrupted."""
    places, store = Places(tmp_path), str(tmp_path / "store")
    first = "first: {command: [sh, -c, 'echo ran >>log; printenv API_TOKEN'], retry: {max_attempts: 1}}"
    path = pipeline(tmp_path, f"env: [API_TOKEN]\ntasks:\n  {first}\n{FAILS_ONCE}\n")
    assert places.run("run", str(path), "--store", store, API_TOKEN=TOKEN).code == 1
    (tmp_path / "again").touch()
    (tmp_path / "got").unlink()
    waits = places.run("run", "--resume", "--store", store, "--plain", API_TOKEN=TOKEN)
    assert waits.code == 4
    why = "first: has done its work, but its answer held a secret, which the history does not keep; it waits\n"
    assert why in waits.err
    assert ((tmp_path / "log").read_text(), (tmp_path / "got").exists()) == ("ran\n", False)
    ended = places.run("run", "--resume", "--rerun-interrupted", "--store", store, API_TOKEN=TOKEN)
    assert (ended.code, (tmp_path / "log").read_text()) == (0, "ran\nran\n")
    assert (tmp_path / "got").read_text() == TOKEN


def test_an_answer_that_held_a_secret_serves_no_other_run(tmp_path: Path) -> None:
    places, store = Places(tmp_path), str(tmp_path / "store")
    tasks = "first: {command: [sh, -c, 'echo ran >>log; printenv API_TOKEN'], cache: {ttl: 1h}}"
    last = "last: {command: [cat], stdin: '{{ tasks.first.output }}', save: got}"
    path = pipeline(tmp_path, f"env: [API_TOKEN]\ntasks:\n  {tasks}\n  {last}\n")
    for _ in range(2):
        assert places.run("run", str(path), "--store", store, API_TOKEN=TOKEN).code == 0
        assert (tmp_path / "got").read_text().strip() == TOKEN
    assert (tmp_path / "log").read_text() == "ran\nran\n"
