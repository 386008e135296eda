"""Compiles and runs the templates that need Jinja. Loaded only when one of them is rendered.

What Jinja compiles is the tree that `rewriting.py` makes, so every piece of work is charged to the
rendering's budget (`meter.py`) before it is done. Templates reach keys, a closed table of methods,
filters and tests, and nothing else.

This is the only place where a text becomes a program; what it compiles is always the author's text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MethodType
from typing import Any, TypeVar

from jinja2 import Undefined, nodes
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.utils import Namespace, pass_context

from llmflow.errors import CallFailed
from llmflow.language import rewriting
from llmflow.language.filters import FILTERS, TESTS, formatted, listed, meter_of, text_of
from llmflow.language.meter import MAX_BITS, MAX_TEXT, Meter, failure, too_long
from llmflow.language.methods import Method
from llmflow.language.rewriting import Rewriter, reference_paths
from llmflow.language.syntax import (
    OffsetEnvironment,
    Tree,
    parse,
    parse_condition_tree,
    single_expression,
    static_path,
    unix_lines,
)
from llmflow.language.values import Missing, Path, did_you_mean, excerpt, follow, none_sentence, plain, step, written

_LOOP_FIELDS = (
    *("changed", "cycle", "depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem"),
    *("revindex", "revindex0"),
)
Result = TypeVar("Result")
MAX_PROGRAMS = 512
"""Compiled programs that are kept; most prompts are rendered once, those of a loop again and again."""

_RESULT = "llmflow_result"
_AUTHORS_ERRORS = (
    *(TemplateError, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
)
"""What Jinja and Python raise for an expression that does not fit its values."""


def _concat(pieces: Any) -> str:
    """`"".join`, refusing a text that is too long before it is made."""
    texts = list(pieces)
    if sum(map(len, texts)) > MAX_TEXT:
        raise too_long()
    return "".join(texts)


class MeteredContext(Context):
    """A rendering's names together with its budget."""

    meter: Meter

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.meter = Meter()

    def derived(self, locals: dict[str, Any] | None = None) -> Context:
        context = super().derived(locals)
        context.meter = self.meter  # type: ignore[attr-defined]
        return context


class Sandbox(OffsetEnvironment):
    """Jinja with our lookups, our table of what can be called, and our arithmetic."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))
    intercepted_unops = frozenset(("-",))
    context_class = MeteredContext
    concat = staticmethod(_concat)

    def __init__(self) -> None:
        super().__init__()
        self.filters.clear()
        self.filters.update(FILTERS)
        self.filters.update(_OUR_FILTERS)
        self.tests.clear()
        self.tests.update(TESTS)
        self.globals = {"range": _range, "dict": _dict, "namespace": Namespace}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            str(obj)  # raises with its own sentence
        if isinstance(obj, LoopContext):
            if argument in _LOOP_FIELDS:
                return getattr(obj, argument)
        elif isinstance(obj, Namespace):
            if isinstance(argument, str) and not argument.startswith("_"):
                try:
                    return getattr(obj, argument)
                except AttributeError:
                    pass  # said below
        elif not isinstance(obj, Macro):
            found = step(obj, argument)
            if not isinstance(found, Missing):
                return found
            return self.undefined(obj=found)
        return self.undefined(f"there is no `{argument}` here")

    def call_filter(
        self,
        name: str,
        value: Any,
        args: Any = None,
        kwargs: Any = None,
        context: Context | None = None,
        eval_ctx: Any = None,
    ) -> Any:
        """A filter named at run time (`map("upper")`): never one of those that only rewritten trees may call."""
        if name not in FILTERS:
            raise failure(f"there is no filter `{name}`{did_you_mean(name, FILTERS)}")
        return super().call_filter(name, value, args, kwargs, context, eval_ctx)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter = meter_of(__context)
        meter.spend(1)
        if isinstance(__obj, Method):
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
            return __obj(meter, *args, **kwargs)
        if isinstance(__obj, Undefined):
            str(__obj)  # raises with its own sentence
        if isinstance(__obj, LoopContext) or (
            isinstance(__obj, MethodType)
            and isinstance(__obj.__self__, LoopContext)
            and __obj.__name__ in ("cycle", "changed")
        ):
            for arg in args:
                meter.weigh(arg)
        elif __obj is Namespace:
            meter.weigh([*args, kwargs])
        elif not (isinstance(__obj, Macro) or __obj is _range or __obj is _dict):
            raise failure("only methods, macros, `range`, `dict` and `namespace` can be called")
        return __context.call(__obj, *args, **kwargs)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        if isinstance(arg, int):
            _check_size(operator, arg, 0)
        return self.unop_table[operator](arg)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        meter = meter_of(context)
        if isinstance(left, int) and isinstance(right, int):
            meter.spend(1)
            _check_size(operator, left, right)
        elif isinstance(left, str) and operator == "%":
            return formatted(meter, left, right)
        elif operator == "+" and isinstance(left, str) and isinstance(right, str):
            meter.make(len(left) + len(right))
        elif operator == "+" and isinstance(left, Sequence) and isinstance(right, Sequence):
            meter.scan(left)
            meter.scan(right)
        elif operator == "*" and isinstance(left, int) and isinstance(right, Sequence):
            _check_copies(meter, right, left)
        elif operator == "*" and isinstance(right, int) and isinstance(left, Sequence):
            _check_copies(meter, left, right)
        else:
            meter.spend(1)
        return self.binop_table[operator](left, right)


def _check_size(operator: str, left: int, right: int) -> None:
    bits = max(left.bit_length(), right.bit_length())
    if operator == "*":
        bits = left.bit_length() + right.bit_length()
    elif operator == "**" and right > 0:
        bits = left.bit_length() * right
    if bits > MAX_BITS:
        raise failure("a number in the template is too large")


def _check_copies(meter: Meter, sequence: Sequence[Any], times: int) -> None:
    size = len(sequence) * max(0, times)
    if isinstance(sequence, str):
        meter.make(size)
    else:
        meter.spend(1 + size)


@pass_context
def _range(context: Context, *bounds: int) -> list[int]:
    numbers = range(*bounds)
    try:
        meter_of(context).spend(len(numbers))
    except OverflowError as error:
        raise failure("the range is too long") from error
    return list(numbers)


def _dict(*args: Any, **kwargs: Any) -> dict[str, Any]:
    if args:
        raise failure("dict takes names only: `dict(a=1)`")
    return kwargs


# What the rewritten trees call.


@pass_context
def _tick(context: Context, value: Any, steps: int) -> None:
    meter_of(context).spend(steps)


@pass_context
def _items(context: Context, value: Any) -> list[Any]:
    return listed(context, value)


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    if not isinstance(value, Undefined):
        meter_of(context).weigh(value)
    return value


@pass_context
def _scanned(context: Context, value: Any) -> Any:
    if not isinstance(value, Undefined):
        if isinstance(value, str):
            meter_of(context).make(len(value))
        meter_of(context).scan(value)
    return value


@pass_context
def _reach(context: Context, value: Any, path: Path) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises with its own sentence
    environment = context.environment
    if isinstance(value, LoopContext | Namespace | Macro):
        for key in path[1:]:
            value = environment.getitem(value, key)
        return value
    found = follow(value, path)
    return environment.undefined(obj=found) if isinstance(found, Missing) else found


@pass_context
def _as_text(context: Context, value: Any, exact: bool, paths: tuple[Path, ...]) -> str:
    if value is None:
        raise failure(_why_none(context, exact, paths))
    text = text_of(context, value, written(paths[0]) if exact else "the value of the expression")
    meter_of(context).make(len(text))
    return text


def _why_none(context: Context, exact: bool, paths: tuple[Path, ...]) -> str:
    scope = {"tasks": context.resolve_or_missing("tasks")}
    if exact:
        return none_sentence(paths[0], scope)
    for path in paths:
        if len(path) == 3 and path[0] == "tasks" and step(step(scope["tasks"], path[1]), path[2]) is None:
            return none_sentence((path[0], path[1], path[2]), scope)
    read = ", ".join(dict.fromkeys(written(path) for path in paths))
    return "the expression is none and cannot stand in text" + (f" (it reads {read})" if read else "")


@pass_context
def _glued(context: Context, parts: list[str]) -> str:
    return _concat(parts)


@pass_context
def _no_else(context: Context, value: Any) -> Any:
    return context.environment.undefined("the `if` of the expression is false and there is no `else`")


_OUR_FILTERS: dict[str, Any] = {
    rewriting.AS_TEXT: _as_text,
    rewriting.ITEMS: _items,
    rewriting.GLUE: _glued,
    rewriting.LOOK_UP: _reach,
    rewriting.NO_ELSE: _no_else,
    rewriting.SCAN: _scanned,
    rewriting.SPEND: _tick,
    rewriting.WEIGH: _weighed,
}


class Program:
    """A compiled template. `roots` are the names it takes from the scope."""

    __slots__ = ("_exact", "_paths", "_roots", "_single", "_source", "_template")

    def __init__(self, source: str, tree: Tree, single: bool) -> None:
        self._source = source
        self._single = single
        self._roots = tuple({name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"})
        self._paths = reference_paths(tree)
        self._exact = False
        rewriter = Rewriter()
        if single:
            node = single_expression(tree)
            self._exact = isinstance(static_path(node)[0], nodes.Name)
            target = nodes.Name(_RESULT, "store", lineno=0)
            tree.body = [nodes.Assign(target, rewriter.visit(node), lineno=node.lineno)]
        else:
            tree = rewriter.visit(tree)
        tree.set_environment(_SANDBOX)
        try:
            self._template = _SANDBOX.from_string(tree)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise failure("the template cannot be compiled: it is nested too deeply or indexes oddly") from error

    def text(self, scope: Mapping[str, Any]) -> str:
        """The rendered text. Raises CallFailed."""
        context = self._context(scope)
        if not self._single:
            return self._guarded(scope, lambda: _concat(self._pieces(context)))
        lead, tail = _white_space_around(self._source)
        return lead + self._guarded(scope, lambda: self._single_text(context)) + tail

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The value of a single expression, as plain data. Raises CallFailed."""
        context = self._context(scope)
        return self._guarded(scope, lambda: plain(self._single_value(context), meter_of(context)))

    def _single_text(self, context: Context) -> str:
        return _as_text(context, self._single_value(context), self._exact, self._paths)

    def _single_value(self, context: Context) -> Any:
        self._pieces(context)
        return context.vars[_RESULT]

    def _context(self, scope: Mapping[str, Any]) -> Context:
        return self._template.new_context({root: scope[root] for root in self._roots if root in scope})

    def _pieces(self, context: Context) -> list[str]:
        pieces: list[str] = []
        size = 0
        for piece in self._template.root_render_func(context):
            size += len(piece)
            if size > MAX_TEXT:
                raise too_long()
            pieces.append(piece)
        return pieces

    def _guarded(self, scope: Mapping[str, Any], work: Callable[[], Result]) -> Result:
        """What `work()` gives; what goes wrong in the author's expression becomes CallFailed."""
        try:
            return work()
        except CallFailed as error:
            detail, cause = error.detail, error.__cause__
        except RecursionError as error:
            detail, cause = "the template calls itself, or its data is nested, too deeply", error
        except _AUTHORS_ERRORS as error:
            detail, cause = f"{self._place(error)}{excerpt(str(error), 200) or type(error).__name__}", error
        raise failure(detail + self._nones(detail, scope)) from cause

    def _nones(self, detail: str, scope: Mapping[str, Any]) -> str:
        """Where a none is to blame and the sentence does not say whose, the first reference that is none."""
        if "none" not in detail.lower():
            return ""
        for path in self._paths:
            name = written(path)
            if f"{name} is none" in detail:
                return ""
            root, *keys = path
            value = scope.get(str(root), Missing(None, path))
            for key in keys:
                value = step(value, key)
            if value is None:
                return f" ({none_sentence(path, scope).partition(' and cannot')[0]})"
        return ""

    def _place(self, error: Exception) -> str:
        """The `{{ … }}` or `{% … %}` that an error came from, as the beginning of a sentence; empty if unknown."""
        if isinstance(error, UndefinedError):
            return ""  # its own sentence names the reference
        at = None
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<template>":
                at = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        if at is None:
            return ""
        start = max(self._source.rfind("{{", 0, at + 1), self._source.rfind("{%", 0, at + 1), 0)
        ends = [end for sign in ("}}", "%}") if (end := self._source.find(sign, at)) >= 0]
        return f"in `{excerpt(self._source[start : min(ends, default=len(self._source)) + 2])}`: "


def _white_space_around(source: str) -> tuple[str, str]:
    bare = source.strip()
    at = source.index(bare)
    lead, tail = source[:at], source[at + len(bare) :]
    return "" if bare.startswith("{{-") else lead, "" if bare.endswith("-}}") else tail


@lru_cache(maxsize=MAX_PROGRAMS)
def compile_template(text: str, single: bool) -> Program:
    """The program for a template that has been checked before."""
    source = unix_lines(text)
    return Program(source, parse(source), single)


@lru_cache(maxsize=MAX_PROGRAMS)
def compile_condition(text: str) -> Program:
    """The program for a condition that has been checked before."""
    source = unix_lines(text)
    return Program(source, parse_condition_tree(source), True)


_SANDBOX = Sandbox()
