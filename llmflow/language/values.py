"""How an expression looks a value up and how a value reads inside text. Knows nothing of templates.

Keys win over methods (`x.items` is the key `items` if there is one); attributes of Python objects
are out of reach. Inside text, lists, maps and booleans are JSON with its non-ASCII kept; none is an
error that names where it came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from llmflow.language.meter import MAX_TEXT, Meter, failure
from llmflow.language.methods import Method, method_of

Path = tuple[str | int, ...]
"""A root name and the keys that lead from it: `("tasks", "people", "output", 0)`."""


class Missing:
    """What a lookup gives where there is nothing; `sentence` says what is missing."""

    __slots__ = ("_owner", "_path")

    def __init__(self, owner: Any, path: Path) -> None:
        self._owner = owner
        self._path = path

    @property
    def sentence(self) -> str:
        key, owner = self._path[-1], written(self._path[:-1])
        if self._owner is None:
            return f"{owner} is none, so {written(self._path)} does not exist"
        if not isinstance(self._owner, Mapping):
            return f"{written(self._path)} does not exist: {owner} is {kind_of(self._owner)}"
        return f"{written(self._path)} does not exist: {owner} has no key `{key}`{did_you_mean(key, self._owner)}"


def written(path: Path) -> str:
    """A path as an author writes it: `tasks.people.output[0]["first name"]`."""
    text = str(path[0])
    for part in path[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.isidentifier():
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
        else:
            text += f".{part}"
    return text


def did_you_mean(word: Any, known: Any) -> str:
    """` (did you mean `x`?)`, or nothing where no known word is near."""
    if not isinstance(word, str) or len(known) > 1000:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(word, [name for name in known if isinstance(name, str)], 1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def excerpt(text: str, limit: int = 80) -> str:
    """The beginning of a text on one line, at most `limit` characters, unprintable ones as U+FFFD: fit for an error."""
    line = " ".join(text[: 4 * limit].split())
    line = line if len(line) <= limit and len(text) <= 4 * limit else line[: limit - 1] + "…"
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)


def kind_of(value: Any) -> str:
    """What a value is, in the words of the language: `a list`, `text`, `none`."""
    if value is None:
        return "none"
    for types, word in (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a number"),
        (str, "text"),
        (Mapping, "a map"),
        (Sequence, "a list"),
        (Method, "a method (`()` calls it)"),
    ):
        if isinstance(value, types):
            return word
    return f"a {type(value).__name__}"


def step(owner: Any, key: Any, path: Path = ()) -> Any:
    """`owner[key]`, or the method of that name, or `Missing`. `path` (its last part is `key`) is for the sentence."""
    if isinstance(owner, Mapping):
        try:
            return owner[key]
        except (KeyError, TypeError):  # TypeError: a list cannot be a key
            pass
    elif isinstance(owner, Sequence) and isinstance(key, int):
        try:
            return owner[key]
        except IndexError:
            pass
    elif isinstance(owner, tuple) and key in getattr(owner, "_fields", ()):
        return getattr(owner, key)  # a group of `groupby`: `.grouper`, `.list`
    if isinstance(key, str):
        method = method_of(owner, key)
        if method is not None:
            return method
    return Missing(owner, path or ("the value", str(key)))


def follow(root: Any, path: Path) -> Any:
    """What `path` leads to; `root` is what its first part names. `Missing` only where its last part is missing.

    Raises CallFailed where an earlier part is missing.
    """
    value = root
    for index in range(1, len(path)):
        value = step(value, path[index], path[: index + 1])
        if isinstance(value, Missing) and index + 1 < len(path):
            raise failure(value.sentence)
    return value


def none_sentence(path: Path, scope: Mapping[str, Any]) -> str:
    """Why a none cannot stand in text, with the task's status where a task's output is meant."""
    name = written(path)
    if len(path) == 3 and path[0] == "tasks" and path[2] == "output":
        status = step(step(scope.get("tasks"), path[1]), "status")
        if isinstance(status, str) and status not in ("succeeded", "pending", "running", "ready"):
            return (
                f"{name} is none: the task was {status}" if status != "failed" else f"{name} is none: the task failed"
            )
    return f"{name} is none and cannot stand in text; `or` and `default(…, true)` give a way out"


def json_text(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, non-ASCII kept, keys in their own order. Raises CallFailed for what JSON cannot hold."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=_container)
    except (TypeError, ValueError, RecursionError) as error:
        raise failure(f"the value cannot be written as JSON: {error}") from error


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    _say_what_is_missing(value)
    raise TypeError(f"{kind_of(value)} is not data")


def _say_what_is_missing(value: Any) -> None:
    """Jinja's undefined object raises with its own sentence when it is made a text."""
    if hasattr(type(value), "_fail_with_undefined_error"):
        str(value)


def shown(value: Any, name: str, meter: Meter | None = None) -> str:
    """`value` as it reads inside text; `name` is what an error calls it. None must be handled by the caller."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, name)
    if isinstance(value, Mapping | Sequence):
        size = (meter or Meter()).weigh(value)
        if size > MAX_TEXT:
            raise failure(f"{name} is too large for a text ({MAX_TEXT:,} characters)")
        return json_text(value)
    _say_what_is_missing(value)
    raise failure(f"{name} is {kind_of(value)} and cannot stand in text")


def _number(value: int | float, name: str) -> str:
    try:
        return str(value)
    except ValueError as error:  # more than 4,300 digits
        raise failure(f"{name} is a number with too many digits for a text") from error


def plain(value: Any, meter: Meter) -> Any:
    """A copy of `value` made of str, int, float, bool, None, list and dict only. Raises CallFailed for other things."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        meter.scan(value)
        return {key: plain(inner, meter) for key, inner in value.items()}
    if isinstance(value, Sequence):
        meter.scan(value)
        return [plain(inner, meter) for inner in value]
    _say_what_is_missing(value)
    raise failure(f"the expression gives {kind_of(value)}, which is not data")
