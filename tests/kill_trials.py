"""Runs that are killed and resumed, and what must hold of each: nothing that was answered is lost or paid for again.

A counter outside of the process (a file that `mock` appends to, or a server) is the truth of what was paid for.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fake_server import FakeServer, prompt_of
from kill_child import FILLINGS, LIMITS, Job, Killers

from llmflow.binding.resuming import cut_off
from llmflow.errors import StoreError
from llmflow.history import stories
from llmflow.history.store import Store

KILLED = -9
NO_ROOM = 74
_LABEL = re.compile(r"\[(\w+)\]")
MOCK = "providers: {mock: {kind: mock, workers: 4, answers: {ANSWERS}}}\ndefaults: {model: mock/m}\n"


def chain(length: int) -> dict[str, str]:
    """Each task quotes the one before."""
    return {f"t{n}": f"{{prompt: '[t{n}] {_quote(f't{n - 1}') if n else 'begin'}'}}" for n in range(length)}


def fan(width: int) -> dict[str, str]:
    """One task, `width` that quote it, one that quotes them all."""
    middle = {f"m{n}": f"{{prompt: '[m{n}] {_quote('first')}'}}" for n in range(width)}
    last = "{prompt: '[last] " + " ".join(_quote(name) for name in middle) + "'}"
    return {"first": "{prompt: '[first] begin'}", **middle, "last": last}


def diamond(levels: int) -> dict[str, str]:
    """Two tasks a level, each quotes both of the level before."""
    tasks: dict[str, str] = {}
    for n in range(levels):
        above = f"{_quote(f'a{n - 1}')} {_quote(f'b{n - 1}')}" if n else "begin"
        tasks |= {f"{side}{n}": f"{{prompt: '[{side}{n}] {above}'}}" for side in "ab"}
    return tasks


def items(count: int) -> dict[str, str]:
    """Three stages whose items flow one by one, and a task that quotes the last stage whole."""
    numbers = json.dumps(list(range(count)))
    return {
        "one": f"{{foreach: {numbers}, prompt: '[one] {{{{ item }}}}'}}",
        "two": "{foreach: '{{ tasks.one.outputs }}', prompt: '[two] {{ item }}'}",
        "three": "{foreach: '{{ tasks.two.outputs }}', prompt: '[three] {{ item }}'}",
        "all": "{prompt: '[all] {{ tasks.three.outputs | join }}'}",
    }


def any_graph(size: int, seed: int) -> dict[str, str]:
    """Each task quotes up to three earlier ones, chosen by dice."""
    dice = random.Random(seed)
    tasks: dict[str, str] = {}
    for n in range(size):
        above = dice.sample(list(tasks), min(len(tasks), dice.randint(0, 3)))
        tasks[f"r{n}"] = f"{{prompt: '[r{n}] {' '.join(map(_quote, above)) or 'begin'}'}}"
    return tasks


def _quote(name: str) -> str:
    return "{{ tasks." + name + ".output }}"


def shapes(size: int) -> dict[str, dict[str, str]]:
    """The five graphs, each of about `size` calls."""
    return {
        "chain": chain(size),
        "fan": fan(size - 2),
        "diamond": diamond(size // 2),
        "foreach": items(size // 3),
        "random": any_graph(size, seed=size),
    }


def text_of(tasks: dict[str, str], head: str = MOCK) -> str:
    """The pipeline: with `mock` each task has its own answer, after a millisecond or three."""
    answers = ", ".join(f"{t}: {{text: 'The answer of {t}.', delay: 0.00{1 + n % 3}}}" for n, t in enumerate(tasks))
    lines = [f"  {name}: {task}" for name, task in tasks.items()]
    return head.replace("ANSWERS", answers) + "tasks:\n" + "\n".join(lines) + "\n"


@dataclass
class Counted:
    """What many trials have seen."""

    kills: int = 0
    runs: int = 0
    calls: int = 0
    tasks: int = 0
    in_flight: int = 0
    """Calls that the resumed run was told of: in flight at a kill, perhaps paid for."""
    again: int = 0
    """Calls beyond the first for one task: what was paid twice."""
    lost: int = 0
    """Committed answers that were asked for again."""
    untold: int = 0
    """Calls paid for of which the history knew neither an answer nor a beginning."""
    unclear: int = 0
    """Full disks of which no sentence told which file could not be written and what can be done, or a traceback."""
    different: int = 0
    """Runs whose outputs were not those of the undisturbed run, byte for byte."""
    problems: list[str] = field(default_factory=list)


def broken(counted: Counted, kills: int) -> list[str]:
    """What a reader of the contract could not rely on in these trials, of which `kills` were to be stopped at least."""
    wrong = list(counted.problems)
    if (counted.lost, counted.untold, counted.unclear, counted.different) != (0, 0, 0, 0):
        wrong.append(f"{counted}")
    if counted.kills < kills:
        wrong.append(f"{counted.kills} kills instead of {kills}")
    if counted.calls > counted.tasks + counted.in_flight:
        wrong.append(f"{counted.calls} calls for {counted.tasks} tasks and {counted.in_flight} that were in flight")
    return wrong


class Trials:
    """Trials of one pipeline. `paid` gives the labels of all calls so far, in order."""

    def __init__(
        self,
        killers: Killers,
        folder: Path,
        name: str,
        text: str,
        counted: Counted,
        *,
        paid: Callable[[], list[str]] | None = None,
    ) -> None:
        self.killers, self.counted, self.name = killers, counted, name
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.file = self.folder / "p.yaml"
        self.file.write_text(text, encoding="utf-8")
        self._calls, self._log = self.folder / "calls", self.folder / "log"
        self._paid = paid or self._counted_by_mock
        self._number = 0
        store = self._fresh()
        began = time.monotonic()
        code = self._job(store, None, "safe", 0, 0.0)
        self.seconds = time.monotonic() - began
        """How long the undisturbed run took."""
        assert code == 0, self._log.read_text()
        self.expected = (self.folder / "out").read_bytes()
        self.labels = self._paid()
        with Store.open(store, read_only=True) as history:
            run = stories.runs(history)[0].record
            self.events = stories.last_position(history, run.id)

    def trial(self, *kills: tuple[str, float]) -> None:
        """Kill the run, then each resume of it, at (mode, event or seconds); then let it end, and judge."""
        self._log.unlink(missing_ok=True)
        self._calls.unlink(missing_ok=True)
        store, before = self._fresh(), len(self._paid())
        self.counted.runs += 1
        run: str | None = None
        answered: set[str] = set()
        excused: Counter[str] = Counter()
        for mode, at in (*kills, ("safe", 0)):
            begun = len(self._paid())
            code = self._job(store, run, "safe" if mode == "after" else mode, *_when(mode, at))
            made = self._paid()[begun:]
            self._fault("lost", sorted(answered.intersection(made)), kills)
            if code == 0:
                break
            words = self._log.read_text(encoding="utf-8") if self._log.exists() else ""  # killed before it had a log
            if code != (NO_ROOM if mode in (*FILLINGS, *LIMITS) else KILLED):
                self.counted.problems.append(f"{self.name} {kills}: exit {code}: {words.splitlines()[-1:]}")
                return
            self.counted.kills += 1
            if code == NO_ROOM:
                self._fault("unclear", unclear(words, store), kills)
            run, answered, open_calls = self._look(store)
            excused.update(open_calls)
            self.counted.in_flight += len(open_calls)
            self._fault("untold", sorted(set(made) - answered - set(open_calls)), kills)
        calls = Counter(self._paid()[before:])
        self.counted.calls += calls.total()
        self.counted.tasks += len(self.labels)
        again = calls - Counter(self.labels)
        self.counted.again += again.total()
        self._fault("lost", sorted((again - excused).elements()), kills)
        if (self.folder / "out").read_bytes() != self.expected:
            self._fault("different", ["outputs"], kills)

    def _fault(self, kind: str, labels: Sequence[str], kills: object) -> None:
        if labels:
            setattr(self.counted, kind, getattr(self.counted, kind) + len(labels))
            self.counted.problems.append(f"{self.name} {kills}: {kind}: {', '.join(labels)}")

    def _look(self, store: Path) -> tuple[str | None, set[str], list[str]]:
        """(run, labels with a committed answer, labels in flight) as the next run will find them."""
        try:
            history = Store.open(store)
        except StoreError as error:
            self.counted.problems.append(f"{self.name}: {error}")
            return None, set(), []
        with history:
            found = stories.runs(history)
            if not found:
                return None, set(), []
            answers = stories.answers(history, found[0].record.id)
            labels = {a.name if a.item is None else f"{a.name}[{a.item}]" for a in answers}
            return found[0].record.id, labels, cut_off(history, found[0])

    def _job(self, store: Path, run: str | None, mode: str, kill: int, after: float) -> int:
        out = self.folder / "out"
        out.unlink(missing_ok=True)
        job = Job(
            file=run or str(self.file),
            store=str(store),
            output=str(out),
            log=str(self._log),
            resume=run is not None,
            mode=mode,
            kill=kill,
            after=after,
            environment={"LLMFLOW_MOCK_CALLS": str(self._calls), "FAKE_KEY": "sk-fake"},
        )
        return self.killers.run(job)

    def _fresh(self) -> Path:
        self._number += 1
        return self.folder / f"store{self._number}"

    def _counted_by_mock(self) -> list[str]:
        try:
            lines = self._calls.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line)["task"] for line in lines]


def _when(mode: str, at: float) -> tuple[int, float]:
    return (0, at) if mode == "after" else (int(at), 0.0)


def unclear(words: str, store: Path) -> list[str]:
    """What a person would miss in these words about a store that could not be written; nothing where all is said."""
    lines = words.splitlines()
    told = [n for n, line in enumerate(lines) if line.startswith(f"{store}/")]
    if "Traceback" in words or not told or not lines[told[-1] :][1:2] or "  hint: " not in lines[told[-1] + 1]:
        return lines[-3:] or ["not a word"]
    return []


def sdk_head(kind: str, server: FakeServer) -> str:
    """The head of a pipeline that asks `server` through the SDK of `kind` (`openai`, `anthropic`)."""
    url = server.openai_url if kind == "openai" else server.anthropic_url
    provider = f"{{kind: {kind}, base_url: '{url}', api_key_env: FAKE_KEY, workers: 4}}"
    return f"providers: {{fake: {provider}}}\ndefaults: {{model: fake/fake-small}}\n"


def asked_of(server: FakeServer) -> list[str]:
    """The labels of all requests that have reached the server; the processes that sent them have ended."""
    assert server.wait_for(lambda s: s.open_connections == 0)
    found = [_LABEL.match(prompt_of(seen.body)) for seen in server.requests if seen.method == "POST"]
    return [label[1] for label in found if label is not None]


def at_every_event(events: int, modes: Sequence[str], step: int = 1, first: int = 1) -> Iterator[tuple[str, float]]:
    """Every `step`-th event of a run with `events` of them, in every mode."""
    for mode in modes:
        for kill in range(first, events + 1, step):
            yield mode, kill
