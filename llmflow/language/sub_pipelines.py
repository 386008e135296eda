"""Pipelines that a pipeline uses: their files, what they get from the one above, and whether that fits.

A used file is checked as if it stood alone; it gets the defaults of the file that uses it under its
own, and its problems are shown with its own places. Providers of one name are one pool, so they must
be equal wherever they are declared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmflow.errors import Mark
from llmflow.language import yaml_reader as yaml
from llmflow.language.defaults import Defaults
from llmflow.language.input_values import value_problem
from llmflow.language.pipeline import Pipeline, ProviderSpec
from llmflow.language.pipeline_files import FileProblem, read_text_below
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.source import Source
from llmflow.language.templates import Structure, Template
from llmflow.language.yaml_reader import UnreadableYaml, read_yaml

MAX_FILES_DEEP = 32
MAX_TASKS = 200_000
"""Tasks that the used files may add, each counted as often as it is used."""


@dataclass(slots=True)
class Together:
    """What all files of one `load` share. `aliases`: models that the command line puts in an alias' place."""

    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known_aliases: set[str] = field(default_factory=set)
    """Every alias that one of the files defines."""
    told: set[tuple[str, int]] = field(default_factory=set)
    """Places of defaults that do not fit a model and have been reported."""


@dataclass(frozen=True, slots=True)
class Heritage:
    """What a file gets from those that use it. `chain`: their paths, resolved and as they are shown."""

    together: Together
    chain: tuple[tuple[str, str], ...] = ()
    defaults: Defaults | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)


ReadFile = Callable[[Reading, yaml.Node, str, Heritage], Pipeline]
"""A file's reading, root and absolute path → its Pipeline, with its problems reported to the reading."""


class SubPipelines:
    """The pipelines that the tasks of one file use, each file read once."""

    def __init__(
        self, reading: Reading, heritage: Heritage, providers: dict[str, ProviderSpec], read_file: ReadFile
    ) -> None:
        """`heritage` is what the used files get; `providers`, the file's own, take up theirs."""
        self._reading, self._heritage, self._read_file = reading, heritage, read_file
        self._providers = providers
        self._read: dict[str, Pipeline | None] = {}
        self._added = 0

    def used_by(self, draft: Draft) -> Pipeline | None:
        """The pipeline that the task's `uses` names; None where it is wrong, which is reported."""
        if "uses" not in draft.values:
            return None
        path, at = draft.values["uses"], draft.place("uses")
        if path not in self._read:
            self._read[path] = self._load(path, at)
        found = self._read[path]
        if found is None:
            return None
        self._added += size_of(found)
        if self._added > MAX_TASKS:
            self._reading.problem(at, f"the pipelines used here add more than {MAX_TASKS:,} tasks")
            self._added = 0
            return None
        self._check_inputs(found, path, draft)
        return found

    def _load(self, path: str, at: int) -> Pipeline | None:
        reading = self._reading
        if "{{" in path:
            reading.problem(at, "the file of `uses` cannot be a template", "which files a run needs is known before it")
            return None
        try:
            text = read_text_below(reading.folder, path)
        except FileProblem as problem:
            reading.problem(at, problem.message, problem.hint)
            return None
        place = reading.folder / path
        real, shown = os.path.realpath(place), str(place)
        chain = self._heritage.chain
        if any(real == above for above, _ in chain):
            names = " -> ".join([*(s for _, s in chain[[r for r, _ in chain].index(real) :]), shown])
            reading.problem(at, f"pipelines use each other in a circle: {names}", "a pipeline cannot use itself")
            return None
        if len(chain) >= MAX_FILES_DEEP:
            reading.problem(at, f"pipelines use each other more than {MAX_FILES_DEEP} files deep")
            return None
        source = Source(shown, text)
        below = Reading(source, place.parent)
        try:
            root, below.problems = read_yaml(source)
            heritage = replace(self._heritage, chain=(*chain, (real, shown)))
            pipeline = self._read_file(below, root, os.path.abspath(place), heritage)
        except UnreadableYaml as unreadable:
            below.problems = unreadable.problems
        reading.problems += below.problems
        if below.problems:
            return None
        if pipeline.finals:
            message = f"`{path}` has `finally`, and only the file that is run may have it"
            reading.problem(at, message, "move those tasks there")
            return None
        self._take_providers(pipeline, path, at)
        return pipeline

    def _take_providers(self, pipeline: Pipeline, path: str, at: int) -> None:
        for name, spec in pipeline.providers.items():
            known = self._providers.setdefault(name, spec)
            if replace(known, mark=_NOWHERE) != replace(spec, mark=_NOWHERE):
                message = f"`{path}` declares another provider `{name}` ({spec.mark}) than {known.mark}"
                self._reading.problem(
                    at, message, "providers of one name are one pool: declare them alike, or rename one"
                )

    def _check_inputs(self, pipeline: Pipeline, path: str, draft: Draft) -> None:
        """The names of `with` are the inputs: all that are needed, none that are not there, of the right types."""
        node = draft.node.entries.get("with")
        given = node.entries if isinstance(node, yaml.Mapping) else {}
        report = self._reading.problem
        for name in given:
            assert isinstance(node, yaml.Mapping)
            declared = pipeline.inputs.get(name)
            if declared is None:
                hint = self._reading.did_you_mean(name, pipeline.inputs)
                hint = hint or "it has " + (", ".join(f"`{n}`" for n in pipeline.inputs) or "no inputs")
                report(node.key_place(name), f"`{path}` has no input `{name[:80]}`", hint)
            elif name in draft.values.get("with", ()):
                value = _known(draft.values["with"][name])
                may_be_none = value is None and not declared.required
                if value is not _LATER and not may_be_none and (wrong := value_problem(declared, value)):
                    report(given[name].at, f"input `{name}` of `{path}` {wrong}")
        missing = [f"`{n}`" for n, declared in pipeline.inputs.items() if declared.required and n not in given]
        if missing:
            many = "inputs " if len(missing) > 1 else "input "
            report(draft.place("uses"), f"`{path}` needs {many}{', '.join(missing)}", "give it in `with`")


def size_of(pipeline: Pipeline) -> int:
    """Tasks of a pipeline, those of the pipelines it uses included."""
    used = [task.uses for task in pipeline if task.uses is not None]
    return len(pipeline.tasks) + sum(size_of(below) for below in used)


_NOWHERE = Mark("")
_LATER = object()


def _known(structure: Structure) -> Any:
    """The value as far as it is known before a run: what a single template gives is not."""
    data = structure.data
    if isinstance(data, Template):
        return _LATER if data.single else data.source
    return data
