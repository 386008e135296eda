"""Trigger rules: may a task run, given how its dependencies settled?

The words are Airflow's. A rule is asked once, when all dependencies have settled. `blocked` and
`cancelled` count as failed; a failure that `on_error` accepts counts as a success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmflow.scheduling.state import ACCEPTED, SKIPPED, SUCCEEDED

Holds = Callable[[int, int, int], bool]
"""(succeeded, failed, skipped) among the dependencies → the rule holds."""

RULES: dict[str, Holds] = {
    "all_success": lambda ok, failed, skipped: not failed and not skipped,
    "all_done": lambda ok, failed, skipped: True,
    "one_success": lambda ok, failed, skipped: ok > 0,
    "none_failed": lambda ok, failed, skipped: not failed,
    "none_failed_min_one_success": lambda ok, failed, skipped: not failed and ok > 0,
    "one_failed": lambda ok, failed, skipped: failed > 0,
    "all_failed": lambda ok, failed, skipped: failed > 0 and not ok and not skipped,
}

FAILURE_RULES = frozenset({"one_failed", "all_failed"})
"""Where such a rule does not hold nothing went wrong: the task is skipped, never blocked."""


def judge(rule: str, statuses: Iterable[int]) -> str:
    """`run`, `skip` or `block` for dependencies that have all settled with `statuses`.

    A task without dependencies runs under every rule but those that wait for a failure or for a
    success among dependencies it does not have: there it is skipped.
    """
    ok = failed = skipped = 0
    for status in statuses:
        if status in (SUCCEEDED, ACCEPTED):
            ok += 1
        elif status == SKIPPED:
            skipped += 1
        else:
            failed += 1
    if RULES[rule](ok, failed, skipped):
        return "run"
    return "block" if failed and rule not in FAILURE_RULES else "skip"
