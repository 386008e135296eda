"""What starting costs: CPU of whole processes, beside the smallest typer program of the same version.

    python -m bench.startup [--quick] [--rounds 21]

`hello.py NAME` is a plain `typer.Typer()` app with one command that prints its argument. Figures are
user + system time of the process as the kernel counts it, the interpreter's own start included;
every round starts all programs one after the other, and ratios are taken round by round. `plan` is of
100 tasks in layers, `stats` of a history that holds two runs of such a pipeline.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.graphs import layered
from bench.measuring import ROOT, cpu_of, print_table, ratio, say_machine

HELLO = """import typer

app = typer.Typer()


@app.command()
def hello(name: str) -> None:
    print(f"Hello {name}")


if __name__ == "__main__":
    app()
"""


def pipeline(tasks: int) -> str:
    """A pipeline of simulated tasks in layers of 50."""
    lines = ["name: bench-startup", "providers: {sim: {kind: simulated, speed: 100000}}", "defaults: {model: sim/any}"]
    lines.append("tasks:")
    for task, deps in enumerate(layered(tasks)):
        said = " ".join(f"{{{{ tasks.t{d}.output }}}}" for d in deps)
        lines.append(f'  t{task}: {{prompt: "Say {task} {said}", estimate: {1 + task % 7}s}}')
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round, to see that it works")
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    say_machine()
    with tempfile.TemporaryDirectory() as folder:
        hello, file = Path(folder, "hello.py"), Path(folder, "pipeline.yaml")
        hello.write_text(HELLO)
        file.write_text(pipeline(100))
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LLMFLOW_STORE": str(Path(folder, "store")),
            "HOME": folder,
        }
        ours = [sys.executable, "-m", "llmflow"]
        for _ in range(2):
            cpu_of([*ours, "run", str(file), "--plain"], environment)
        programs = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "typer hello.py NAME": [sys.executable, str(hello), "Ada"],
            "typer hello.py --help": [sys.executable, str(hello), "--help"],
            "llmflow --help": [*ours, "--help"],
            "llmflow --version": [*ours, "--version"],
            "llmflow plan --policy critical-path": [*ours, "plan", str(file), "--policy", "critical-path"],
            "llmflow stats": [*ours, "stats"],
            "llmflow validate": [*ours, "validate", str(file)],
            "llmflow run (100 simulated tasks)": [*ours, "run", str(file), "--plain"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for command in programs.values():
            cpu_of(command, environment)  # compiled files and disk caches are warm from here on
        for _ in range(rounds):
            for name, command in programs.items():
                seconds[name].append(cpu_of(command, environment)[0])
    hellos = seconds["typer hello.py NAME"]
    rows = [[name, f"{median(s) * 1000:.0f}", f"{ratio(s, hellos):.2f}"] for name, s in seconds.items()]
    print_table(f"CPU of a process, median of {rounds}", ["command", "ms", "× typer hello"], rows)


if __name__ == "__main__":
    main()
