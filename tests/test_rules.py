from __future__ import annotations

from itertools import product

import pytest

from llmflow.scheduling.rules import FAILURE_RULES, RULES, judge
from llmflow.scheduling.state import SETTLED, Status

SHORT = {
    "S": Status.SUCCEEDED,
    "A": Status.ACCEPTED,
    "k": Status.SKIPPED,
    "B": Status.BLOCKED,
    "F": Status.FAILED,
    "C": Status.CANCELLED,
}

TABLE = """
    all_success all_done one_success none_failed none_failed_min_one_success one_failed all_failed
SS  run         run      run         run         run                         skip       skip
SA  run         run      run         run         run                         skip       skip
AA  run         run      run         run         run                         skip       skip
Sk  skip        run      run         run         run                         skip       skip
Ak  skip        run      run         run         run                         skip       skip
kk  skip        run      skip        run         skip                        skip       skip
SB  block       run      run         block       block                       run        skip
SF  block       run      run         block       block                       run        skip
SC  block       run      run         block       block                       run        skip
AB  block       run      run         block       block                       run        skip
AF  block       run      run         block       block                       run        skip
AC  block       run      run         block       block                       run        skip
kB  block       run      block       block       block                       run        skip
kF  block       run      block       block       block                       run        skip
kC  block       run      block       block       block                       run        skip
BB  block       run      block       block       block                       run        run
BF  block       run      block       block       block                       run        run
BC  block       run      block       block       block                       run        run
FF  block       run      block       block       block                       run        run
FC  block       run      block       block       block                       run        run
CC  block       run      block       block       block                       run        run
"""


def table() -> dict[tuple[str, frozenset[tuple[Status, int]]], str]:
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    found: dict[tuple[str, frozenset[tuple[Status, int]]], str] = {}
    for pair, *verdicts in rows:
        statuses = [SHORT[letter] for letter in pair]
        counted = frozenset((s, statuses.count(s)) for s in statuses)
        found |= {(rule, counted): verdict for rule, verdict in zip(head, verdicts, strict=True)}
    return found


def test_every_rule_over_every_pair_of_settled_dependencies() -> None:
    expected = table()
    judged = {}
    for rule, (first, second) in product(RULES, product(SETTLED, repeat=2)):
        pair = [first, second]
        judged[rule, frozenset((s, pair.count(s)) for s in pair)] = judge(rule, pair)
    assert judged == expected
    assert len(expected) == 7 * 21


@pytest.mark.parametrize("rule", RULES)
def test_the_order_of_dependencies_does_not_matter(rule: str) -> None:
    for pair in product(SETTLED, repeat=2):
        assert judge(rule, pair) == judge(rule, pair[::-1])


def test_without_dependencies_only_rules_that_wait_for_something_skip() -> None:
    assert {rule: judge(rule, ()) for rule in RULES} == {
        "all_success": "run",
        "all_done": "run",
        "one_success": "skip",
        "none_failed": "run",
        "none_failed_min_one_success": "skip",
        "one_failed": "skip",
        "all_failed": "skip",
    }


def test_a_skip_passes_down_a_single_chain() -> None:
    assert judge("all_success", [Status.SKIPPED]) == "skip"


def test_only_rules_that_wait_for_a_failure_never_block() -> None:
    blocking = {rule for rule in RULES for pair in product(SETTLED, repeat=2) if judge(rule, pair) == "block"}
    assert blocking == set(RULES) - FAILURE_RULES - {"all_done"}


def test_an_unknown_rule_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="always"):
        judge("always", [Status.SUCCEEDED])
