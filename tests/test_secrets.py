"""A canary key, sent through everything that can go wrong, is found nowhere afterwards."""

from __future__ import annotations

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
