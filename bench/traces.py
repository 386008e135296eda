"""How well the duration of a real call is foretold: leave-one-out on recorded calls.

    python -m bench.traces FOLDER [--every K] [--quick]

`hosted`: calls to 19 services (provider and size), each prompt and answer much like the last.
`local`: 120 calls of three kinds to a small model, one and four at a time. Each call is left out in
turn; all others of its model teach. *Output unknown* is what a plan can know: task, load and size of
the prompt. *Output known* adds how long the answer will be, which shows what the regression is worth.

Errors: mean absolute error in seconds, by the mean duration; the same of the median error; mean
absolute logarithm (0.10 = off by 10 % either way); and how often the call fell within P10–P90.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import fmean, median
from time import process_time

from bench.measuring import print_table, say_machine
from llmflow.history.records import SampleRecord
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.statistics import quantile


@dataclass(frozen=True, slots=True)
class Forecast:
    point: float
    low: float
    high: float


Foretell = Callable[[Sequence[SampleRecord], SampleRecord], Forecast]
"""(what is remembered, the call to come, of which only what is known before may be looked at)."""


def hosted(path: Path) -> dict[str, list[SampleRecord]]:
    """Successful calls by service."""
    found: dict[str, list[SampleRecord]] = defaultdict(list)
    with path.open(newline="") as table:
        for row in csv.DictReader(table):
            model = f"{row['provider']}/{row['model_size']}"
            if row["error_code"]:
                continue
            found[model].append(
                SampleRecord(
                    task="benchmark",
                    duration=float(row["e2e_s"]),
                    started_at=float(row["seq"]),
                    model=model,
                    template="benchmark",
                    input_tokens=int(row["input_tokens"]),
                    output_tokens=int(row["output_tokens"]),
                )
            )
    return dict(found)


def local(path: Path) -> list[SampleRecord]:
    """All calls, by the order in which they started; one at a time came first."""
    with path.open(newline="") as table:
        return [
            SampleRecord(
                task=row["kind"],
                duration=float(row["duration_s"]),
                started_at=float(position),
                model="local/small",
                template=row["kind"],
                concurrency=int(row["concurrency"]),
                input_tokens=int(row["prompt_tokens"]),
                output_tokens=int(row["completion_tokens"]),
            )
            for position, row in enumerate(csv.DictReader(table))
        ]


def learned(*, mean: bool = False, output_known: bool = False) -> Foretell:
    """The median, or the mean, of what the learner believes."""

    def foretell(others: Sequence[SampleRecord], call: SampleRecord) -> Forecast:
        subject = Subject(
            call.task,
            model=call.model,
            template=call.template,
            input_tokens=call.input_tokens,
            output_tokens=call.output_tokens if output_known else None,
            concurrency=call.concurrency,
        )
        belief = Learner(others).estimate(subject)
        return Forecast(belief.mean if mean else belief.quantile(0.5), belief.quantile(0.1), belief.quantile(0.9))

    return foretell


def by_kind(average: Callable[[Sequence[float]], float], *, load: bool) -> Foretell:
    """The average of the calls of this kind, of those at this load alone if `load`."""

    def foretell(others: Sequence[SampleRecord], call: SampleRecord) -> Forecast:
        alike = sorted(
            o.duration for o in others if o.task == call.task and (not load or o.concurrency == call.concurrency)
        )
        return Forecast(average(alike), quantile(alike, 0.1), quantile(alike, 0.9))

    return foretell


@dataclass(frozen=True, slots=True)
class Miss:
    """One call, foretold and met. Seconds."""

    forecast: Forecast
    truth: float

    @property
    def error(self) -> float:
        return abs(self.forecast.point - self.truth)

    @property
    def logarithm(self) -> float:
        return abs(log(self.forecast.point / self.truth))

    @property
    def inside(self) -> bool:
        return self.forecast.low <= self.truth <= self.forecast.high


def leave_one_out(calls: Sequence[SampleRecord], foretell: Foretell, every: int) -> list[Miss]:
    return [
        Miss(foretell([*calls[:i], *calls[i + 1 :]], calls[i]), calls[i].duration) for i in range(0, len(calls), every)
    ]


def prequential(calls: Sequence[SampleRecord], foretell: Foretell, every: int, first: int = 5) -> list[Miss]:
    """Only what came before teaches: what a running system would have said."""
    return [Miss(foretell(calls[:i], calls[i]), calls[i].duration) for i in range(first, len(calls), every)]


def row(name: str, misses: Sequence[Miss]) -> list[str]:
    truth = fmean(m.truth for m in misses)
    return [
        name,
        f"{fmean(m.error for m in misses) / truth:.1%}",
        f"{median(m.error for m in misses) / truth:.1%}",
        f"{fmean(m.logarithm for m in misses):.3f}",
        f"{fmean(m.inside for m in misses):.1%}",
    ]


HEAD = ["forecast", "mean error", "median error", "mean abs log", "within P10–P90"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=3, help="leave out every K-th hosted call (default 3)")
    parser.add_argument("--quick", action="store_true", help="every 40th call: to see that it works")
    options = parser.parse_args()
    every, every_local = (40, 10) if options.quick else (options.every, 1)
    say_machine()
    services = hosted(options.folder / "traces" / "llmperf_leaderboard_2023-12_hosted.csv")
    small = local(options.folder / "traces" / "smollm2_120_calls.csv")
    forecasts = {
        "llmflow, median": learned(),
        "llmflow, mean": learned(mean=True),
        "llmflow, median, output known": learned(output_known=True),
        "median of the kind": by_kind(median, load=False),
        "mean of the kind": by_kind(fmean, load=False),
        "median of the kind at this load": by_kind(median, load=True),
        "mean of the kind at this load": by_kind(fmean, load=True),
    }
    for title, ways in (("leave one out", leave_one_out), ("from the past alone", prequential)):
        began = process_time()
        rows = []
        for name, foretell in forecasts.items():
            if "load" not in name:  # there is one load only
                misses = [m for calls in services.values() for m in ways(calls, foretell, every)]
                rows.append(row(name, misses))
        print_table(f"hosted, {title}: {len(misses)} calls of {len(services)} services", HEAD, rows)
        if ways is leave_one_out:
            rows = [row(name, ways(small, foretell, every_local)) for name, foretell in forecasts.items()]
            print_table(f"local, {title}: {len(small[::every_local])} calls", HEAD, rows)
        print(f"\n{process_time() - began:.0f} s CPU")


if __name__ == "__main__":
    main()
