"""Which names a file's author may give: ids of tasks, inputs, aliases and providers, and the names in `with`."""

from __future__ import annotations

import re

from llmflow.language.field_types import NameRule

MAX_ID = 64
_ID = r"[A-Za-z_][A-Za-z0-9_]*"
_ID_PATTERN = re.compile(_ID)
_PROVIDER = r"[A-Za-z_][A-Za-z0-9_.-]*"
_PROVIDER_PATTERN = re.compile(_PROVIDER)
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_HEADER_PATTERN = re.compile(_HEADER)
ROOTS = ("inputs", "tasks", "env", "run", "item", "items", "previous", "iteration", "output")
"""Names that templates know by themselves."""
FIXED_ROOTS = ROOTS[:4]
"""Those that mean the same everywhere."""


def _id_problem(what: str) -> NameRule:
    def check(name: str) -> tuple[str, str] | None:
        if not name:
            return f"{what} without a name: the key is empty", ""
        if len(name) > MAX_ID:
            return f"{what} `{name[:20]}…` is longer than {MAX_ID} characters", ""
        if _ID_PATTERN.fullmatch(name):
            return None
        if _ID_PATTERN.fullmatch(fixed := re.sub(r"[-. ]", "_", name)):
            why = "; in an expression a hyphen is a subtraction" if "-" in name else ""
            return f"{what} `{name}` is not an id", f"write `{fixed}`{why}"
        return f"{what} `{name[:MAX_ID]}` is not an id", "letters, digits and `_`, not starting with a digit"

    return NameRule(what, _ID, check)


def _provider_problem(name: str) -> tuple[str, str] | None:
    if _PROVIDER_PATTERN.fullmatch(name) and len(name) <= MAX_ID:
        return None
    return f"provider `{name[:MAX_ID]}` is not a name", "letters, digits, `_`, `-` and `.`, at most 64"


def taken(name: str, where: str, *, for_call: bool = False) -> tuple[str, str] | None:
    """What is wrong with giving `name` to a value of one's own; an argument of a call may be called `items`."""
    if name in (FIXED_ROOTS if for_call else ROOTS):
        return f"`{name}` is a name that every template knows already", f"take another name in `{where}`"
    return None


def _item_problem(name: str) -> tuple[str, str] | None:
    return _id_problem("name").check(name) or (None if name == "item" else taken(name, "as"))


def _header_problem(name: str) -> tuple[str, str] | None:
    return None if _HEADER_PATTERN.fullmatch(name) else (f"`{name[:MAX_ID]}` is not the name of a header", "")


def _any_problem(name: str) -> tuple[str, str] | None:
    return None if name.strip() else ("an output's name is empty", "")


TASK_NAMES = _id_problem("task")
INPUT_NAMES = _id_problem("input")
ALIAS_NAMES = _id_problem("alias")
PROVIDER_NAMES = NameRule("provider", _PROVIDER, _provider_problem)
WITH_NAMES = _id_problem("name")
ITEM_NAMES = NameRule("name", _ID, _item_problem)
VARIABLE_NAMES = _id_problem("variable")
HEADER_NAMES = NameRule("header", _HEADER, _header_problem)
OUTPUT_NAMES = NameRule("output", r"[\s\S]*\S[\s\S]*", _any_problem)
