"""The names that the templates of one node may say; those of `with` are computed when they are first said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmflow.language.templates import Structure


class Scope(Mapping[str, Any]):
    """`names` are there; `written` (a task's `with`) are computed from `names` alone, once, and go before them."""

    __slots__ = ("_computed", "_names", "_written")

    def __init__(self, names: Mapping[str, Any], written: Mapping[str, Structure] | None = None) -> None:
        self._names = names
        self._written: Mapping[str, Structure] = written or {}
        self._computed: dict[str, Any] = {}

    def also(self, **more: Any) -> Scope:
        """The same names and some more (`output` in `validate`)."""
        scope = Scope({**self._names, **more}, self._written)
        scope._computed = self._computed
        return scope

    def __getitem__(self, name: str) -> Any:
        if name in self._written:
            if name not in self._computed:
                self._computed[name] = self._written[name].value(self._names)
            return self._computed[name]
        return self._names[name]

    def __contains__(self, name: object) -> bool:
        return name in self._written or name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter({**self._names, **self._written})

    def __len__(self) -> int:
        return len({**self._names, **self._written})
