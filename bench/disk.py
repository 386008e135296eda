"""Takes the room from under runs, at every write, and cuts and spoils stores at every byte, and counts what is lost.

    python -m bench.disk           a minute's sample
    python -m bench.disk --full    every event of five graphs in two ways, every half page of growth, every number of
                                   pages (≥ 500 failures); every byte of the last three transactions; 2,000 bits

Every run without room must say which file could not be written and how to go on, and is resumed with room to outputs
that equal an undisturbed run's, byte for byte; calls are counted outside of the process. Exit code 1 if an answer was
lost, a call paid for that no one was told of, a sentence missing, an output different, or a cut log told anything but
the commits that are whole in it. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from kill_child import FILLINGS, Killers
from kill_trials import Counted, Trials, at_every_event, shapes, text_of
from store_damage import FRAME, Flips, cut_wrongly, flip, integrity, written_log

COLUMNS = ("kills", "runs", "calls", "tasks", "in_flight", "again", "lost", "untold", "unclear", "different")


def without_room(folder: Path, size: int, step: int) -> dict[str, Counted]:
    """Full at an event, a largest size of files, a largest number of pages: over the five graphs."""
    counted = {name: Counted() for name in ("full at an event", "size of files", "pages")}
    with Killers() as killers:
        for shape, tasks in shapes(size).items():
            for name, counts in counted.items():
                trials = Trials(killers, folder / name.replace(" ", "-"), shape, text_of(tasks), counts)
                if name == "full at an event":
                    points = list(at_every_event(trials.events, FILLINGS))
                elif name == "size of files":
                    points = [("size", n) for n in range(16 * 1024, 400 * 1024, FRAME // 2)]
                else:
                    points = [("pages", n) for n in range(1, 40)]
                in_peace = 0
                for point in points[::step]:
                    before = counts.kills
                    trials.trial(point)
                    in_peace = 0 if counts.kills > before else in_peace + 1
                    if in_peace == 5 and name != "full at an event":
                        break  # there is room for all of it by now
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every point")
    parser.add_argument("--size", type=int, default=12, help="calls per graph, about")
    options = parser.parse_args()
    began, step = time.monotonic(), 1 if options.full else 12
    with tempfile.TemporaryDirectory(prefix="llmflow-disk-") as name:
        folder = Path(name)
        counted = without_room(folder, options.size, step)
        for place in ("written", "cut"):
            (folder / place).mkdir()
        written = written_log(folder / "written", 6)
        lengths = range(written.commits[-4][0], len(written.log) + 1, 1 if options.full else 211)
        cuts, wrong = cut_wrongly(folder / "cut", written, iter(lengths))
        flips, dice = Flips(), random.Random(1)
        database = folder / "written" / "history.db"
        assert integrity(database) == ["ok"]
        whole = database.read_bytes()
        for _ in range(2_000 if options.full else 100):
            flip(database, whole, dice, flips)
    print(f"{'':<18}" + "".join(f"{column:>11}" for column in COLUMNS))
    for title, counts in counted.items():
        print(f"{title:<18}" + "".join(f"{getattr(counts, column):>11,}" for column in COLUMNS))
    print(f"logs cut          {cuts:>11,}   told another story {len(wrong):>6,}")
    print(f"bits turned       {flips.tried:>11,}   told of {flips.told:>6,}   unclear {len(flips.unclear or []):>6,}")
    print(f"{time.monotonic() - began:,.0f} s")
    problems = [problem for counts in counted.values() for problem in counts.problems]
    problems += [*wrong, *(flips.unclear or [])]
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
