"""What reading a large pipeline costs: read, checked and planned, beside PyYAML's C loader alone.

    python -m bench.load [--quick] [--sizes 10000 100000]

The file is generated: prompts of about 200 characters, each with one to three references to earlier
tasks, 2.4 MB at 10,000 tasks. Planning is by critical path on 50 workers, from the written estimates.
Every figure is of a process of its own, as the kernel counts it, less what the same process
costs with a file of one task; `peak` is its largest resident size, nothing subtracted.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.measuring import ROOT, cpu_of, print_table, say_machine

TEXT = """summarise the following report in plain words for a reader who has little time and wants the numbers
it holds first then what they mean"""

LLMFLOW = """
import gc, sys
gc.disable()  # as the command line does
from llmflow.binding.estimates import believed
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.reports.plan import make_plan
compiled = bind(load_file(sys.argv[1]), model_choice(()), "50")
beliefs = believed(compiled, None).estimates
plan = make_plan(compiled.graph, compiled.specs, compiled.pools, beliefs,
    policy="critical-path", compare=["critical-path"], workers=compiled.workers)
assert plan.makespan > 0 and len(plan.tasks) == int(sys.argv[2])
"""
READ_ONLY = """
import sys
from llmflow.binding.loading import load_file
assert len(load_file(sys.argv[1]).tasks) == int(sys.argv[2])
"""
PYYAML = """
import sys, yaml
with open(sys.argv[1], "rb") as file:
    assert len(yaml.load(file, yaml.CSafeLoader)["tasks"]) == int(sys.argv[2])
"""


def pipeline(tasks: int, seed: int = 0) -> str:
    """A pipeline whose tasks refer to one to three of the 300 before them."""
    dice = random.Random(seed)
    vocabulary = TEXT.split()
    lines = ["name: bench-load", "providers: {sim: {kind: simulated}}", "defaults: {model: sim/any}", "tasks:"]
    for task in range(tasks):
        words = dice.choices(vocabulary, k=26)
        first = max(0, task - 300)
        for d in dice.sample(range(first, task), min(task, dice.randint(1, 3))):
            words.insert(dice.randrange(len(words) + 1), f"{{{{ tasks.t{d}.output }}}}")
        lines.append(f'  t{task}:\n    prompt: "{" ".join(words)}"\n    estimate: {dice.randint(1, 30)}s')
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny file, to see that it works")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes, rounds = ([50], 1) if options.quick else (options.sizes, options.rounds)
    say_machine()
    programs = {
        "llmflow: read, check, plan": LLMFLOW,
        "llmflow: read, check": READ_ONLY,
        "PyYAML CSafeLoader alone": PYYAML,
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder, "one.yaml")
        one.write_text(pipeline(1))
        for size in sizes:
            file = Path(folder, f"{size}.yaml")
            file.write_text(pipeline(size))
            figures: dict[str, list[tuple[float, float, int]]] = {name: [] for name in programs}
            for _ in range(rounds if size < 50_000 else min(rounds, 3)):
                for name, program in programs.items():
                    start, _ = cpu_of([sys.executable, "-c", program, str(one), "1"], environment)
                    whole, peak = cpu_of([sys.executable, "-c", program, str(file), str(size)], environment)
                    figures[name].append((whole - start, whole, int(peak)))
            for name, measured in figures.items():
                own, whole, peak = (median(column) for column in zip(*measured, strict=True))
                megabytes = file.stat().st_size / 1e6
                row = [f"{size:,} tasks, {megabytes:.1f} MB: {name}", f"{own:.2f}", f"{whole:.2f}", f"{peak / 1e6:.0f}"]
                rows.append(row)
    print_table("A large file", ["", "CPU s", "whole process", "peak MB"], rows)


if __name__ == "__main__":
    main()
