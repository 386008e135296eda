"""The methods of text, maps and lists that an expression may call, each with its cost counted first.

Anything that is not in these tables does not exist for a template: no attribute of a Python object
is ever reached. A method that could make much out of little (`center`, `replace`, `join`) says how
much before it makes it. `format` is left out on purpose: its mini-language reaches into objects and
pads without bound; the filter `format` and `~` take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmflow.language.meter import Meter, failure

Implementation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a value that has been looked up and not been called yet."""

    name: str
    owner: Any
    run: Implementation

    def __call__(self, meter: Meter, *args: Any, **kwargs: Any) -> Any:
        return self.run(meter, self.owner, *args, **kwargs)


def method_of(value: Any, name: str) -> Method | None:
    """The method `name` of `value`; None if a template may not call such a method."""
    if isinstance(value, str):
        run = TEXT_METHODS.get(name)
    elif isinstance(value, Mapping):
        run = MAP_METHODS.get(name)
    elif isinstance(value, Sequence):
        run = LIST_METHODS.get(name)
    else:
        return None
    return None if run is None else Method(name, value, run)


def padded_width(meter: Meter, width: Any) -> int:
    """`width` as a whole number of characters that may be made."""
    if not isinstance(width, int):
        raise failure("a width must be a whole number")
    meter.make(max(0, width))
    return width


def replaced(meter: Meter, text: str, old: str, new: str, count: int = -1) -> str:
    """`text.replace(old, new, count)`."""
    if not (isinstance(old, str) and isinstance(new, str)):
        raise failure("replace needs two texts")
    meter.scan(text)
    times = text.count(old)
    times = times if count < 0 else min(times, count)
    meter.make(max(0, len(text) + times * (len(new) - len(old))))
    return text.replace(old, new, count)


def joined(meter: Meter, texts: Sequence[str], separator: str) -> str:
    """`separator.join(texts)`."""
    meter.scan(texts)
    meter.make(sum(map(len, texts)) + len(separator) * max(0, len(texts) - 1))
    return separator.join(texts)


def _scanning(name: str) -> Implementation:
    """A method of `str` whose result is no longer than the text and what it is given."""
    method = getattr(str, name)

    def run(meter: Meter, text: str, *args: Any) -> Any:
        meter.make(len(text))
        for arg in args:
            meter.weigh(arg)
        return method(text, *args)

    return run


def _splitting(name: str) -> Implementation:
    method = getattr(str, name)

    def run(meter: Meter, text: str, *args: Any, **kwargs: Any) -> Any:
        meter.make(len(text))
        pieces = method(text, *args, **kwargs)
        meter.scan(pieces)
        return pieces

    return run


def _padding(name: str) -> Implementation:
    method = getattr(str, name)

    def run(meter: Meter, text: str, width: int, *fill: str) -> Any:
        return method(text, padded_width(meter, width), *fill)

    return run


def _join(meter: Meter, separator: str, texts: Any) -> str:
    pieces = list(texts) if isinstance(texts, Sequence | Mapping) else None
    if pieces is None or not all(isinstance(piece, str) for piece in pieces):
        raise failure("join needs a list of texts; the filter `join` takes any values")
    return joined(meter, pieces, separator)


def _get(meter: Meter, data: Mapping[str, Any], key: Any, default: Any = None) -> Any:
    meter.spend(1)
    return data.get(key, default)


def _listing(name: str) -> Implementation:
    def run(meter: Meter, data: Mapping[str, Any]) -> list[Any]:
        meter.scan(data)
        return list(getattr(data, name)())

    return run


def _count(meter: Meter, items: Sequence[Any], wanted: Any) -> int:
    meter.weigh(items)
    return items.count(wanted)


def _index(meter: Meter, items: Sequence[Any], wanted: Any) -> int:
    meter.weigh(items)
    return items.index(wanted)


_SCANNING = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal"),
    *("isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "removeprefix"),
    *("removesuffix", "rfind", "rindex", "rstrip", "startswith", "strip", "swapcase", "title", "upper"),
)

TEXT_METHODS: Mapping[str, Implementation] = {
    **{name: _scanning(name) for name in _SCANNING},
    **{name: _splitting(name) for name in ("partition", "rpartition", "rsplit", "split", "splitlines")},
    **{name: _padding(name) for name in ("center", "ljust", "rjust", "zfill")},
    "join": _join,
    "replace": replaced,
}

MAP_METHODS: Mapping[str, Implementation] = {
    "get": _get,
    "items": _listing("items"),
    "keys": _listing("keys"),
    "values": _listing("values"),
}

LIST_METHODS: Mapping[str, Implementation] = {"count": _count, "index": _index}
