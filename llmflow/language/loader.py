"""A pipeline file → a checked Pipeline, or all that is wrong with it at once, each with its place.

The steps: bytes → text (`source_text`), text → nodes (`yaml_reader`), nodes → drafts by the field
definitions (`fields`), references → edges (`references`), the graph's own checks (`checks`), drafts →
the Pipeline (`tasks`). Nothing of the file is executed and no other file is read but those it names.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmflow.errors import PipelineError, Problem, UsageError
from llmflow.language import yaml_reader as yaml
from llmflow.language.assembly import Assembly
from llmflow.language.defaults import Defaults
from llmflow.language.fields import CODE_POOLS, KINDS, PIPELINE
from llmflow.language.input_values import value_problem
from llmflow.language.key_like import key_places
from llmflow.language.models import Models
from llmflow.language.own_names import NAMES_OF_OUTPUTS
from llmflow.language.pipeline import Input, Pipeline, ProviderSpec, Scheduling
from llmflow.language.reading import Reading, did_you_mean
from llmflow.language.records import Draft
from llmflow.language.references import Place, Scope
from llmflow.language.scalars import place_of
from llmflow.language.source import Source
from llmflow.language.source_text import decoded, file_bytes, is_plain_utf8
from llmflow.language.sub_pipelines import Heritage, SubPipelines, Together
from llmflow.language.task_fields import MODEL_ACTIONS
from llmflow.language.tasks import TaskBuilder
from llmflow.language.yaml_reader import Node, UnreadableYaml, read_yaml

STDIN = "-"


def load(path: str | Path, *, text: bytes | None = None, aliases: Mapping[str, str] | None = None) -> Pipeline:
    """The checked pipeline of the file at `path`; of `text` where it is given.

    `path` `-` is standard input. Paths inside the file are relative to its folder (to the working
    directory for standard input). `aliases`: other models (`provider/model`, or another alias) for
    aliases of the file and of those it uses. Raises PipelineError with all problems, in file order,
    and UsageError for an alias that no file defines or a model that nobody serves.
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
        place = STDIN if str(path) == STDIN else os.path.abspath(path)
        heritage = Heritage(Together(), chain=() if place == STDIN else ((os.path.realpath(place), shown),))
        loading = _Loading(reading, root, place, heritage, aliases or {})
        pipeline = loading.pipeline()
        if reading.problems:
            raise PipelineError(_in_order(reading.problems, shown))
        loading.check_aliases()
        return pipeline
    finally:
        if collecting:
            gc.enable()


def _in_order(problems: list[Problem], path: str) -> list[Problem]:
    """By place, the file's own first; a problem found twice (through an alias) is told once."""
    once = {(p.mark, p.message): p for p in reversed(problems)}
    return sorted(once.values(), key=lambda p: (p.mark.path != path, p.mark.path, p.mark.line, p.mark.column))


def _read_used(reading: Reading, root: Node, path: str, heritage: Heritage) -> Pipeline:
    """The pipeline of a file that another one uses."""
    return _Loading(reading, root, path, heritage, {}).pipeline()


class _Loading:
    """One file on its way from nodes to a Pipeline. `aliases`: what the command line says, for the first file."""

    def __init__(self, reading: Reading, root: Node, path: str, heritage: Heritage, aliases: Mapping[str, str]) -> None:
        self.reading, self.root, self.path = reading, root, path
        self.heritage, self.aliases = heritage, aliases
        self.usage: list[UsageError] = []
        """What is wrong with `aliases`."""

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
        defaults = Defaults(values.get("defaults"), models, reading.source, self.heritage.defaults)
        assembly = Assembly(reading, self.root.entries.get("tasks"), self.root.entries.get("finally"))
        drafts: dict[str, Draft] = {**values.pop("tasks", {}), **values.pop("finally", {})}
        kinds = {**self.heritage.kinds, **models.kinds}
        below = Heritage(self.heritage.together, self.heritage.chain, defaults, kinds)
        assembly.set_shapes(drafts, SubPipelines(reading, below, providers, _read_used))
        files = [name for name, draft in values.get("inputs", {}).items() if draft.values.get("type") == "file"]
        scope = Scope(reading, assembly.shapes, self._input_names(), values.get("env", ()), files)
        scope.without_tasks(defaults.templates)
        if defaults.inherited and any(not d.values.keys().isdisjoint(MODEL_ACTIONS) for d in drafts.values()):
            scope.without_tasks(defaults.inherited, heir=reading.source.path)
        self._let_go()
        tasks = assembly.built(drafts, scope, TaskBuilder(reading, models, defaults))
        scope.dependencies(output_templates, NAMES_OF_OUTPUTS)
        finals = {name: tasks.pop(name) for name in assembly.final if name in tasks}
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
            finals=finals,
        )

    def _let_go(self) -> None:
        """The drafts hold the nodes of the tasks; they alone are needed, and each only until its task is built."""
        for key in ("tasks", "finally"):
            names = self._names(key)
            if names is not None:
                names.clear()

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
            if name in CODE_POOLS:
                self._check_pool(name, draft)
                providers[name] = ProviderSpec(name, name, workers=v.get("workers"), mark=self.reading.source.mark(at))
                continue
            kind = v.pop("kind", name if name in KINDS else "")
            if not kind and not draft.has("kind"):
                hint = "one of " + ", ".join(f"`{k}`" for k in KINDS)
                self.reading.problem(at, f"provider `{name[:80]}` needs `kind`", hint)
            elif kind:
                self._check_provider(kind, draft)
            providers[name] = ProviderSpec(name, kind, mark=self.reading.source.mark(at), **v)
        return providers

    def _check_pool(self, name: str, draft: Draft) -> None:
        """`host` and `http` are no providers: they answer no model call."""
        whose = "`python` and `command`" if name == "host" else "`http`"
        for key in draft.node.entries:
            if key != "workers":
                message = f"`{name}` is the pool of {whose} tasks: it takes `workers` only"
                self.reading.problem(draft.node.key_place(key), message, "delete it, or rename the provider")

    def _check_provider(self, kind: str, draft: Draft) -> None:
        """Keys that this kind has no use for, and two ways to say where it is."""
        allowed = {"speed": ("simulated",), "durations": ("simulated",), "answers": ("simulated", "mock")}
        for key in ("base_url", "endpoints", "api_key_env", "speed", "durations", "answers"):
            if draft.has(key) and kind not in allowed.get(key, ("openai", "anthropic", "ollama")):
                self.reading.problem(
                    draft.node.key_place(key), f"a provider of kind `{kind}` has no `{key}`", "delete it"
                )
        if draft.has("base_url") and draft.has("endpoints"):
            message = "`base_url` and `endpoints` say the same thing twice"
            self.reading.problem(draft.node.key_place("endpoints"), message, "keep one of the two")

    def _models(self, values: dict[str, Any], providers: dict[str, ProviderSpec]) -> Models:
        names = [name for name in self._names("providers") or () if name not in CODE_POOLS]
        kinds = {name: providers[name].kind if name in providers else "" for name in names}
        models = Models(self.reading, kinds, self.heritage.kinds, self.heritage.together.told)
        written = self._names("models") or {}
        models.broken.update(written)
        for alias, model in values.get("models", {}).items():
            models.broken.discard(alias)
            models.add_alias(alias, model, written[alias])
        together = self.heritage.together
        together.known_aliases.update(written)
        if self.aliases:
            together.aliases = self._chosen(models)
        for alias in together.aliases.keys() & written.keys():
            models.replace_alias(alias, together.aliases[alias])
        return models

    def _chosen(self, models: Models) -> dict[str, tuple[str, ...]]:
        """The models that the command line puts in the place of aliases."""
        chosen = {}
        for alias, word in self.aliases.items():
            provider, slash, model = word.partition("/")
            if word in models.aliases:
                chosen[alias] = models.aliases[word]
            elif slash and model and provider in models.kinds:
                chosen[alias] = (word,)
            else:
                known = [*models.aliases, *(f"{kind}/{model or '…'}" for kind in models.kinds)]
                hint = did_you_mean(word, known) or "a model is provider/name, or an alias of the pipeline"
                self.usage.append(UsageError(f"unknown model `{word}` for alias `{alias}`", hint))
        return chosen

    def check_aliases(self) -> None:
        """Raises UsageError for what is wrong with `aliases`, once all files that are used have been read."""
        known = self.heritage.together.known_aliases
        for alias in self.aliases:
            if alias not in known:
                hint = did_you_mean(alias, known)
                if not known:
                    hint = "the pipeline defines none; `--model X` replaces the model of every task"
                raise UsageError(f"unknown alias `{alias}`", hint or f"there are {', '.join(sorted(known))}")
        for problem in self.usage:
            raise problem
