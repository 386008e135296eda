"""Runs in surroundings that lack something: a sane clock, a home, a locale, memory, open files, a disk of one's own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from command_line import PROGRAM, Ended, llmflow, pipeline
from fake_server import FakeServer
from store_damage import integrity

from llmflow.history.connection import open_for_writing
from llmflow.history.location import network_kind
from llmflow.history.store import Store

ROOT = str(Path(__file__).parent.parent)
JUMPS = """\
import itertools, sys, time
real, turns = time.time, itertools.count()
time.time = lambda: real() + (3600 if next(turns) % 2 else -3600)
from llmflow.cli import main
main()
"""


def bare(folder: Path, *words: str, environment: Mapping[str, str], limits: Mapping[int, int] | None = None) -> Ended:
    """The program with this environment and nothing else."""

    def limit() -> None:
        for what, most in (limits or {}).items():
            resource.setrlimit(what, (most, most))

    done = subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, **environment},
        capture_output=True,
        timeout=100,
        check=False,
        preexec_fn=limit,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))


def test_a_clock_that_jumps_an_hour_back_and_forth_changes_no_duration(tmp_path: Path) -> None:
    head = "providers: {mock: {answers: {'*': {text: hello, delay: 0.05}}}}\ndefaults: {model: mock/m}\n"
    path = pipeline(tmp_path, head + "tasks: {a: {prompt: x}, b: {prompt: '{{ tasks.a.output }}'}}\n")
    store = str(tmp_path / "store")
    command = [sys.executable, "-c", JUMPS, "run", str(path), "--store", store, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0
    assert 0.1 <= json.loads(done.stdout)["makespan"] < 60
    rows = json.loads(llmflow("stats", "--json", "--store", store).out)["rows"]
    assert all(0 < row["mean"] < 60 for row in rows)
    assert [row["task"] for row in rows] == ["a", "b"]


@pytest.mark.parametrize("home", [{}, {"HOME": "/dev/null/nobody"}], ids=["no home", "a home that cannot be written"])
def test_without_a_home_the_history_lies_where_the_run_was_started(tmp_path: Path, home: dict[str, str]) -> None:
    pipeline(tmp_path, "tasks: {t: {value: here}}")
    ended = bare(tmp_path, "run", "p.yaml", environment=home)
    assert (ended.code, ended.out) == (0, "here\n")
    assert integrity(tmp_path / ".llmflow" / "history.db") == ["ok"]
    assert bare(tmp_path, "show", "last", environment=home).code == 0


@pytest.mark.parametrize("coerced", ["0", "1"])
def test_without_a_locale_files_and_outputs_are_utf_8(tmp_path: Path, coerced: str) -> None:
    pipeline(tmp_path, 'tasks: {t: {value: "é – 漢字", save: out.txt}}')
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": coerced, "PYTHONUTF8": coerced}
    ended = bare(tmp_path, "run", "p.yaml", environment=environment)
    assert (ended.code, ended.out) == (0, "é – 漢字\n")
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "é – 漢字\n"


def test_without_memory_it_ends_with_a_word(tmp_path: Path) -> None:
    pipeline(tmp_path, "tasks: {t: {value: here}}")
    ended = bare(tmp_path, "run", "p.yaml", environment={}, limits={resource.RLIMIT_AS: 60_000 * 1024})
    assert (ended.code, ended.out, "Traceback" in ended.err) == (1, "", False)
    assert ended.err.splitlines()[-1].startswith("out of memory; what was committed is in the history")


def test_with_few_open_files_more_calls_than_files_all_come_through(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        provider = f"{{kind: openai, base_url: '{server.openai_url}', api_key_env: FAKE_KEY, workers: 200}}"
        head = f"providers: {{p: {provider}}}\ndefaults: {{model: p/fake-small}}\n"
        pipeline(tmp_path, f"{head}tasks: {{each: {{foreach: {list(range(200))}, prompt: 'about {{{{ item }}}}'}}}}\n")
        environment = {"FAKE_KEY": "sk-fake"}
        ended = bare(tmp_path, "run", "p.yaml", environment=environment, limits={resource.RLIMIT_NOFILE: 64})
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err[-600:]
    assert len(json.loads(ended.out)) == 200


# ---- network file systems ------------------------------------------------------------------------------


def test_a_store_on_another_machine_is_known_by_its_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"40 22 0:40 / {tmp_path} rw shared:1 - nfs4 server:/export rw\n"
        f"41 40 0:41 / {tmp_path}/local\\040disk rw - tmpfs tmpfs rw\n"
        f"42 22 0:42 / {tmp_path}x rw - cifs //server/share rw\n"
    )
    assert network_kind(tmp_path / "store", mounts) == "nfs4"
    assert network_kind(tmp_path / "local disk" / "store", mounts) == ""
    assert network_kind(Path(f"{tmp_path}x") / "store", mounts) == "cifs"
    assert network_kind(Path("/elsewhere"), mounts) == ""
    assert network_kind(tmp_path, tmp_path / "none") == ""


def test_on_a_network_a_store_has_no_write_ahead_log_and_one_that_had_one_loses_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        database = store.database
    modes = []
    for network in (False, True, False):
        connection = open_for_writing(database, "full", network=network)
        modes += connection.execute("PRAGMA journal_mode").fetchone()
        connection.execute("CREATE TABLE IF NOT EXISTS probe (n)")
        connection.close()
    assert modes == ["wal", "delete", "wal"]
    assert integrity(database) == ["ok"]
