"""What functions a Python file defines, read from its text: nothing of it is imported or run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llmflow.language.pipeline_files import FileProblem, read_text_below


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function can be given by name. `takes_any`: also other names (`**`)."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    takes_any: bool


class PythonFiles:
    """The files of one pipeline, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Mapping[str, Parameters | None] | FileProblem | None] = {}

    def functions(self, path: str) -> Mapping[str, Parameters | None] | None:
        """Name → parameters of what is called so at the top of the file; None where it cannot be told.

        The parameters of what is no plain function are None. Raises FileProblem.
        """
        if path not in self._known:
            try:
                self._known[path] = self._read(path)
            except FileProblem as problem:
                self._known[path] = problem
        known = self._known[path]
        if isinstance(known, FileProblem):
            raise known
        return known

    def _read(self, path: str) -> Mapping[str, Parameters | None] | None:
        text = read_text_below(self._folder, path)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            raise FileProblem(f"`{path}` is not Python{line}: {message}") from error
        found: dict[str, Parameters | None] = {}
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                found[statement.name] = None if statement.decorator_list else _parameters(statement.args)
            elif isinstance(statement, ast.ClassDef):
                found[statement.name] = None
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                if any(alias.name == "*" for alias in statement.names):
                    return None
                found.update(dict.fromkeys((a.asname or a.name for a in statement.names), None))
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                found.update(dict.fromkeys((t.id for t in targets if isinstance(t, ast.Name)), None))
            elif not isinstance(statement, ast.Expr) and not _is_main(statement):
                return None  # names may be made in `if`, `try`, `for`, …: only running it would tell
        return found


def _is_main(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, which is not run when the file is imported."""
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


def _parameters(arguments: ast.arguments) -> Parameters | None:
    if arguments.posonlyargs:
        return None
    by_place = [argument.arg for argument in arguments.args]
    needed = by_place[: len(by_place) - len(arguments.defaults)]
    by_name = [argument.arg for argument in arguments.kwonlyargs]
    needed += [n for n, default in zip(by_name, arguments.kw_defaults, strict=True) if default is None]
    return Parameters((*by_place, *by_name), tuple(needed), arguments.kwarg is not None)
