"""What all benchmarks share: the line that names the machine, medians, and how a table is printed."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent


def say_machine() -> None:
    """Print what the numbers below were measured on, and the command that measured them."""
    load = os.getloadavg()[0]
    print(f"{date.today()}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, ", end="")
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start")
    print(f"$ python -m bench.{Path(sys.argv[0]).stem} {' '.join(sys.argv[1:])}".rstrip())


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table with aligned columns, so that it can be pasted as it stands."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("| " + " | ".join(cells) + " |")
    sys.stdout.flush()


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of what was measured round by round, so that a busy moment spoils one round only."""
    return median(a / b for a, b in zip(numerator, denominator, strict=True))


def cpu_of(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """CPU seconds and peak resident bytes of a process that must succeed, children included.

    It is measured from outside, the interpreter's own start included.
    """
    with tempfile.TemporaryFile() as said:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}: exit {child.returncode}\n{said.read().decode(errors='replace')}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
