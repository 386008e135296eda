"""Rewrites a parsed template so that nothing in it happens uncounted and nothing is reached unseen.

Every loop's items and every turn, macro and block charge the budget; chains like `a.b.c` become one
lookup of ours; `~`, comparisons and slices weigh their operands; what is put into text is shown in
our way. The filters that do so (`sandbox.py` has them) have names that no template can write.
"""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from llmflow.language.syntax import static_path
from llmflow.language.values import Path

AS_TEXT = "as text"
GLUE = "glue parts"
ITEMS = "count items"
LOOK_UP = "look up"
NO_ELSE = "no else"
SCAN = "scan it"
SPEND = "spend steps"
WEIGH = "weigh it"


def counted(node: Any, name: str, *arguments: Any) -> nodes.Filter:
    """`node` seen through one of our own filters, with constant arguments."""
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in arguments]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno)


class Rewriter(NodeTransformer):
    """Turns a parsed tree into one that counts its work and looks things up in our way."""

    def visit_Getattr(self, node: nodes.Getattr) -> Any:
        return self._chain(node)

    def visit_Getitem(self, node: nodes.Getitem) -> Any:
        return self._chain(node)

    def _chain(self, node: Any) -> Any:
        root, keys = static_path(node)
        if not keys:
            node.node = self.visit(node.node)
            if isinstance(node.arg, nodes.Slice):
                node.node = counted(node.node, SCAN)
            node.arg = self.visit(node.arg)
            return nodes.Getitem(node.node, node.arg, "load", lineno=node.lineno)
        name = root.name if isinstance(root, nodes.Name) else "the value"
        return counted(self.visit(root), LOOK_UP, (name, *keys))

    def visit_Output(self, node: nodes.Output) -> Any:
        node.nodes = [child if isinstance(child, nodes.TemplateData) else self._text(child) for child in node.nodes]
        return node

    def _text(self, node: nodes.Node) -> nodes.Expr:
        paths = reference_paths(node)
        exact = isinstance(static_path(node)[0], nodes.Name)
        return counted(self.visit(node), AS_TEXT, exact, paths)

    def visit_Concat(self, node: nodes.Concat) -> Any:
        parts = nodes.List([self._text(part) for part in node.nodes], lineno=node.lineno)
        return counted(parts, GLUE)

    def visit_Operand(self, node: nodes.Operand) -> Any:
        node.expr = counted(self.visit(node.expr), WEIGH)
        return node

    def visit_Compare(self, node: nodes.Compare) -> Any:
        node.expr = counted(self.visit(node.expr), WEIGH)
        node.ops = [self.visit(operand) for operand in node.ops]
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> Any:
        self.generic_visit(node)
        if node.expr2 is None:
            node.expr2 = counted(nodes.Const(None, lineno=node.lineno), NO_ELSE)
        return node

    def visit_For(self, node: nodes.For) -> Any:
        self.generic_visit(node)
        node.iter = counted(node.iter, ITEMS)
        return self._counting(node)

    def visit_Macro(self, node: nodes.Macro) -> Any:
        self.generic_visit(node)
        return self._counting(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> Any:
        call = self.visit(node.call)
        self.generic_visit(node)
        node.call = call
        return self._counting(node)

    def _counting(self, node: Any) -> Any:
        literal = sum(len(data.data) for part in node.body for data in _inside(part, nodes.TemplateData))
        steps = counted(nodes.Const(None, lineno=node.lineno), SPEND, 1 + (literal >> 8))
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
