"""Reads a template with Jinja's parser: its references with their places, and what is not allowed in it.

Jinja's nodes know only their line. The lexer gives its tokens in order and as they are written, so
each token's offset can be found again, and handing Jinja that offset in place of the line number
puts it on every node and every syntax error: in this module and in the trees it gives, `lineno` is an
offset in characters. Loaded only when a template needs Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmflow.language.filters import FILTERS, TESTS
from llmflow.language.templates import RESERVED_NAMES, Reference, TemplateProblem
from llmflow.language.values import Missing, Path, did_you_mean

GLOBALS = ("range", "dict", "namespace")
OUR_ROOTS = frozenset(("inputs", "tasks", "env", "run"))
"""Names that a template may read but not set: hiding one would hide a dependency."""

MAX_DEPTH = 50
MAX_LOOPS = 10
"""Loops inside loops; Python's own limit for nested blocks is 20."""

MAX_KEYS = 100
MAX_TOKENS = 50_000

Tree = nodes.Template

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Macro, nodes.CallBlock,
    nodes.FilterBlock, nodes.With, nodes.Assign, nodes.AssignBlock, nodes.Name, nodes.NSRef, nodes.Const,
    nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test,
    nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare, nodes.Operand,
    nodes.BinExpr, nodes.UnaryExpr,
)  # fmt: skip

_REFUSED_TAGS = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.Scope: "autoescape",
}


class NotThere(StrictUndefined):
    """What a name or key that does not exist gives: every use but `is defined` and `default` is an error."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if isinstance(self._undefined_obj, Missing):
            return self._undefined_obj.sentence
        return self._undefined_hint or f"`{self._undefined_name}` is not defined"


class OffsetEnvironment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with offsets for line numbers. Compiles nothing at load and folds no constants."""

    def __init__(self) -> None:
        super().__init__(undefined=NotThere, autoescape=False, optimized=False, keep_trailing_newline=True)

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        tokens = self._with_offsets(source, state)
        return TokenStream(self.lexer.wrap(tokens, name, filename), name, filename)

    def _with_offsets(self, source: str, state: str | None) -> Iterator[tuple[int, str, str]]:
        at = 0
        try:
            for count, (_, token, value) in enumerate(self.lexer.tokeniter(source, None, None, state)):
                at = source.index(value, at)  # what lies between is white space that a `-` has taken away
                if count > MAX_TOKENS:
                    raise TemplateSyntaxError("the template is too long", at)
                yield at, token, value
                at += len(value)
        except TemplateSyntaxError as error:
            error.lineno = at
            raise


def parse(source: str, expression: bool = False) -> Tree:
    """The tree of a template, or of a bare expression (its body is one `Output` of one node).

    Raises TemplateProblem for a syntax error; line ends in `source` must be `\\n` already.
    """
    environment = _ENVIRONMENT
    try:
        parser = Parser(environment, source, state="variable" if expression else None)
        if not expression:
            return parser.parse()
        node = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"unexpected {parser.stream.current.value!r} after the expression")
        return nodes.Template([nodes.Output([node], lineno=0)], lineno=0)
    except TemplateSyntaxError as error:
        raise _syntax_problem(error, source) from error
    except RecursionError as error:
        raise TemplateProblem("the expression is nested too deeply", 0) from error
    except ValueError as error:  # a number of more than 4,300 digits
        raise TemplateProblem("a number in it has too many digits", 0) from error


def read_template(text: str) -> tuple[tuple[Reference, ...], bool]:
    """The references of a template, and whether it is exactly one `{{ … }}`. Raises TemplateProblem."""
    source = unix_lines(text)
    tree = _placed(text, source, lambda: parse(source))
    references = _placed(text, source, lambda: Checker(source).check(tree))
    return _in_original(text, references), is_single(source, tree)


def read_condition(text: str) -> tuple[Reference, ...]:
    """The references of a condition. Raises TemplateProblem."""
    source = unix_lines(text)
    tree = _placed(text, source, lambda: parse_condition_tree(source))
    return _in_original(text, _placed(text, source, lambda: Checker(source).check(tree)))


def parse_condition_tree(source: str) -> Tree:
    """The tree of a condition: one `Output` of one node. Raises TemplateProblem."""
    if not source.strip():
        raise TemplateProblem("the condition is empty", 0, "write an expression, such as `inputs.urgent`")
    if "{{" not in source:
        return parse(source, expression=True)
    tree = parse(source)
    if not is_single(source, tree):
        raise TemplateProblem("a condition is one expression, without text around it", 0, "write it without `{{ }}`")
    return nodes.Template([nodes.Output([single_expression(tree)], lineno=0)], lineno=0)


def single_expression(tree: Tree) -> Any:
    """The expression of a template that `is_single`."""
    output: Any = tree.body[0]
    return next(node for node in output.nodes if not isinstance(node, nodes.TemplateData))


def is_single(source: str, tree: Tree) -> bool:
    """Whether the template is one `{{ … }}` with nothing but white space around it."""
    bare = source.strip()
    if not (bare.startswith("{{") and bare.endswith("}}")) or len(tree.body) != 1:
        return False
    output = tree.body[0]
    if not isinstance(output, nodes.Output):
        return False
    inner = [node for node in output.nodes if not (isinstance(node, nodes.TemplateData) and not node.data.strip())]
    return len(inner) == 1 and not isinstance(inner[0], nodes.TemplateData)


def unix_lines(text: str) -> str:
    """`text` with one `\\n` for every line end, as Jinja reads it."""
    return re.sub(r"\r\n?", "\n", text) if "\r" in text else text


def static_path(node: Any) -> tuple[Any, Path]:
    """The node that a chain of written-out keys begins with, and those keys: `a.b["c"][0]` → `a`, (b, c, 0)."""
    keys: list[str | int] = []
    while True:
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif (
            isinstance(node, nodes.Getitem)
            and isinstance(node.arg, nodes.Const)
            and isinstance(node.arg.value, str | int)
            and not isinstance(node.arg.value, bool)
        ):
            keys.append(node.arg.value)
        else:
            return node, tuple(reversed(keys))
        node = node.node


class Checker:
    """One walk over a tree: gathers the references and refuses what may not be there.

    Names that the template makes itself (`for`, `set`, `with`, a macro and its parameters) are no
    references; scopes nest as in Jinja.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[Reference] = []

    def check(self, tree: Tree) -> tuple[Reference, ...]:
        """All references in the order written. Raises TemplateProblem."""
        self._visit(tree, set(), 0, 0)
        return tuple(sorted(self._found, key=lambda reference: reference.offset))

    def _visit(self, node: nodes.Node, own: set[str], depth: int, loops: int) -> None:
        if not isinstance(node, _ALLOWED):
            tag = next((word for kind, word in _REFUSED_TAGS.items() if isinstance(node, kind)), type(node).__name__)
            at = next(
                place for place in (node.lineno, *(c.lineno for c in node.iter_child_nodes()), 0) if place is not None
            )
            raise TemplateProblem(f"`{{% {tag} %}}` cannot be used in a template", at)
        if depth > MAX_DEPTH or loops > MAX_LOOPS:
            raise TemplateProblem("the template is nested too deeply", node.lineno)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            self._called_method(node, own, depth + 1, loops)
            return
        special = _SPECIAL.get(type(node))
        if special is not None:
            special(self, node, own, depth + 1, loops)
            return
        if isinstance(node, nodes.Filter | nodes.Test):
            self._known(node)
        if isinstance(node, nodes.Call | nodes.Filter | nodes.Test):
            self._no_unpacking(node)
        for child in node.iter_child_nodes():
            self._visit(child, own, depth + 1, loops)

    def _visit_all(self, children: list[Any], own: set[str], depth: int, loops: int) -> None:
        for child in children:
            self._visit(child, own, depth, loops)

    def _known(self, node: nodes.Filter | nodes.Test) -> None:
        known: Mapping[str, Any] = FILTERS if isinstance(node, nodes.Filter) else TESTS
        if node.name not in known:
            word = "filter" if isinstance(node, nodes.Filter) else "test"
            near = did_you_mean(node.name, known)
            there_are = f"there are: {' '.join(sorted(name for name in known if name.isidentifier()))}"
            raise TemplateProblem(
                f"there is no {word} `{node.name}`", node.lineno, near.strip(" ()") if near else there_are
            )

    def _chain(self, node: Any, own: set[str], depth: int, loops: int) -> None:
        root, keys = static_path(node)
        if len(keys) > MAX_KEYS:
            raise TemplateProblem("the reference is too long", root.lineno)
        if isinstance(root, nodes.Name):
            self._name(root, keys, own)
        elif root is node:
            self._visit(node.node, own, depth, loops)
            self._visit(node.arg, own, depth, loops)
        else:
            self._visit(root, own, depth, loops)

    def _called_method(self, node: Any, own: set[str], depth: int, loops: int) -> None:
        """`a.b.upper()` reads `a.b`: what is called is no key of the data."""
        self._no_unpacking(node)
        self._visit(node.node.node, own, depth, loops)
        self._visit_all([*node.args, *node.kwargs], own, depth, loops)

    def _no_unpacking(self, node: nodes.Call | nodes.Filter | nodes.Test) -> None:
        if node.dyn_args or node.dyn_kwargs:
            raise TemplateProblem("`*` and `**` cannot be used in a call", node.lineno)

    def _name(self, node: nodes.Name, keys: Path, own: set[str]) -> None:
        if node.ctx != "load":
            self._bind(node, own)
            return
        if node.name in ("self", "super"):
            raise TemplateProblem(f"`{node.name}` cannot be used in a template", node.lineno)
        if node.name in own or node.name in GLOBALS:
            return
        text_keys: list[str] = []
        for key in keys:
            if not isinstance(key, str):
                break
            text_keys.append(key)
        self._found.append(Reference((node.name, *text_keys), node.lineno))

    def _single_name(self, node: nodes.Name, own: set[str], depth: int, loops: int) -> None:
        self._name(node, (), own)

    def _bind(self, target: nodes.Node, own: set[str]) -> None:
        if isinstance(target, nodes.NSRef):
            if target.name not in own:
                raise TemplateProblem(f"`{target.name}` is not a namespace of this template", target.lineno)
            return
        names = [target] if isinstance(target, nodes.Name) else list(target.find_all(nodes.Name))
        for name in names:
            if name.name in OUR_ROOTS or name.name in RESERVED_NAMES:
                raise TemplateProblem(f"`{name.name}` is taken: choose another name", name.lineno)
            own.add(name.name)

    def _for(self, node: nodes.For, own: set[str], depth: int, loops: int) -> None:
        self._visit(node.iter, own, depth, loops)
        inside = set(own)
        self._bind(node.target, inside)
        inside.add("loop")
        if node.test is not None:
            self._visit(node.test, inside, depth, loops)
        self._visit_all(node.body, inside, depth, loops + 1)
        self._visit_all(node.else_, set(own), depth, loops)

    def _assign(self, node: nodes.Assign, own: set[str], depth: int, loops: int) -> None:
        self._visit(node.node, own, depth, loops)
        self._bind(node.target, own)

    def _assign_block(self, node: nodes.AssignBlock, own: set[str], depth: int, loops: int) -> None:
        if node.filter is not None:
            self._visit(node.filter, own, depth, loops)
        self._visit_all(node.body, set(own), depth, loops)
        self._bind(node.target, own)

    def _with(self, node: nodes.With, own: set[str], depth: int, loops: int) -> None:
        self._visit_all(node.values, own, depth, loops)
        inside = set(own)
        for target in node.targets:
            self._bind(target, inside)
        self._visit_all(node.body, inside, depth, loops)

    def _macro(self, node: nodes.Macro, own: set[str], depth: int, loops: int) -> None:
        if node.name in OUR_ROOTS or node.name in RESERVED_NAMES:
            raise TemplateProblem(f"`{node.name}` is taken: choose another name", node.lineno)
        own.add(node.name)
        self._parameters(node, own, depth, loops)

    def _call_block(self, node: nodes.CallBlock, own: set[str], depth: int, loops: int) -> None:
        self._visit(node.call, own, depth, loops)
        self._parameters(node, own, depth, loops)

    def _parameters(self, node: Any, own: set[str], depth: int, loops: int) -> None:
        inside = own | {"caller", "varargs", "kwargs"}
        for argument in node.args:
            self._bind(argument, inside)
        self._visit_all(node.defaults, inside, depth, loops)
        self._visit_all(node.body, inside, depth, loops + 1)


_SPECIAL: dict[type[nodes.Node], Any] = {
    nodes.Name: Checker._single_name,
    nodes.Getattr: Checker._chain,
    nodes.Getitem: Checker._chain,
    nodes.For: Checker._for,
    nodes.Assign: Checker._assign,
    nodes.AssignBlock: Checker._assign_block,
    nodes.With: Checker._with,
    nodes.Macro: Checker._macro,
    nodes.CallBlock: Checker._call_block,
}

_ENVIRONMENT = OffsetEnvironment()

_FOREIGN_SIGNS = {
    "&": "write `and`",
    "!": "write `not`",
    "?": "write `a if condition else b`",
    "$": "a reference is written without `$`",
    "`": "put text in quotes",
}


def _syntax_problem(error: TemplateSyntaxError, source: str) -> TemplateProblem:
    message = error.message or "the template cannot be read"
    hint = ""
    unexpected = re.fullmatch(r"unexpected char '(.+)' at (\d+)", message)
    if unexpected:
        message, hint = f"unexpected `{unexpected[1]}`", _FOREIGN_SIGNS.get(unexpected[1], "")
    elif source.startswith("=", error.lineno):
        hint = "write `==`"
    elif "||" in source:
        hint = "write `or`"
    elif message.startswith(("unexpected end of template", "Unexpected end of template")) and "{{" in source:
        hint = "close it with `}}`, or write `{% raw %}…{% endraw %}` around text that is no template"
    return TemplateProblem(message[:1].lower() + message[1:], min(error.lineno, len(source)), hint)


def _placed(text: str, source: str, work: Any) -> Any:
    """What `work()` gives; a TemplateProblem's offset is moved from `source` to `text`."""
    try:
        return work()
    except TemplateProblem as problem:
        if text is not source:
            problem.offset = _original_offset(text, problem.offset)
        raise


def _in_original(text: str, references: tuple[Reference, ...]) -> tuple[Reference, ...]:
    if "\r\n" not in text:
        return references
    return tuple(Reference(path, _original_offset(text, offset)) for path, offset in references)


def _original_offset(text: str, offset: int) -> int:
    """The place in `text` of the character that is at `offset` once its `\\r\\n` are single `\\n`."""
    at = 0
    for _ in range(offset):
        at += 2 if text.startswith("\r\n", at) else 1
    return at
