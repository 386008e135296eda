"""Secrets, taken out of texts and data before anybody keeps or shows them: keys of providers, variables that hold one.

A secret is looked for as it is, as it stands in an address or in JSON, and in base64 with whatever stands before and
behind it (a header of Basic authentication holds `user:secret`). In what is said of a failure, which may have been
cut anywhere, every piece of it that is long enough to be no chance is looked for too.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from llmflow.environment import SHORTEST, is_secret_name

PIECE = 8
"""Characters that a text has in common with a secret from which on it holds a piece of it."""

LIKE_A_KEY = 16
"""Characters from which on the value of a variable that nobody named counts as a secret, its name being that of one."""

_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")


class Redactor:
    """Puts `[NAME]` in the place of secrets. `secrets`: the value of each and the name that may be told."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(sorted(secrets.items(), key=lambda pair: -len(pair[0])))
        self._plain = [(form, name) for value, name in self._secrets.items() for form in _spellings(value)]
        self._encoded = [(core, name) for value, name in self._secrets.items() for core in _cores(value)]
        self._needles = [form for form, _ in (*self._plain, *self._encoded)]

    @classmethod
    def of(cls, environment: Mapping[str, str], named: Iterable[str]) -> Redactor:
        """The secrets of `environment`: the variables in `named`, and those that by name and value hold a key."""
        wanted = set(named)
        secrets = {}
        for name, value in environment.items():
            value = value.strip()
            if (len(value) >= SHORTEST and name in wanted) or (is_secret_name(name) and _like_a_key(value)):
                secrets[value] = name
        return cls(secrets)

    def holds_any(self, *values: Any) -> bool:
        """True where a secret stands in one of these texts or data."""
        if not self._needles:
            return False
        said = "\n".join(_texts(values))
        return any(needle in said for needle in self._needles)

    def text(self, text: str) -> str:
        """`text` without secrets."""
        for form, name in self._plain:
            if form in text:
                text = text.replace(form, f"[{name}]")
        for core, name in self._encoded:
            while (at := text.find(core)) >= 0:
                text = _without_run(text, at, at + len(core), f"[{name}]")
        return text

    def data(self, value: Any) -> Any:
        """Data (as JSON has it) without secrets in its texts, names included; the same object where there is none."""
        return self._data(value) if self.holds_any(value) else value

    def told(self, text: str) -> str:
        """What is said of a failure, without secrets and without pieces of them."""
        text = self.text(text)
        if not self._secrets:
            return text
        shown: list[str] = []
        at = 0
        while at < len(text):
            name = self._pieces.get(text[at : at + PIECE])
            if name is None:
                shown.append(text[at])
                at += 1
                continue
            while text[at : at + PIECE] in self._pieces:
                at += 1
            at += PIECE - 1
            shown.append(f"[{name}]")
        return "".join(shown)

    def _data(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self._data(key): self._data(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [self._data(part) for part in value]
        return value

    @cached_property
    def _pieces(self) -> dict[str, str]:
        forms = [(form, name) for form, name in (*self._plain, *self._encoded) if len(form) >= PIECE]
        return {form[at : at + PIECE]: name for form, name in forms for at in range(len(form) - PIECE + 1)}


def _like_a_key(value: str) -> bool:
    """Long, in one word, no path, with letters and digits: a name alone (`KEYBOARD`, `TOKENIZERS_…`) may mislead."""
    whole = len(value) >= LIKE_A_KEY and not any(c.isspace() for c in value) and value[0] not in "/.~"
    return whole and any(c.isdigit() for c in value) and any(c.isalpha() for c in value)


def _spellings(value: str) -> Iterator[str]:
    """The secret as it is, in an address, and in JSON."""
    yield from dict.fromkeys(
        (value, quote(value, safe=""), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1])
    )


def _cores(value: str) -> Iterator[str]:
    """What is the same in base64 wherever the secret stands: at each of three offsets, in both alphabets."""
    data = value.encode("utf-8", "replace")
    for offset in range(3):
        coded = b64encode(bytes(offset) + data).decode()
        core = coded[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        yield from dict.fromkeys((core, core.replace("+", "-").replace("/", "_")))


def _without_run(text: str, begin: int, end: int, word: str) -> str:
    """`word` in the place of the whole run of base64 that `text[begin:end]` is part of."""
    while begin > 0 and text[begin - 1] in _BASE64:
        begin -= 1
    while end < len(text) and text[end] in _BASE64:
        end += 1
    return text[:begin] + word + text[end:]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
