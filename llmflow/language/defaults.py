"""What holds for tasks that say nothing themselves: a file's `defaults`, over those of the file that uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmflow.errors import FailureKind
from llmflow.language import yaml_reader as yaml
from llmflow.language.models import Models
from llmflow.language.pipeline import Cache, Retry, Timeout
from llmflow.language.reading import Used
from llmflow.language.records import Draft
from llmflow.language.source import Source
from llmflow.language.templates import Structure

ParamPlace = tuple[int, str, Source]
"""Where a parameter is written, with a word on that where it is not the task itself, and in which file."""


def merged(default: Any, own: Any) -> Any:
    """`defaults` under one's own value: mappings merge key by key, all else is replaced."""
    if isinstance(default, Mapping) and isinstance(own, Mapping):
        return {**default, **{key: merged(default[key], own[key]) if key in default else own[key] for key in own}}
    return own


class Defaults:
    """The defaults of one file. `values` holds what is written, models resolved to `provider/model`."""

    def __init__(self, draft: Draft | None, models: Models, source: Source, above: Defaults | None = None) -> None:
        self.draft, self.source, self.above = draft, source, above
        self.values: dict[str, Any] = dict(above.values) if above is not None else {}
        self.templates: list[Used] = list(draft.templates) if draft is not None else []
        self.inherited: list[Used] = []
        if draft is not None:
            self._take(draft, models)
        if above is not None:
            own = draft.values if draft is not None else {}
            self.inherited = [
                t for t in (*above.templates, *above.inherited) if t.field != "system" or t.field not in own
            ]
        self.models: tuple[str, ...] = self.values.get("model", ())
        self.params = Structure(self.values["params"]) if self.values.get("params") else None
        self.timeout = timeout_of(self.values.get("timeout", {}))
        self.retry = retry_of(self.values.get("retry", {}))
        self.cache = cache_of(self.values.get("cache", False))

    def _take(self, draft: Draft, models: Models) -> None:
        for key, value in draft.values.items():
            if key == "model":
                self.values[key] = models.resolve(value, draft.node.entries[key])
            elif key == "timeout":
                self.values[key] = self._timeout_over(value)
            else:
                self.values[key] = merged(self.values.get(key), value)

    def _timeout_over(self, value: Any) -> Any:
        """One duration is the total alone; a mapping leaves what it does not name as it was."""
        above = self.values.get("timeout")
        return merged(above, value) if isinstance(value, dict) and above is not None else _timeout_map(value)

    def timeout_under(self, value: Any) -> Timeout:
        """The timeout of a task that writes `value`."""
        return timeout_of(self._timeout_over(value))

    def retry_under(self, value: Mapping[str, Any]) -> Retry:
        return retry_of(merged(self.values.get("retry"), value))

    def params_under(self, value: Mapping[str, Any]) -> Structure | None:
        both = merged(self.values.get("params"), value)
        return Structure(both) if both else None

    def place_of_param(self, key: str) -> ParamPlace:
        """Where the default of parameter `key` is written."""
        node = self.draft.node.entries.get("params") if self.draft is not None else None
        if isinstance(node, yaml.Mapping) and key in node.entries:
            return node.key_place(key), " (from `defaults.params`)", self.source
        assert self.above is not None
        return self.above.place_of_param(key)


def _timeout_map(value: Any) -> dict[str, float]:
    return value if isinstance(value, dict) else {"total": value}


def timeout_of(value: Mapping[str, float]) -> Timeout:
    return Timeout(**value)


def cache_of(value: bool | Mapping[str, float]) -> Cache | None:
    if isinstance(value, Mapping):
        return Cache(value.get("ttl"))  # without one where what is written is wrong, and reported
    return Cache() if value else None


def retry_of(value: Mapping[str, Any]) -> Retry:
    flat = {**value, **value.get("backoff", {})}
    flat.pop("backoff", None)
    if "on" in flat:
        flat["on"] = tuple(FailureKind(kind) for kind in dict.fromkeys(flat["on"]))
    return Retry(**flat)
