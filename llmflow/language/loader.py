"""A pipeline file → a checked Pipeline, or all that is wrong with it at once, each with its place.

The steps: bytes → text (`source_text`), text → nodes (`yaml_reader`), nodes → drafts by the field
definitions (`fields`), references → edges (`references`), the graph's own checks (`checks`), drafts →
the Pipeline (`tasks`). Nothing of the file is executed and no other file is read but those it names.
"""

from __future__ import annotations

import gc
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from llmflow.errors import PipelineError, Problem
from llmflow.language import yaml_reader as yaml
from llmflow.language.checks import cycles_of, unruled_joins
from llmflow.language.fields import KINDS, PIPELINE
from llmflow.language.input_values import value_problem
from llmflow.language.key_like import key_places
from llmflow.language.models import Models
from llmflow.language.pipeline import Input, Pipeline, ProviderSpec, Scheduling, Task
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.references import Place, Scope, first_reference
from llmflow.language.scalars import place_of
from llmflow.language.source import Source
from llmflow.language.source_text import decoded, file_bytes, is_plain_utf8
from llmflow.language.tasks import TaskBuilder
from llmflow.language.yaml_reader import Node, UnreadableYaml, read_yaml

STDIN = "-"


def load(path: str | Path, *, text: bytes | None = None) -> Pipeline:
    """The checked pipeline of the file at `path`; of `text` where it is given.

    `path` `-` is standard input. Paths inside the file are relative to its folder (to the working
    directory for standard input). Raises PipelineError with all problems, in file order.
    """
    shown = "<stdin>" if str(path) == STDIN else str(path)
    collecting = gc.isenabled()
    gc.disable()  # nothing of what is made here is in a cycle; the collector would cost half the time
    try:
        if text is None:
            text = sys.stdin.buffer.read() if str(path) == STDIN else file_bytes(shown)
        source = Source(shown, decoded(shown, text))
        try:
            root, problems = read_yaml(source, text if is_plain_utf8(text) else None)
        except UnreadableYaml as unreadable:
            raise PipelineError(_in_order(unreadable.problems, shown)) from None
        text = None  # as large as the file; not needed from here on
        folder = Path() if str(path) == STDIN else Path(path).parent
        reading = Reading(source, folder)
        reading.problems = problems
        pipeline = _Loading(reading, root, STDIN if str(path) == STDIN else os.path.abspath(path)).pipeline()
        if reading.problems:
            raise PipelineError(_in_order(reading.problems, shown))
        return pipeline
    finally:
        if collecting:
            gc.enable()


def _in_order(problems: list[Problem], path: str) -> list[Problem]:
    """By place, the file's own first; a problem found twice (through an alias) is told once."""
    once = {(p.mark, p.message): p for p in reversed(problems)}
    return sorted(once.values(), key=lambda p: (p.mark.path != path, p.mark.path, p.mark.line, p.mark.column))


class _Loading:
    """One file on its way from nodes to a Pipeline."""

    def __init__(self, reading: Reading, root: Node, path: str) -> None:
        self.reading, self.root, self.path = reading, root, path

    def pipeline(self) -> Pipeline:
        reading = self.reading
        for place in key_places(reading.source.text):
            hint = "keys never stand in YAML: write `api_key_env` with the name of an environment variable"
            reading.problem(place, "this looks like an API key", hint)
        if isinstance(self.root, yaml.Mapping):
            values = PIPELINE.read(self.root, "pipeline", reading)
        else:
            values = {}
            if not isinstance(self.root, yaml.Broken):
                hint = "it begins with `tasks:`, and each task stands below it"
                reading.problem(self.root.at, "a pipeline must be a mapping", hint)
            self.root = yaml.Mapping({}, [], 0)
        if values.get("version", 1) != 1:
            reading.problem(
                self.root.entries["version"].at, f"unknown version {values['version']}", "write `version: 1`"
            )
        output_templates, reading.templates = reading.templates, []
        inputs = self._inputs(values)
        providers = self._providers(values)
        models = self._models(values, providers)
        defaults = values.get("defaults")
        builder = TaskBuilder(reading, models, defaults)
        scope = Scope(reading, dict.fromkeys(self._names("tasks") or ()), self._input_names(), values.get("env", ()))
        if defaults is not None:
            scope.without_tasks(defaults.templates)
        drafts: dict[str, Draft] = values.get("tasks", {})
        tasks = _Tasks(reading, scope, builder, drafts, self.root.entries.get("tasks")).built()
        scope.dependencies(output_templates)
        if "inputs" not in self.root.entries:
            inputs = {name: self._inferred(name, place) for name, place in scope.inferred.items()}
        named = "name" in values
        return Pipeline(
            path=self.path,
            name=values["name"] if named else ("stdin" if self.path == STDIN else Path(self.path).stem),
            named=named,
            description=values.get("description", ""),
            inputs=inputs,
            providers=providers,
            models=models.aliases,
            scheduling=Scheduling(**values.get("scheduling", {})),
            tasks=tasks,
            outputs=values.get("outputs"),
            env=values.get("env", ()),
        )

    def _names(self, key: str) -> dict[str, Node] | None:
        """The names written under a top-level key, valid or not; None where it holds no mapping."""
        node = self.root.entries.get(key) if isinstance(self.root, yaml.Mapping) else None
        return node.entries if isinstance(node, yaml.Mapping) else None

    def _input_names(self) -> Any:
        """None = undeclared: any input may be used (also where `inputs` itself is wrong)."""
        return self._names("inputs")

    def _inferred(self, name: str, place: Place) -> Input:
        used, offset = place
        mark = used.source.mark(place_of(used.source, used.scalar, offset))
        return Input(name, required=True, mark=mark)

    def _inputs(self, values: dict[str, Any]) -> dict[str, Input]:
        inputs = {}
        drafts: dict[str, Draft] = values.get("inputs", {})
        places = self._places("inputs")
        for name, draft in drafts.items():
            v = draft.values
            has_default = v.get("default") is not None
            declared = Input(
                name,
                type=v.get("type", "string"),
                required=v.get("required", not draft.has("default")),
                default=v.get("default"),
                enum=tuple(v.get("enum", ())),
                format=v.get("format", ""),
                description=v.get("description", ""),
                mark=self.reading.source.mark(places[name]),
            )
            self._check_input(declared, draft, has_default)
            inputs[name] = declared
        return inputs

    def _check_input(self, declared: Input, draft: Draft, has_default: bool) -> None:
        report = self.reading.problem
        if declared.format and declared.type != "file":
            report(draft.node.key_place("format"), "`format` is for inputs of type `file`", "write `type: file`")
        if draft.values.get("required") and draft.has("default"):
            report(
                draft.node.key_place("default"),
                "an input that is required has no use for a default",
                "keep one of the two",
            )
        if draft.has("type") and "type" not in draft.values:
            return
        plain = Input(declared.name, declared.type)
        for value in declared.enum:
            if wrong := value_problem(plain, value):
                report(draft.place("enum"), f"`enum` of input `{declared.name}`: each value {wrong}")
                return
        if has_default and (wrong := value_problem(declared, declared.default)):
            report(draft.place("default"), f"`default` of input `{declared.name}` {wrong}")

    def _places(self, key: str) -> dict[str, int]:
        """Where the names written under a top-level key stand."""
        node = self.root.entries.get(key) if isinstance(self.root, yaml.Mapping) else None
        return dict(zip(node.entries, node.key_places, strict=True)) if isinstance(node, yaml.Mapping) else {}

    def _providers(self, values: dict[str, Any]) -> dict[str, ProviderSpec]:
        providers = {}
        drafts: dict[str, Draft] = values.get("providers", {})
        places = self._places("providers")
        for name, draft in drafts.items():
            at = places[name]
            v = dict(draft.values)
            kind = v.pop("kind", name if name in KINDS else "")
            if not kind and not draft.has("kind"):
                hint = "one of " + ", ".join(f"`{k}`" for k in KINDS)
                self.reading.problem(at, f"provider `{name[:80]}` needs `kind`", hint)
            elif kind:
                self._check_provider(kind, draft)
            providers[name] = ProviderSpec(name, kind, mark=self.reading.source.mark(at), **v)
        return providers

    def _check_provider(self, kind: str, draft: Draft) -> None:
        """Keys that this kind has no use for, and two ways to say where it is."""
        allowed = {"speed": ("simulated",), "answers": ("simulated", "mock")}
        for key in ("base_url", "endpoints", "api_key_env", "speed", "answers"):
            if draft.has(key) and kind not in allowed.get(key, ("openai", "anthropic", "ollama")):
                self.reading.problem(
                    draft.node.key_place(key), f"a provider of kind `{kind}` has no `{key}`", "delete it"
                )
        if draft.has("base_url") and draft.has("endpoints"):
            message = "`base_url` and `endpoints` say the same thing twice"
            self.reading.problem(draft.node.key_place("endpoints"), message, "keep one of the two")

    def _models(self, values: dict[str, Any], providers: dict[str, ProviderSpec]) -> Models:
        kinds = {name: providers[name].kind if name in providers else "" for name in self._names("providers") or ()}
        models = Models(self.reading, kinds)
        written = self._names("models") or {}
        models.broken.update(written)
        for alias, names in values.get("models", {}).items():
            models.broken.discard(alias)
            models.add_alias(alias, names, written[alias])
        return models


class _Tasks:
    """The tasks of a file on their way to Tasks: each with its edges first, then the checks of the whole graph."""

    def __init__(
        self, reading: Reading, scope: Scope, builder: TaskBuilder, drafts: dict[str, Draft], node: Node | None
    ) -> None:
        self.reading, self.scope, self.builder, self.drafts = reading, scope, builder, drafts
        self.places: dict[str, int] = {}
        if isinstance(node, yaml.Mapping):
            self.places = dict(zip(node.entries, node.key_places, strict=True))
            node.entries.clear()  # the drafts hold its nodes
        self.index = {name: i for i, name in enumerate(self.places)}
        self.edges: dict[str, tuple[str, ...]] = dict.fromkeys(self.places, ())
        self.from_below: dict[str, Draft] = {}
        """Tasks that depend on one further down the file; without such an edge there is no cycle."""
        self.conditional: set[str] = set()
        self.rules: dict[str, str] = {}

    def built(self) -> dict[str, Task]:
        mark = self.reading.source.mark
        tasks = {}
        for name in list(self.drafts):
            draft = self.drafts.pop(name)  # a task's nodes and drafts are let go of one by one
            place = self.places[name]
            self.builder.prepare(name, place, draft)
            values = draft.values
            if draft.has("when"):
                self.conditional.add(name)
            if draft.has("trigger_rule"):
                self.rules[name] = values.get("trigger_rule", "all_done")
            used = self.scope.dependencies(draft.templates, values.get("with", ()))
            order_only: tuple[str, ...] = ()
            if name in used:
                self.reading.problem_in(*_found(draft, name), f"task `{name}` refers to itself")
                used = [other for other in used if other != name]
            if "depends_on" in values:
                order_only = self._ordered(set(self._written(name, draft)).difference(used))
            edges = self._ordered({*used, *order_only})
            self.edges[name] = edges
            tasks[name] = self.builder.build(name, mark(place), draft, edges, order_only)
            if edges and self.index[edges[-1]] > self.index[name]:
                self.from_below[name] = draft
        self._check_graph()
        return tasks

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(names) if len(names) < 2 else tuple(sorted(names, key=self.index.__getitem__))

    def _written(self, name: str, draft: Draft) -> list[str]:
        """What `depends_on` names, as far as there are such tasks."""
        found = []
        node = draft.node.entries["depends_on"]
        items = node.items if isinstance(node, yaml.Sequence) else [node]
        for other, item in zip(draft.values["depends_on"], items, strict=True):
            if other == name:
                self.reading.problem(item.at, f"task `{name}` depends on itself")
            elif other in self.places:
                found.append(other)
            else:
                hint = self.reading.did_you_mean(other, self.places)
                self.reading.problem(item.at, f"unknown task `{other[:80]}` in `depends_on`", hint)
        return found

    def _check_graph(self) -> None:
        if not self.from_below and not self.conditional and not self.rules:
            return  # no cycle, and nothing can be skipped
        cycles, graph = cycles_of(self.edges)
        for cycle in cycles:
            at, source = self._place_in(cycle)
            hint = "one of them must do without another's output"
            self.reading.problem(at, f"tasks depend on each other in a circle: {' -> '.join(cycle)}", hint, source)
        for name, (skipped, other) in unruled_joins(graph, self.conditional, self.rules).items():
            self.reading.problem(
                self.places[name],
                f"task `{name}` joins `{skipped}`, which can be skipped, and `{other}`: it needs a `trigger_rule`",
                "`none_failed_min_one_success` runs it with what is there, `all_success` skips it too",
            )

    def _place_in(self, cycle: list[str]) -> tuple[int, Source | None]:
        """Where an edge of the cycle that leads down the file is written; there is one in each."""
        dependency, task = next((d, t) for d, t in pairwise(cycle) if self.index[d] > self.index[t])
        draft = self.from_below[task]
        if found := first_reference(draft.templates, dependency):
            used, offset = found
            return place_of(used.source, used.scalar, offset), used.source
        node = draft.node.entries["depends_on"]
        items = node.items if isinstance(node, yaml.Sequence) else [node]
        return next(item.at for item in items if isinstance(item, yaml.Scalar) and item.text == dependency), None


def _found(draft: Draft, name: str) -> Place:
    found = first_reference(draft.templates, name)
    assert found is not None
    return found
