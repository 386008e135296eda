"""The draft of a task → a checked Task: what its fields mean together, with the defaults merged in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from llmflow.errors import FailureKind, Mark
from llmflow.language import yaml_reader as yaml
from llmflow.language.field_types import template_of
from llmflow.language.fields import ACTIONS, MODEL_ACTIONS, TASK
from llmflow.language.key_like import key_places
from llmflow.language.models import Models
from llmflow.language.pipeline import (
    EstimateSpec,
    MessageTemplate,
    OnError,
    Output,
    Retry,
    Task,
    Timeout,
)
from llmflow.language.pipeline_files import FileProblem, read_text_below
from llmflow.language.reading import INVALID, Reading
from llmflow.language.records import Draft
from llmflow.language.source import Source
from llmflow.language.templates import Structure
from llmflow.language.yaml_reader import Scalar

_MODEL_ONLY = ("system", "model", "params", "timeout", "retry")
"""Fields that say how a model is called; beside `value` they would say nothing."""

_Z95 = 1.6448536269514722
"""The 95 % quantile of the standard normal distribution."""

_DEFAULT_TIMEOUT, _DEFAULT_RETRY = Timeout(), Retry()


def merged(default: Any, own: Any) -> Any:
    """`defaults` under a task's own value: mappings merge key by key, all else is replaced."""
    if isinstance(default, Mapping) and isinstance(own, Mapping):
        return {**default, **{key: merged(default[key], own[key]) if key in default else own[key] for key in own}}
    return own


class TaskBuilder:
    """Builds the tasks of one file. Everything that is wrong is reported to `reading`."""

    def __init__(self, reading: Reading, models: Models, defaults: Draft | None) -> None:
        self.reading, self.models = reading, models
        self.defaults = defaults
        values = defaults.values if defaults is not None else {}
        self.default_values = values
        self.default_models: tuple[str, ...] = ()
        if defaults is not None and "model" in values:
            self.default_models = models.resolve(values["model"], defaults.node.entries["model"])
        self.default_timeout = timeout_of(values["timeout"]) if "timeout" in values else _DEFAULT_TIMEOUT
        self.default_retry = retry_of(values["retry"]) if "retry" in values else _DEFAULT_RETRY
        self.default_params = Structure(values["params"]) if values.get("params") else None

    def prepare(self, name: str, at: int, draft: Draft) -> None:
        """Check what can be checked without other tasks, and read `prompt_file` (its template counts)."""
        entries = draft.node.entries
        actions = [key for key in entries if key in ACTIONS]
        if len(actions) != 1:
            self._wrong_actions(name, at, draft, actions)
        elif actions[0] == "value":
            self._check_value(draft)
        elif actions[0] == "prompt_file" and "prompt_file" in draft.values:
            self._read_prompt_file(draft)
        if "output" in draft.values:
            self._check_output(draft)
        if "estimate" in draft.values and isinstance(draft.values["estimate"], dict):
            self._check_estimate(draft)
        if "save" in draft.values:
            self._check_save(draft)

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

    def _check_value(self, draft: Draft) -> None:
        for key in _MODEL_ONLY:
            if draft.has(key):
                self.reading.problem(
                    draft.node.key_place(key),
                    f"`{key}` means nothing beside `value`, which calls no model",
                    "delete it",
                )
        node = draft.node.entries.get("output")
        if isinstance(node, yaml.Mapping):
            for key in ("on_invalid", "on_truncated"):
                if key in node.entries:
                    message = f"`{key}` means nothing beside `value`, which calls no model"
                    self.reading.problem(node.key_place(key), message, "delete it")

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
        else:
            return
        del draft.values["estimate"]

    def _check_save(self, draft: Draft) -> None:
        """The part of the path that is written out; what templates add is checked when it is known."""
        path = draft.values["save"].source
        if path.startswith(("/", "~")) or ".." in path.replace("\\", "/").split("/"):
            message = "`save` leads outside the folder of the pipeline"
            self.reading.problem(draft.place("save"), message, "paths in a pipeline stay below its folder")

    def build(
        self, name: str, mark: Mark, draft: Draft, dependencies: tuple[str, ...], order_only: tuple[str, ...]
    ) -> Task:
        """The Task; only meaningful where nothing was reported."""
        values = draft.values
        given: dict[str, Any] = {}
        for key, value in values.items():
            if key in _TAKEN:
                attribute, made = _TAKEN[key]
                given[attribute] = value if made is None else made(value)
        if "value" in values:
            return Task(name, "value", mark, dependencies=dependencies, order_only=order_only, **given)
        models, params = self._model_and_params(name, draft)
        return Task(
            name,
            "model",
            mark,
            messages=messages_of(values),
            system=values["system"] if "system" in values else self.default_values.get("system"),
            models=models,
            params=params,
            timeout=self._timeout(values),
            retry=self._retry(values),
            dependencies=dependencies,
            order_only=order_only,
            **given,
        )

    def _model_and_params(self, name: str, draft: Draft) -> tuple[tuple[str, ...], Structure | None]:
        values = draft.values
        models = self.default_models
        if "model" in values:
            models = self.models.resolve(values["model"], draft.node.entries["model"])
        if "params" not in values and self.default_params is None:
            return models, None
        params = self.default_params
        if "params" in values:
            both = merged(self.default_values.get("params"), values["params"])
            params = Structure(both) if both else None
        if params is not None:
            self.models.check_params(name, models, params.data, lambda key: self._place_of_param(draft, key))
        return models, params

    def _place_of_param(self, draft: Draft, key: str) -> tuple[int, str]:
        own = draft.node.entries.get("params")
        if isinstance(own, yaml.Mapping) and key in own.entries:
            return own.key_place(key), ""
        assert self.defaults is not None
        default = self.defaults.node.entries["params"]
        assert isinstance(default, yaml.Mapping)
        return default.key_place(key), " (from `defaults.params`)"

    def _timeout(self, values: dict[str, Any]) -> Timeout:
        if "timeout" not in values:
            return self.default_timeout
        own = values["timeout"]
        default = self.default_values.get("timeout")
        if isinstance(own, dict) and isinstance(default, float):
            default = {"total": default}
        return timeout_of(merged(default, own))

    def _retry(self, values: dict[str, Any]) -> Retry:
        if "retry" not in values:
            return self.default_retry
        return retry_of(merged(self.default_values.get("retry"), values["retry"]))


def messages_of(values: Mapping[str, Any]) -> tuple[MessageTemplate, ...]:
    """The messages that a task's one model action stands for."""
    if "messages" in values:
        return tuple(MessageTemplate(m["role"], m["content"]) for m in values["messages"] if len(m) == 2)
    for key in MODEL_ACTIONS:
        if key in values:
            return (MessageTemplate("user", values[key]),)
    return ()


def timeout_of(value: Any) -> Timeout:
    return Timeout(**value) if isinstance(value, dict) else Timeout(total=value)


def retry_of(value: Mapping[str, Any]) -> Retry:
    flat = {**value, **value.get("backoff", {})}
    flat.pop("backoff", None)
    if "on" in flat:
        flat["on"] = tuple(FailureKind(kind) for kind in dict.fromkeys(flat["on"]))
    return Retry(**flat)


def output_of(value: Mapping[str, Any]) -> Output:
    rest = {key: value[key] for key in ("validate", "on_truncated") if key in value}
    return Output(schema=value.get("schema", value.get("json_schema")), **value.get("on_invalid", {}), **rest)


def on_error_of(value: Any) -> OnError:
    return OnError("default", value.get("default")) if isinstance(value, dict) else OnError(value)


def estimate_of(value: Any) -> EstimateSpec:
    """Quantiles are read as those of a log-normal distribution."""
    if not isinstance(value, dict):
        return EstimateSpec(value)
    if "p50" not in value:
        return EstimateSpec(value["duration"], output_tokens=value.get("output_tokens"))
    sigma = math.log(value["p95"] / value["p50"]) / _Z95
    mean = value["p50"] * math.exp(sigma**2 / 2)
    return EstimateSpec(mean, mean * math.sqrt(math.expm1(sigma**2)))


_TAKEN: dict[str, tuple[str, Callable[[Any], Any] | None]] = {
    "value": ("value", None),
    "with": ("names", None),
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
