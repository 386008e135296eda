"""The draft of a task → a checked Task: what its fields mean together, with the defaults merged in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field, fields, make_dataclass
from functools import lru_cache
from typing import Any

from llmflow.errors import Mark
from llmflow.language import yaml_reader as yaml
from llmflow.language.actions import (
    check_command,
    check_http,
    check_images,
    check_python,
    command_of,
    http_of,
    is_tried_once,
)
from llmflow.language.combinations import check_combinations
from llmflow.language.defaults import Defaults, ParamPlace, cache_of
from llmflow.language.field_types import template_of
from llmflow.language.key_like import key_places
from llmflow.language.loops import check_loops, foreach_of, reduce_of, repeat_of
from llmflow.language.models import Models
from llmflow.language.names import taken
from llmflow.language.pipeline import (
    EstimateSpec,
    Hedge,
    MessageTemplate,
    OnError,
    Output,
    Retry,
    Task,
    Timeout,
)
from llmflow.language.pipeline_files import FileProblem, file_below, read_text_below
from llmflow.language.python_files import PythonFiles
from llmflow.language.reading import INVALID, Reading
from llmflow.language.records import Draft
from llmflow.language.shapes import LOOPS, Shape
from llmflow.language.source import Source
from llmflow.language.task_fields import ACTIONS, MODEL_ACTIONS, TASK
from llmflow.language.templates import Structure, Template
from llmflow.language.yaml_reader import Scalar

_Z95 = 1.6448536269514722
"""The 95 % quantile of the standard normal distribution."""


class TaskBuilder:
    """Builds the tasks of one file. Everything that is wrong is reported to `reading`."""

    def __init__(self, reading: Reading, models: Models, defaults: Defaults) -> None:
        self.reading, self.models, self.defaults = reading, models, defaults
        self.python_files = PythonFiles(reading.folder)
        self.once = defaults.retry
        """How code and requests that may have done something are tried: once, unless a default says more."""
        if "retry" not in defaults.values:
            self.once = Retry(max_attempts=1)
        self.total = Timeout(defaults.timeout.total)

    def prepare(self, name: str, at: int, draft: Draft) -> None:
        """Check what can be checked without other tasks, and read `prompt_file` (its template counts)."""
        entries = draft.node.entries
        actions = [key for key in entries if key in _ACTIONS]
        if len(actions) != 1:
            self._wrong_actions(name, at, draft, actions)
        elif not _LOOKED_AT.isdisjoint(entries):
            check_combinations(draft, actions[0], self.reading)
            self._check_action(draft, actions[0])
        if "output" in draft.values:
            self._check_output(draft)
        if "estimate" in draft.values and isinstance(draft.values["estimate"], dict):
            self._check_estimate(draft)
        if "save" in draft.values:
            self._check_save(draft)

    def _check_action(self, draft: Draft, action: str) -> None:
        if action in draft.values:
            if action == "prompt_file":
                self._read_prompt_file(draft)
            elif action == "command":
                check_command(draft, self.reading)
            elif action == "http":
                check_http(draft, self.reading)
            elif action == "python":
                check_python(draft, self.reading, self.python_files)
        if "with" in draft.values:
            self._check_with(draft, action)
        check_file = self._checker_of_files(draft)
        if "images" in draft.values:
            check_images(draft, check_file)
        check_loops(draft, self.reading, check_file)

    def _check_with(self, draft: Draft, action: str) -> None:
        node = draft.node.entries["with"]
        assert isinstance(node, yaml.Mapping)
        for name in draft.values["with"]:
            if wrong := taken(name, "with", for_call=action in ("python", "uses")):
                self.reading.problem(node.key_place(name), *wrong)

    def _checker_of_files(self, draft: Draft) -> Callable[[str, int], None]:
        """Asks for files that are written out; one that other tasks come before may be made by them."""
        may_come = "depends_on" in draft.node.entries or any(
            path[0] == "tasks" for used in draft.templates for path in used.template.paths
        )

        def check(path: str, at: int) -> None:
            try:
                file_below(self.reading.folder, path, may_be_missing=may_come)
            except FileProblem as problem:
                self.reading.problem(at, problem.message, problem.hint)

        return check

    def _wrong_actions(self, name: str, at: int, draft: Draft, actions: list[str]) -> None:
        if actions:
            places = draft.node.key_place(actions[1])
            both = " and ".join(f"`{a}`" for a in actions)
            self.reading.problem(places, f"task `{name}` has more than one action: {both}", "keep one of them")
            return
        from difflib import get_close_matches

        unknown = [key for key in draft.node.entries if key not in TASK.by_name]
        if any(get_close_matches(key.lower(), ACTIONS) for key in unknown):
            return  # the unknown key was meant to be the action, and says so itself
        choices = ", ".join(f"`{a}`" for a in ACTIONS)
        self.reading.problem(at, f"task `{name[:80]}` has no action", f"write one of {choices}")

    def _read_prompt_file(self, draft: Draft) -> None:
        path = draft.values["prompt_file"]
        at = draft.place("prompt_file")
        try:
            text = read_text_below(self.reading.folder, path)
        except FileProblem as problem:
            self.reading.problem(at, problem.message, problem.hint)
            return
        if not text.strip():
            self.reading.problem(at, f"`{path[:200]}` is empty")
            return
        source = Source(str(self.reading.folder / path), text)
        for place in key_places(text):
            self.reading.problem(place, "this looks like an API key", "keys never stand in a pipeline", source)
        outside, self.reading.templates = self.reading.templates, draft.templates
        self.reading.field = "prompt_file"
        template = template_of(Scalar(text, 0, "file"), self.reading, source)
        self.reading.templates = outside
        if template is not INVALID:
            draft.values["prompt_file"] = template

    def _check_output(self, draft: Draft) -> None:
        node = draft.node.entries["output"]
        if isinstance(node, yaml.Mapping) and "schema" in node.entries and "json_schema" in node.entries:
            message = "`schema` and `json_schema` say the same thing twice"
            self.reading.problem(node.key_place("json_schema"), message, "keep one of the two")

    def _check_estimate(self, draft: Draft) -> None:
        node = draft.node.entries["estimate"]
        values = draft.values["estimate"]
        assert isinstance(node, yaml.Mapping)
        written = set(node.entries)
        way_out = "write `{duration, output_tokens}` or `{p50, p95}`"
        if written & {"p50", "p95"} and written & {"duration", "output_tokens"}:
            self.reading.problem(node.at, "an estimate is a duration or two quantiles, not both", way_out)
        elif len(written & {"p50", "p95"}) == 1:
            missing = next(iter({"p50", "p95"} - written))
            self.reading.problem(node.at, f"an estimate by quantiles needs `{missing}`", way_out)
        elif not written & {"p50", "duration"}:
            self.reading.problem(node.at, "an estimate needs `duration`", way_out)
        elif values.get("p95", math.inf) < values.get("p50", 0.0):
            self.reading.problem(node.entries["p95"].at, "`p95` must not be below `p50`")
        elif written == values.keys():
            return
        del draft.values["estimate"]

    def _check_save(self, draft: Draft) -> None:
        """The part of the path that is written out; what templates add is checked when it is known."""
        path = draft.values["save"].source
        if path.startswith(("/", "~")) or ".." in path.replace("\\", "/").split("/"):
            message = "`save` leads outside the folder of the pipeline"
            self.reading.problem(draft.place("save"), message, "paths in a pipeline stay below its folder")

    def build(
        self,
        name: str,
        mark: Mark,
        draft: Draft,
        dependencies: tuple[str, ...],
        order_only: tuple[str, ...],
        shape: Shape | None = None,
    ) -> Task:
        """The Task; only meaningful where nothing was reported."""
        values = draft.values
        given: dict[str, Any] = {"names": _NO_NAMES}
        for key, value in values.items():
            if key in _TAKEN:
                attribute, made = _TAKEN[key]
                given[attribute] = value if made is None else made(value)
        if not LOOPS.isdisjoint(values):
            given.update(foreach=foreach_of(values, shape), reduce=reduce_of(values, shape), repeat=repeat_of(values))
        action = "model"
        if not _NOT_MODEL.isdisjoint(values):
            action = next(key for key in ACTIONS if key in values and key in _NOT_MODEL)
        if action in ("value", "uses", "approve"):
            if shape is not None:
                given["uses"] = shape.uses
            return _task(name, action, mark, dependencies=dependencies, order_only=order_only, **given)
        retry, timeout = self.defaults.retry, self.defaults.timeout
        if action == "model":
            models, params = self._model_and_params(name, draft)
            system = values["system"] if "system" in values else self.defaults.values.get("system")
            given.update(messages=messages_of(values), system=system, models=models, params=params)
        else:
            retry = self.once if is_tried_once(values) else retry
            timeout = self.total
            given.update(command=command_of(values), http=http_of(values))
        given.setdefault("cache", self.defaults.cache)
        if "timeout" in values:
            timeout = self.defaults.timeout_under(values["timeout"])
        if "retry" in values:
            retry = self.defaults.retry_under(values["retry"])
        return _task(
            name,
            action,
            mark,
            dependencies=dependencies,
            order_only=order_only,
            timeout=timeout,
            retry=retry,
            **given,
        )

    def _model_and_params(self, name: str, draft: Draft) -> tuple[tuple[str, ...], Structure | None]:
        values = draft.values
        models = self.defaults.models
        if "model" in values:
            models = self.models.resolve(values["model"], draft.node.entries["model"])
        params = self.defaults.params
        if "params" in values:
            params = self.defaults.params_under(values["params"])
        if params is not None:
            self.models.check_params(name, models, params.data, lambda key: self._place_of_param(draft, key))
        return models, params

    def _place_of_param(self, draft: Draft, key: str) -> ParamPlace:
        own = draft.node.entries.get("params")
        if isinstance(own, yaml.Mapping) and key in own.entries:
            return own.key_place(key), "", self.reading.source
        return self.defaults.place_of_param(key)


_Unfrozen: Any = make_dataclass(
    "_Unfrozen",
    [(f.name, Any, field(default=f.default, default_factory=f.default_factory)) for f in fields(Task)],
    slots=True,
)
_NO_NAMES: Mapping[str, Structure] = {}
"""The `names` of all tasks without a `with`: one object for them all."""


def _task(name: str, action: str, mark: Mark, **given: Any) -> Task:
    """`Task(name, action, mark, **given)` at a quarter of its cost.

    A frozen dataclass sets each of its many fields through `object.__setattr__`, a quarter of all
    that a large file costs; its twin sets them plainly and then becomes one.
    """
    made = _Unfrozen(name, action, mark, **given)
    made.__class__ = Task
    return made  # type: ignore[no-any-return]


def messages_of(values: Mapping[str, Any]) -> tuple[MessageTemplate, ...]:
    """The messages that a task's one model action stands for."""
    if "messages" in values:
        return tuple(MessageTemplate(m["role"], m["content"]) for m in values["messages"] if len(m) == 2)
    for key in MODEL_ACTIONS:
        if key in values:
            return (MessageTemplate("user", values[key]),)
    return ()


def images_of(value: tuple[Template, ...]) -> tuple[Structure, ...]:
    return tuple(Structure(template) for template in value)


def output_of(value: Mapping[str, Any]) -> Output:
    rest = {key: value[key] for key in ("validate", "on_truncated") if key in value}
    return Output(schema=value.get("schema", value.get("json_schema")), **value.get("on_invalid", {}), **rest)


def on_error_of(value: Any) -> OnError:
    return OnError("default", value.get("default")) if isinstance(value, dict) else OnError(value)


def hedge_of(value: bool | Mapping[str, Any]) -> Hedge | None:
    if isinstance(value, Mapping):
        return Hedge(**value)
    return Hedge() if value else None


def estimate_of(value: Any) -> EstimateSpec:
    """Quantiles are read as those of a log-normal distribution."""
    if not isinstance(value, dict):
        return _estimate_of_seconds(value)
    if "p50" not in value:
        return EstimateSpec(value["duration"], output_tokens=value.get("output_tokens"))
    sigma = math.log(value["p95"] / value["p50"]) / _Z95
    mean = value["p50"] * math.exp(sigma**2 / 2)
    return EstimateSpec(mean, mean * math.sqrt(math.expm1(sigma**2)))


@lru_cache(maxsize=1024)
def _estimate_of_seconds(seconds: float) -> EstimateSpec:
    return EstimateSpec(seconds)


_ACTIONS = frozenset(ACTIONS)
_NOT_MODEL = _ACTIONS.difference(MODEL_ACTIONS)
_NOT_BESIDE_A_PROMPT = {key for key, others in TASK.beside.items() if "prompt" not in others}
_LOOKED_AT = {*ACTIONS, *LOOPS, "with", "images", *_NOT_BESIDE_A_PROMPT} - {"prompt", "messages"}
"""Fields of which one at least must be there for something to be wrong with an action: most tasks have none."""

_TAKEN: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "value": ("value", None),
    "python": ("python", None),
    "approve": ("approve", None),
    "images": ("images", images_of),
    "with": ("names", None),
    "cache": ("cache", cache_of),
    "hedge": ("hedge", hedge_of),
    "when": ("when", None),
    "trigger_rule": ("trigger_rule", None),
    "output": ("output", output_of),
    "on_error": ("on_error", on_error_of),
    "estimate": ("estimate", estimate_of),
    "priority": ("priority", None),
    "save": ("save", None),
    "tags": ("tags", None),
    "description": ("description", None),
}
"""Fields that `defaults` cannot hold: field → (attribute of Task, what makes it from the value)."""
