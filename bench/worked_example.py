"""The worked example, really run: not on virtual time but on the event loop's own clock, at 20 times the speed.

    python -m bench.worked_example [--quick] [--rounds 3]

The four ways of the docs: one worker, 4 workers first come first served, 4 workers by critical path,
no limit. Everything a run has is on (journal, usage, plain view). A unit is a second of the run's
clock, 50 ms of ours: what lies between a makespan and its due is what llmflow itself took, 20 times
enlarged.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from bench.measuring import ROOT, print_table, say_machine
from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.history.store import Store
from llmflow.views.plain import PlainLines

WAYS = (
    ("1 worker", "1", "critical-path", 95.0),
    ("4 workers, fifo", "4", "fifo", 62.0),
    ("4 workers, critical-path", "4", "critical-path", 52.0),
    ("unlimited", "unlimited", "critical-path", 52.0),
)
TOLERANCE = 0.02


def run(folder: Path, workers: str, policy: str) -> RunResult:
    """One real run of the example."""
    compiled = bind(load_file(str(ROOT / "examples" / "worked_example.yaml")), model_choice(()), workers)
    with Store.open(folder) as store, open(os.devnull, "w") as nowhere:
        options = RunOptions(
            inputs={},
            policy=policy,
            beliefs=believed(compiled, store),
            environment={},
            store=store,
            views=[PlainLines(nowhere)],
        )
        return asyncio.run(execute(compiled, options))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the shorter ways once, to see that it works")
    parser.add_argument("--rounds", type=int, default=3, help="the worst of so many is shown")
    options = parser.parse_args()
    ways, rounds = (WAYS[2:], 1) if options.quick else (WAYS, options.rounds)
    say_machine()
    rows, shares = [], []
    for name, workers, policy, due in ways:
        with tempfile.TemporaryDirectory() as folder:
            results = [run(Path(folder), workers, policy) for _ in range(rounds)]
        result = max(results, key=lambda r: r.summary.makespan)
        summary, off = result.summary, result.summary.makespan / due - 1
        verdict = "yes" if result.status == "succeeded" and off <= TOLERANCE else "NO"
        row = [name, f"{due:.0f}", f"{summary.makespan:.2f}", f"{off:+.2%}", verdict, f"{summary.lower_bound:.2f}"]
        rows.append([*row, f"{summary.pools[0].utilisation:.0%}"])
        each = "  ".join(f"{worker.utilisation:4.0%}" for worker in summary.pools[0].used)
        shares.append(f"{name:<26}{each}")
    head = ["", "due", "makespan, s", "off by", "within 2 %", "lower bound", "utilisation"]
    print_table(f"The worked example at speed 20, the worst of {rounds}", head, rows)
    print("\nUtilisation of each worker:\n")
    print("\n".join(shares))


if __name__ == "__main__":
    main()
