"""Turns what a model answered into the value it was asked for, or says shortly why that cannot be done.

Nothing is repaired in silence: an answer that is not exactly what was asked for is refused with a
reason that a person, and the model itself, can act on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmflow.language.templates import Condition
from llmflow.language.values import excerpt

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_REASONS = 3


class InvalidAnswer(ValueError):
    """An answer that is not what was asked for. `reason`: one short sentence, fit to be said to the model."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def read_answer(text: str, schema: Mapping[str, Any] | None) -> Any:
    """The value of an answer: without a schema its text, stripped at both ends; with one the data.

    With a schema the text must be JSON, alone or in one fenced block, and fit the schema (which was
    checked before). Raises InvalidAnswer.
    """
    bare = text.strip()
    if schema is None:
        return bare
    value = _json(_unfenced(bare))
    check_value(value, schema)
    return value


def check_value(value: Any, schema: Mapping[str, Any]) -> None:
    """Raises InvalidAnswer where data does not fit the schema (which was checked before)."""
    try:
        reasons = _reasons(value, _validator(json.dumps(schema)))
    except RecursionError as error:
        raise InvalidAnswer("the answer is nested too deeply") from error
    if reasons:
        raise InvalidAnswer("; ".join(reasons))


def check_conditions(conditions: Iterable[Condition], scope: Mapping[str, Any]) -> str | None:
    """The first of the `validate` conditions that does not hold, as a reason; None if all hold.

    Raises CallFailed (`template`) for a condition that cannot be evaluated.
    """
    for condition in conditions:
        if not condition.holds(scope):
            return f"the answer does not fulfil `{condition.source.strip()}`"
    return None


def _reasons(value: Any, validator: Validator) -> list[str]:
    """Up to `MAX_REASONS` things that are wrong with `value`, in the schema's order; one for each place."""
    reasons: dict[tuple[str, bool], str] = {}
    for error in validator.iter_errors(value):
        place = error.json_path.removeprefix("$").removeprefix(".")
        reasons.setdefault((place, error.validator in ("required", "additionalProperties")), _reason(place, error))
        if len(reasons) == MAX_REASONS:
            break
    return list(reasons.values())


def _unfenced(text: str) -> str:
    if not (text.startswith("```") and text.endswith("```") and len(text) > 6):
        return text
    first, newline, rest = text.partition("\n")
    if not newline or first[3:].strip().lower() not in ("", "json"):
        return text
    return rest[:-3].strip()


def _json(text: str) -> Any:
    if not text:
        raise InvalidAnswer("the answer is empty; JSON was asked for")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        place = f"at line {error.lineno}, column {error.colno}" if "\n" in text else f"at character {error.pos + 1}"
        near = excerpt(text[max(0, error.pos - 20) : error.pos + 20]) or "the end"
        raise InvalidAnswer(
            f"the answer is not JSON: {error.msg[:1].lower()}{error.msg[1:]} {place}, near: {near}"
        ) from error
    except InvalidAnswer:
        raise
    except ValueError as error:  # a number of more than 4,300 digits
        raise InvalidAnswer("a number in the answer has too many digits") from error
    except RecursionError as error:
        raise InvalidAnswer("the answer is nested too deeply") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [key for key, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise InvalidAnswer(f"the key `{excerpt(doubled)}` stands twice in one object")
    return data


def _no_constant(word: str) -> Any:
    raise InvalidAnswer(f"`{word}` is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise InvalidAnswer(f"the number `{excerpt(digits)}` is too large")
    return number


@lru_cache(maxsize=256)
def _validator(schema_text: str) -> Validator:
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = json.loads(schema_text)
    kind: Any = validator_for(schema, default=Draft202012Validator)
    return kind(schema)  # type: ignore[no-any-return]


def _reason(path: str, error: Any) -> str:
    where = f"`{path}`" if path else "the answer"
    value = excerpt(json.dumps(error.instance, ensure_ascii=False))
    wanted = error.validator_value
    match error.validator:
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return f"{where} must be {' or '.join(_ARTICLES.get(kind, kind) for kind in kinds)}, not {value}"
        case "enum":
            return f"{where} must be one of {', '.join(json.dumps(w, ensure_ascii=False) for w in wanted)}, not {value}"
        case "required":
            absent = [name for name in wanted if name not in error.instance]
            return f"{where} lacks {', '.join(f'`{name}`' for name in absent)}"
        case "additionalProperties" if wanted is False:
            known = error.schema.get("properties", {})
            extra = [name for name in error.instance if name not in known]
            return f"{where} has unknown {', '.join(f'`{excerpt(name)}`' for name in extra[:5])}"
        case _:
            return f"{where}: {excerpt(error.message)}"


_ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
