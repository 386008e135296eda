"""The filters and tests that a template may use: Jinja's own where they are safe, with their cost counted first.

Left out of Jinja's set: what escapes HTML (a prompt is no web page), what is random, what reaches for
attributes, and what makes much out of little without saying how much. Added: `fromjson`. Filters that
give several things give a list, so a value keeps a type that JSON knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Undefined
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import pass_context

from llmflow.language.meter import MAX_BITS, Meter, failure
from llmflow.language.methods import joined, padded_width, replaced
from llmflow.language.values import excerpt, json_text, kind_of, shown

Filter = Callable[..., Any]

_JINJA: Mapping[str, Any] = JINJA_FILTERS
_JINJA_TESTS: Mapping[str, Any] = JINJA_TESTS


def meter_of(context: Context) -> Meter:
    """The budget of the rendering that `context` belongs to."""
    meter: Meter = context.meter  # type: ignore[attr-defined]
    return meter


def text_of(context: Context, value: Any, name: str = "the value") -> str:
    """`value` as it reads inside text. Raises CallFailed for none, UndefinedError for what is not defined."""
    if isinstance(value, Undefined):
        str(value)  # raises with its own sentence
    if value is None:
        raise failure(f"{name} is none and cannot stand in text; `or` and `default(…, true)` give a way out")
    return shown(value, name, meter_of(context))


def listed(context: Context, value: Any) -> list[Any]:
    """The elements of a list, the keys of a map, the characters of a text. Raises CallFailed for anything else."""
    if isinstance(value, Undefined):
        iter(value)  # raises with its own sentence
    if not isinstance(value, Sequence | Mapping):
        raise failure(f"a list is needed here, not {kind_of(value)}")
    meter_of(context).scan(value)
    if isinstance(value, str):
        meter_of(context).spend(len(value))
    return list(value)


def _counted(name: str) -> Filter:
    """Jinja's filter `name`, run after its input has been counted; iterators become lists."""
    original = _JINJA[name]
    takes = getattr(original, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Undefined):
            str(value)  # raises with its own sentence
        meter = meter_of(context)
        for counted in (value, *args, *kwargs.values()):
            meter.scan(counted)
        result = original(*_first_argument(takes, context), value, *args, **kwargs)
        return list(result) if hasattr(result, "__next__") else result

    return run


def _textual(name: str) -> Filter:
    """Jinja's filter `name` for a text, given the value as it reads inside text."""
    original = _JINJA[name]
    takes = getattr(original, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = text_of(context, value)
        meter = meter_of(context)
        meter.make(len(text))
        for counted in (*args, *kwargs.values()):
            meter.make(len(counted)) if isinstance(counted, str) else meter.scan(counted)
        return original(*_first_argument(takes, context), text, *args, **kwargs)

    return run


def _first_argument(takes: Any, context: Context) -> tuple[Any, ...]:
    word = takes.name if takes is not None else ""
    return {"context": (context,), "eval_context": (context.eval_ctx,), "environment": (context.environment,)}.get(
        word, ()
    )


def _over_elements(name: str) -> Filter:
    """Jinja's `map`, `select` and their kin: a list in, a list out."""
    original = _JINJA[name]

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return list(original(context, listed(context, value), *args, **kwargs))

    return run


def _sorting(name: str) -> Filter:
    """Jinja's filters that compare elements with each other: n log n looks at them."""
    original = _JINJA[name]
    takes = getattr(original, "jinja_pass_arg", None)

    @pass_context
    def run(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        elements = value if isinstance(value, Mapping) else listed(context, value)
        meter = meter_of(context)
        size = len(elements) + meter.weigh(elements) // 256
        meter.spend(2 * size * len(elements).bit_length())
        result = original(*_first_argument(takes, context), elements, *args, **kwargs)
        return list(result) if hasattr(result, "__next__") else result

    return run


@pass_context
def _center(context: Context, value: Any, width: int = 80) -> str:
    text = text_of(context, value)
    return text.center(padded_width(meter_of(context), width))


@pass_context
def _replace(context: Context, value: Any, old: str, new: str, count: int | None = None) -> str:
    return replaced(
        meter_of(context),
        text_of(context, value),
        text_of(context, old),
        text_of(context, new),
        -1 if count is None else count,
    )


@pass_context
def _join(context: Context, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    elements = listed(context, value)
    if attribute is not None:
        elements = _JINJA["map"](context, elements, attribute=attribute)
    texts = [text_of(context, element, "an element of the list") for element in elements]
    return joined(meter_of(context), texts, text_of(context, d))


@pass_context
def _indent(context: Context, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = text_of(context, value)
    meter = meter_of(context)
    meter.make(len(text))
    unit = len(width) if isinstance(width, str) else max(0, padded_width(meter, width))
    meter.make(len(text) + (text.count("\n") + 1) * unit)
    indented: str = _JINJA["indent"](text, width, first, blank)
    return indented


@pass_context
def _batch(context: Context, value: Any, linecount: int, fill_with: Any = None) -> list[Any]:
    meter_of(context).spend(max(0, linecount))
    return list(_JINJA["batch"](listed(context, value), linecount, fill_with))


@pass_context
def _slice(context: Context, value: Any, slices: int, fill_with: Any = None) -> list[Any]:
    meter_of(context).spend(max(0, slices))
    return list(_JINJA["slice"](listed(context, value), slices, fill_with))


@pass_context
def _list(context: Context, value: Any) -> list[Any]:
    return listed(context, value)


@pass_context
def _reverse(context: Context, value: Any) -> Any:
    if isinstance(value, str):
        meter_of(context).make(len(value))
        return value[::-1]
    return listed(context, value)[::-1]


@pass_context
def _round(context: Context, value: Any, precision: int = 0, method: str = "common") -> float:
    if not isinstance(precision, int) or abs(precision) > 100:
        raise failure("round takes a precision between -100 and 100")
    rounded: float = _JINJA["round"](value, precision, method)
    return rounded


@pass_context
def _int(context: Context, value: Any, default: int = 0, base: int = 10) -> int:
    if isinstance(value, Undefined):
        str(value)  # raises with its own sentence
    meter_of(context).scan(value)
    number: int = _JINJA["int"](value, default, base)
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise failure("a number in the template is too large")
    return number


@pass_context
def _string(context: Context, value: Any) -> str:
    return text_of(context, value)


@pass_context
def _sum(context: Context, value: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    elements = listed(context, value)
    if attribute is not None:
        elements = list(_JINJA["map"](context, elements, attribute=attribute))
    for number in (start, *elements):
        if not isinstance(number, int | float):
            raise failure(f"sum adds numbers, not {kind_of(number)}")
    return sum(elements, start)


@pass_context
def _tojson(context: Context, value: Any, indent: int | None = None) -> str:
    if isinstance(value, Undefined):
        str(value)  # raises with its own sentence
    if indent is not None and not (isinstance(indent, int) and 0 <= indent <= 16):
        raise failure("tojson takes an indent between 0 and 16")
    meter = meter_of(context)
    size = meter.weigh(value)
    meter.make(size)
    text = json_text(value, indent)
    meter.make(len(text))
    return text


@pass_context
def _fromjson(context: Context, value: Any) -> Any:
    text = text_of(context, value)
    meter_of(context).spend(len(text))
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise failure(f"fromjson: the text is not JSON: {error}") from error
    except RecursionError as error:
        raise failure("fromjson: the text is nested too deeply") from error


def _no_constant(word: str) -> None:
    raise ValueError(f"`{word}` is not JSON")


_DIRECTIVE = re.compile(r"%(?:%|(?:\(\w+\))?[-+ #0]*(\d*)(?:\.(\d*))?[a-zA-Z])|(%)")


def formatted(meter: Meter, text: str, values: Any) -> str:
    """`text % values`, with widths bounded and containers read as JSON. Raises CallFailed."""
    meter.make(len(text))
    room = len(text)
    for found in _DIRECTIVE.finditer(text):
        if found[3]:
            raise failure(
                f"the format `{excerpt(text, 40)}` has a `%` that is no directive; write `%%` for a percent sign"
            )
        digits = [part for part in (found[1], found[2]) if part]
        if any(len(part) > 4 for part in digits):
            raise failure("a format may not be wider than 9,999 characters")
        room += sum(int(part) for part in digits)
    if isinstance(values, Mapping):
        shown_values: Any = {key: _format_value(value, meter) for key, value in values.items()}
        inner = list(shown_values.values())
    else:
        shown_values = tuple(_format_value(v, meter) for v in (values if isinstance(values, tuple) else (values,)))
        inner = list(shown_values)
    longest = max((len(value) if isinstance(value, str) else 400 for value in inner), default=0)
    meter.make(room + text.count("%") * longest)
    done: str = text % shown_values
    return done


def _format_value(value: Any, meter: Meter) -> Any:
    if value is None or isinstance(value, Undefined):
        raise failure("a format needs values, not none")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, int) and value.bit_length() > 1024:
            raise failure("a number is too large for a format")
        return value
    return shown(value, "a value of the format", meter)


@pass_context
def _format(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise failure("format takes values by place or by name, not both")
    return formatted(meter_of(context), text_of(context, value), kwargs or args)


FILTERS: dict[str, Filter] = {
    **{name: _JINJA[name] for name in ("d", "default")},
    **{name: _counted(name) for name in ("abs", "count", "first", "float", "items", "last", "length")},
    **{name: _textual(name) for name in ("capitalize", "lower", "title", "trim", "truncate", "upper", "wordcount")},
    **{name: _over_elements(name) for name in ("map", "reject", "rejectattr", "select", "selectattr")},
    **{name: _sorting(name) for name in ("dictsort", "groupby", "max", "min", "sort", "unique")},
    "batch": _batch,
    "center": _center,
    "format": _format,
    "fromjson": _fromjson,
    "indent": _indent,
    "int": _int,
    "join": _join,
    "list": _list,
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "slice": _slice,
    "string": _string,
    "sum": _sum,
    "tojson": _tojson,
}


def _weighing(name: str) -> Filter:
    original = _JINJA_TESTS[name]

    @pass_context
    def run(context: Context, value: Any, *args: Any) -> bool:
        meter = meter_of(context)
        for part in (value, *args):
            if not isinstance(part, Undefined):
                meter.weigh(part)
        return bool(original(value, *args))

    return run


_PLAIN_TESTS = (
    *("boolean", "defined", "false", "float", "integer", "mapping", "none", "number", "sameas", "sequence", "string"),
    *("true", "undefined"),
)
_WEIGHING_TESTS = (
    *("!=", "<", "<=", "==", ">", ">=", "divisibleby", "eq", "equalto", "even", "ge", "greaterthan", "gt", "in"),
    *("iterable", "le", "lessthan", "lower", "lt", "ne", "odd", "upper"),
)

TESTS: dict[str, Filter] = {
    **{name: _JINJA_TESTS[name] for name in _PLAIN_TESTS},
    **{name: _weighing(name) for name in _WEIGHING_TESTS},
}
