"""Compiles and runs the templates that need Jinja. Loaded only when one of them is rendered.

Before Jinja compiles a tree it is rewritten so that nothing happens uncounted and nothing is reached
unseen: every loop's items and every turn, macro and block charge the rendering's budget (`meter.py`),
chains like `a.b.c` become one lookup of ours (keys only, errors that name the reference), `~`,
comparisons and slices weigh their operands, and what is put into text goes through `values.shown`.
The names of the filters that do so contain a space, which no template can write.

This is the only place where a text becomes a program; what it compiles is always the author's text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MethodType
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

from llmflow.errors import CallFailed
from llmflow.language.filters import FILTERS, TESTS, formatted, listed, meter_of, text_of
from llmflow.language.meter import MAX_BITS, MAX_TEXT, Meter, failure
from llmflow.language.methods import Method
from llmflow.language.syntax import OffsetEnvironment, Tree, parse, parse_condition_tree, static_path, unix_lines
from llmflow.language.values import Missing, Path, follow, none_sentence, plain, step, written

_LOOP_FIELDS = frozenset(
    "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0".split()
)
_RESULT = "llmflow_result"


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
    context_class = MeteredContext

    def __init__(self) -> None:
        super().__init__()
        self.filters.clear()
        self.filters.update(FILTERS)
        self.filters.update(_OUR_FILTERS)
        self.tests.clear()
        self.tests.update(TESTS)
        self.globals = {"range": _range, "dict": _dict, "namespace": Namespace}
        self.concat = _concat

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
            return self.undefined(found.sentence)
        return self.undefined(f"there is no `{argument}` here")

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
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
        elif not (isinstance(__obj, Macro) or __obj in (_range, _dict, Namespace)):
            raise failure("only methods, macros, `range`, `dict` and `namespace` can be called")
        return __context.call(__obj, *args, **kwargs)

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


def _concat(pieces: Any) -> str:
    """`"".join`, refusing a text that is too long before it is made."""
    texts = list(pieces)
    if sum(map(len, texts)) > MAX_TEXT:
        raise failure(f"the template makes too much text (one text may have {MAX_TEXT:,} characters)")
    return "".join(texts)


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
    return environment.undefined(found.sentence) if isinstance(found, Missing) else found


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
def _glued(context: Context, parts: list[Any]) -> str:
    return _concat([text_of(context, part) for part in parts])


@pass_context
def _no_else(context: Context, value: Any) -> Any:
    return context.environment.undefined("the `if` of the expression is false and there is no `else`")


_OUR_FILTERS: dict[str, Any] = {
    "as text": _as_text,
    "count items": _items,
    "glue parts": _glued,
    "look up": _reach,
    "no else": _no_else,
    "scan it": _scanned,
    "spend steps": _tick,
    "weigh it": _weighed,
}


def _filter(node: nodes.Expr, name: str, *arguments: Any) -> nodes.Filter:
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in arguments]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


class Rewriter(NodeTransformer):
    """Turns a parsed tree into one that counts its work and looks things up in our way."""

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        return self._chain(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        return self._chain(node)

    def _chain(self, node: Any) -> nodes.Node:
        root, keys = static_path(node)
        if not keys:
            node.node = self.visit(node.node)
            if isinstance(node.arg, nodes.Slice):
                node.node = _filter(node.node, "scan it")
            node.arg = self.visit(node.arg)
            return nodes.Getitem(node.node, node.arg, "load", lineno=node.lineno)
        name = root.name if isinstance(root, nodes.Name) else "the value"
        return _filter(self.visit(root), "look up", (name, *keys))

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        node.nodes = [child if isinstance(child, nodes.TemplateData) else self._text(child) for child in node.nodes]
        return node

    def _text(self, node: nodes.Expr) -> nodes.Node:
        paths = reference_paths(node)
        exact = isinstance(static_path(node)[0], nodes.Name)
        return _filter(self.visit(node), "as text", exact, paths)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        parts = nodes.List([self.visit(part) for part in node.nodes], lineno=node.lineno)
        return _filter(parts, "glue parts")

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:
        node.expr = _filter(self.visit(node.expr), "weigh it")
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        node.expr = _filter(self.visit(node.expr), "weigh it")
        node.ops = [self.visit(operand) for operand in node.ops]
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:
        self.generic_visit(node)
        if node.expr2 is None:
            node.expr2 = _filter(nodes.Const(None, lineno=node.lineno), "no else")
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filter(node.iter, "count items")
        return self._counting(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        return self._counting(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        call = self.visit(node.call)
        self.generic_visit(node)
        node.call = call
        return self._counting(node)

    def _counting(self, node: Any) -> nodes.Node:
        literal = sum(len(data.data) for part in node.body for data in _inside(part, nodes.TemplateData))
        steps = _filter(nodes.Const(None, lineno=node.lineno), "spend steps", 1 + (literal >> 8))
        node.body = [nodes.ExprStmt(steps, lineno=node.lineno), *node.body]
        return node


def _inside(node: nodes.Node, kind: Any) -> list[Any]:
    return [node] if isinstance(node, kind) else list(node.find_all(kind))


def reference_paths(node: nodes.Node) -> tuple[Path, ...]:
    """The written-out chains inside an expression, in order."""
    root, keys = static_path(node)
    if isinstance(root, nodes.Name):
        return ((root.name, *keys),)
    return tuple(path for child in root.iter_child_nodes() for path in reference_paths(child))


class Program:
    """A compiled template. `roots` are the names it takes from the scope."""

    __slots__ = ("_paths", "_roots", "_single", "_source", "_template")

    def __init__(self, source: str, tree: Tree, single: bool) -> None:
        self._source = source
        self._single = single
        self._roots = tuple({name.name for name in tree.find_all(nodes.Name) if name.ctx == "load"})
        self._paths: tuple[bool, tuple[Path, ...]] = (False, ())
        rewriter = Rewriter()
        if single:
            node = next(n for n in tree.body[0].nodes if not isinstance(n, nodes.TemplateData))
            self._paths = (isinstance(static_path(node)[0], nodes.Name), reference_paths(node))
            target = nodes.Name(_RESULT, "store", lineno=0)
            tree.body = [nodes.Assign(target, rewriter.visit(node), lineno=node.lineno)]
        else:
            tree = rewriter.visit(tree)
        tree.set_environment(_SANDBOX)
        try:
            self._template = _SANDBOX.from_string(tree)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise failure("the template is nested too deeply to be compiled") from error

    def text(self, scope: Mapping[str, Any]) -> str:
        """The rendered text. Raises CallFailed."""
        if self._single:
            context, value = self._run_single(scope)
            lead, tail = _white_space_around(self._source)
            exact, paths = self._paths
            return lead + self._guarded(lambda: _as_text(context, value, exact, paths)) + tail
        context = self._context(scope)
        return self._guarded(lambda: _concat(self._pieces(context)))

    def value(self, scope: Mapping[str, Any]) -> Any:
        """The value of a single expression, as plain data. Raises CallFailed."""
        context, value = self._run_single(scope)
        if isinstance(value, Undefined):
            self._guarded(lambda: str(value))
        return self._guarded(lambda: plain(value, meter_of(context)))

    def _run_single(self, scope: Mapping[str, Any]) -> tuple[Context, Any]:
        context = self._context(scope)
        self._guarded(lambda: _concat(self._pieces(context)))
        return context, context.vars[_RESULT]

    def _context(self, scope: Mapping[str, Any]) -> Context:
        return self._template.new_context({root: scope[root] for root in self._roots if root in scope})

    def _pieces(self, context: Context) -> list[str]:
        pieces: list[str] = []
        size = 0
        for piece in self._template.root_render_func(context):
            size += len(piece)
            if size > MAX_TEXT:
                raise failure(f"the template makes too much text (one text may have {MAX_TEXT:,} characters)")
            pieces.append(piece)
        return pieces

    def _guarded(self, work: Any) -> Any:
        """What `work()` gives; what goes wrong in the author's expression becomes CallFailed."""
        try:
            return work()
        except CallFailed:
            raise
        except RecursionError as error:
            raise failure("the template calls itself too deeply") from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise failure(str(error) or type(error).__name__) from error


def _white_space_around(source: str) -> tuple[str, str]:
    bare = source.strip()
    at = source.index(bare)
    lead, tail = source[:at], source[at + len(bare) :]
    return "" if bare.startswith("{{-") else lead, "" if bare.endswith("-}}") else tail


def compile_template(text: str, single: bool) -> Program:
    """The program for a template that has been checked before."""
    source = unix_lines(text)
    return Program(source, parse(source), single)


def compile_condition(text: str) -> Program:
    """The program for a condition that has been checked before."""
    source = unix_lines(text)
    return Program(source, parse_condition_tree(source), True)


_SANDBOX = Sandbox()
