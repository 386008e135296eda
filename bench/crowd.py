"""Eight processes at a time write into one store, each commit acknowledged, while they are killed at random moments.

    python -m bench.crowd           a sample: 8 × 100 commits
    python -m bench.crowd --full    8 × 500 commits

Exit code 1 if SQLite's integrity check finds anything, or an acknowledged event or answer is not there. The seed is
fixed; which moment a kill meets is the machine's.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from acknowledged import crowd, missing
from store_damage import integrity

from llmflow.history.store import Store

PROCESSES = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="500 commits per process instead of 100")
    commits = 500 if parser.parse_args().full else 100
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="llmflow-crowd-") as name:
        folder = Path(name)
        seen = crowd(folder, PROCESSES, commits, seed=1, between_kills=60)
        with Store.open(folder) as store:
            found = integrity(store.database)
            lost = missing(store, seen.acknowledged)
    codes = ", ".join(f"{count} × {'killed' if c == -signal.SIGKILL else c}" for c, count in sorted(seen.codes.items()))
    print(f"{PROCESSES} processes × {commits} commits: {seen.commits:,} acknowledged, {seen.killed} killed ({codes})")
    print(f"integrity check: {', '.join(found)}; runs with something missing: {len(lost)}")
    print(f"{time.monotonic() - began:,.0f} s")
    for problem in lost[:20]:
        print(problem, file=sys.stderr)
    return int(found != ["ok"] or bool(lost) or set(seen.codes) != {0, -signal.SIGKILL})


if __name__ == "__main__":
    sys.exit(main())
