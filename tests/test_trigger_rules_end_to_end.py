"""Every `trigger_rule` over every pair of settled dependencies, written in YAML: by the command and from Python.

The table itself is that of test_rules.py; here its statuses come about as they do in real pipelines.
"""

from __future__ import annotations

import json
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from command_line import llmflow, pipeline
from test_rules import TABLE

import llmflow as api

HEAD = {
    "name": "rules",
    "providers": {"mock": {"answers": {"f1": {"error": "refusal"}, "*": "fine"}}},
    "defaults": {"model": "mock/any"},
}

CAUSES = {
    "S1": {"value": 1},
    "S2": {"prompt": "answered"},
    "A1": {"command": ["false"], "on_error": "continue"},
    "A2": {"command": ["false"], "on_error": {"default": "instead"}},
    "k1": {"value": 1, "when": False},
    "k2": {"prompt": "never asked", "depends_on": ["k1"]},
    "B1": {"value": 1, "depends_on": ["F1"]},
    "B2": {"prompt": "never asked", "depends_on": ["F2"]},
    "F1": {"prompt": "refused"},
    "F2": {"command": ["false"]},
}
"""Two tasks for each letter of the table but C, which exists only once a run is being stopped."""

MEANING = {"S": "succeeded", "A": "failed", "k": "skipped", "B": "blocked", "F": "failed"}
VERDICT = {"run": "succeeded", "skip": "skipped", "block": "blocked"}


def ids(letter: str) -> tuple[str, str]:
    """Ids are unique ignoring case."""
    return (f"{letter.lower()}1", f"{letter.lower()}2")


def document() -> tuple[dict[str, object], dict[str, str]]:
    """The pipeline with one task per rule and pair, and the status that each must end with."""
    rules, *rows = [line.split() for line in TABLE.strip().splitlines()]
    tasks: dict[str, object] = {}
    for name, cause in CAUSES.items():
        text = json.dumps(cause)
        for other in CAUSES:
            text = text.replace(f'"{other}"', f'"{other.lower()}"')
        tasks[name.lower()] = json.loads(text)
    expected = {name.lower(): MEANING[name[0]] for name in CAUSES}
    for pair, *verdicts in rows:
        if "C" in pair:
            continue
        first, second = ids(pair[0])[0], ids(pair[1])[1]
        for rule, verdict in zip(rules, verdicts, strict=True):
            name = f"{first}_{second}_{rule}"
            tasks[name] = {"value": "ran", "depends_on": [first, second], "trigger_rule": rule}
            expected[name] = VERDICT[verdict]
    return {**HEAD, "tasks": tasks}, expected


def test_the_table_is_whole() -> None:
    pairs = {row.split()[0] for row in TABLE.strip().splitlines()[1:]}
    assert pairs == {"".join(pair) for pair in combinations_with_replacement("SAkBFC", 2)}


def test_every_rule_and_pair_on_the_command_line(tmp_path: Path) -> None:
    written, expected = document()
    ended = llmflow("run", str(pipeline(tmp_path, json.dumps(written))), "--json")
    tasks = json.loads(ended.out)["tasks"]
    assert {name: task["status"] for name, task in tasks.items()} == expected
    assert len(expected) == 10 + 7 * 15
    assert ended.code == 1


def test_every_rule_and_pair_from_python_on_one_worker(tmp_path: Path) -> None:
    written, expected = document()
    result = api.run(pipeline(tmp_path, json.dumps(written)), workers=1)
    assert {name: task["status"] for name, task in result.tasks.items()} == expected
    assert result.exit_code == 1


@pytest.mark.parametrize("rule", TABLE.split("\n")[1].split())
def test_behind_cancelled_tasks_nothing_begins_whatever_the_rule(rule: str, tmp_path: Path) -> None:
    tasks = {
        "f": {"prompt": "refused"},
        "c1": {"prompt": "never asked", "depends_on": ["slow"]},
        "c2": {"prompt": "never asked", "depends_on": ["slow"]},
        "slow": {"prompt": "under way when the other fails"},
        "after": {"value": 1, "depends_on": ["c1", "c2"], "trigger_rule": rule},
        "beside": {"value": 1, "depends_on": ["slow", "c2"], "trigger_rule": rule},
    }
    answers = {"f": {"error": "refusal"}, "slow": {"text": "late", "delay": 0.3}}
    text = json.dumps({**HEAD, "providers": {"mock": {"answers": answers}}, "tasks": tasks})
    ended = llmflow("run", str(pipeline(tmp_path, text)), "--fail-fast", "--json")
    statuses = {name: task["status"] for name, task in json.loads(ended.out)["tasks"].items()}
    assert statuses == dict.fromkeys(tasks, "cancelled") | {"f": "failed", "slow": "succeeded"}
    assert ended.code == 1


def test_a_skip_passes_down_a_chain_and_a_join_decides_for_itself(tmp_path: Path) -> None:
    text = """
    name: chain
    tasks:
      a: {value: 1, when: "1 == 2"}
      b: {value: "{{ tasks.a.output }}"}
      c: {value: "{{ tasks.b.output }}"}
      other: {value: kept}
      join: {value: "{{ tasks.c.output or tasks.other.output }}", trigger_rule: none_failed}
    """
    ended = llmflow("run", str(pipeline(tmp_path, text)), "--json")
    said = json.loads(ended.out)
    assert {name: task["status"] for name, task in said["tasks"].items()} == {
        "a": "skipped",
        "b": "skipped",
        "c": "skipped",
        "other": "succeeded",
        "join": "succeeded",
    }
    assert (ended.code, said["outputs"]) == (0, "kept")


def test_a_join_without_a_rule_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    text = "tasks: {a: {value: 1, when: true}, b: {value: 2}, c: {value: 3, depends_on: [a, b]}}"
    ended = llmflow("run", str(pipeline(tmp_path, text)), cwd=tmp_path)
    assert ended.code == 2
    assert "trigger_rule" in ended.err
