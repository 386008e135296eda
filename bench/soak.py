"""A long run in one process: 100,000 items through a windowed `foreach`, each a call over HTTP. What grows?

    python -m bench.soak [--items 100000] [--kind anthropic] [--quick]

The model is tests/fake_server.py in a process of its own; the run has 64 workers, journal, plain view and
a file of results, and a last task, so that the answers are not the run's outputs, which would be kept. Ten
times a second it looks at its own resident memory, open descriptors and asyncio tasks. The table has them
at shares of the items; *flat* is how far memory strays from the middle between its least and its most once
a tenth of the items is through. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measuring import ROOT, print_table, say_machine
from llmflow.scheduling import events as ev
from llmflow.views.view import RunContext

SHARES = (0.01, 0.1, 0.25, 0.5, 0.75, 1.0)
WARM = 0.1
PIPELINE = """
providers: {{fake: {{kind: {kind}, base_url: "{url}", workers: 64}}}}
defaults: {{model: fake/any, params: {{max_output_tokens: 100}}}}
tasks:
  each: {{foreach: {{file: rows.jsonl}}, prompt: "Say {{{{ item.text }}}}", save: lines.jsonl}}
  done: {{value: all, depends_on: [each]}}
"""

Sample = tuple[int, float, int, int]
"""Items through, resident MB, open descriptors, asyncio tasks."""


def sample(through: int, tasks: int) -> Sample:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return through, held, len(os.listdir("/proc/self/fd")), tasks


class Watch:
    """Samples of a run that goes on."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.through = 0

    def start(self, context: RunContext) -> None:
        """Nothing is known yet."""

    def on_events(self, events: Sequence[ev.Event]) -> None:
        self.through += sum(isinstance(event, ev.TaskSucceeded) for event in events)

    def tick(self) -> None:
        self.samples.append(sample(self.through, len(asyncio.all_tasks())))

    def note(self, text: str) -> None:
        """Nothing is said."""

    def close(self) -> None:
        self.samples.append(sample(self.through, len(asyncio.all_tasks())))


def soak(folder: Path) -> list[Sample]:
    """Run the pipeline in `folder`; the last sample is of the process after the run."""
    from llmflow.binding.estimates import believed
    from llmflow.binding.execution import RunOptions, execute
    from llmflow.binding.loading import bind, load_file, model_choice
    from llmflow.history.store import Store
    from llmflow.views.plain import PlainLines

    compiled = bind(load_file(str(folder / "p.yaml")), model_choice(()), None)
    watch = Watch()
    with open(os.devnull, "w") as nowhere, Store.open(folder / "store") as store:
        options = RunOptions(
            inputs={},
            policy="critical-path",
            beliefs=believed(compiled, store),
            environment={},
            store=store,
            views=[PlainLines(nowhere), watch],
        )
        result = asyncio.run(execute(compiled, options))
        if result.status != "succeeded":
            raise SystemExit(f"the run {result.status}")
    del result, options
    gc.collect()
    return [*watch.samples, sample(watch.through, 0)]


def report(samples: Sequence[Sample], items: int) -> None:
    *going, after = samples
    rows = []
    for share in SHARES:
        _, held, files, tasks = next((s for s in going if s[0] >= share * items), going[-1])
        rows.append([f"{share:.0%} of {items:,} items", f"{held:.1f}", f"{files}", f"{tasks}"])
    rows.append(["after the run", f"{after[1]:.1f}", f"{after[2]}", f"{after[3]}"])
    print_table("What a long run holds", ["", "resident MB", "descriptors", "asyncio tasks"], rows)
    warm = [s for s in going if s[0] >= WARM * items]
    memory = [held for _, held, _, _ in warm]
    middle = (min(memory) + max(memory)) / 2
    print(f"\nflat: ±{(max(memory) - middle) / middle:.1%} of {middle:.0f} MB from {WARM:.0%} on; ", end="")
    print(f"at most {max(s[2] for s in warm)} descriptors, {max(s[3] for s in warm)} asyncio tasks")


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        print(json.dumps(soak(Path(sys.argv[2]))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kind", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--quick", action="store_true", help="a few items, to see that it works")
    options = parser.parse_args()
    items = 100 if options.quick else options.items
    say_machine()
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fake_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            base = f"{url}/v1" if options.kind == "openai" else url
            (folder / "p.yaml").write_text(PIPELINE.format(kind=options.kind, url=base), encoding="utf-8")
            with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(f'{{"text": "row {n} with some words in it"}}\n' for n in range(items))
            environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
            command = [sys.executable, "-m", "bench.soak", "--inside", name]
            ran = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            if ran.returncode:
                raise SystemExit(ran.returncode)
            report([(s[0], s[1], s[2], s[3]) for s in json.loads(ran.stdout)], items)
    finally:
        server.stdin.close()
        server.wait()


if __name__ == "__main__":
    main()
