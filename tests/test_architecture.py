"""Who may know whom: reads the imports of every module and checks them against the plan of the house."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parent.parent / "llmflow"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

LEVELS = (
    ("entry",),
    ("cli",),
    ("commands",),
    ("binding",),
    ("language", "runtime", "providers", "history", "views", "reports"),
    ("scheduling",),
    ("redaction",),
    ("environment", "quantities", "sanitise", "standard_streams"),
    ("protocol",),
    ("errors",),
)
"""From the outside in: a room imports rooms of lower lines, never one of its own line."""

LEVEL = {room: depth for depth, rooms in enumerate(LEVELS) for room in rooms}

SLOW = {"openai", "anthropic", "rich", "jinja2", "jsonschema", "aiohttp", "yaml"}

JINJA = "loaded when a template has more than plain names in it, or to say what is wrong with one"
SDK = "loaded by the registry when a run has a provider of this kind"
YAML = "reads a pipeline file; only commands that are given one load it"
LAZY = {
    "llmflow.language.filters": JINJA,
    "llmflow.language.rewriting": JINJA,
    "llmflow.language.sandbox": JINJA,
    "llmflow.language.syntax": JINJA,
    "llmflow.language.yaml_reader": YAML,
    "llmflow.language.yaml_syntax": YAML,
    "llmflow.providers.anthropic": SDK,
    "llmflow.providers.connection": "imported by the providers above alone",
    "llmflow.providers.failures": "imported by the providers above alone",
    "llmflow.providers.openai": SDK,
}
"""Modules that import something slow at their top, and why that costs nobody who does not need it."""

PURE = {
    "__future__",
    "array",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "random",
    "statistics",
    "typing",
    "zlib",
}
"""What `scheduling` may import beside the house: no clock, no file, no socket, no thread, no loop."""


class Import(NamedTuple):
    """`names`: the module asked for, and what is taken from it. `top`: runs when the importer is loaded."""

    importer: str
    names: tuple[str, ...]
    top: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.names[0]}"


def imports_of(name: str) -> Iterator[Import]:
    """All imports but those for the type checker alone."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, top = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, (alias.name,), top, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                origin = ".".join([*above, origin] if origin else above)
            yield Import(name, (origin, *(f"{origin}.{alias.name}" for alias in node.names)), top, node.lineno)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += [(child, top) for child in node.orelse]
        else:
            inside = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            pending += [(child, inside) for child in ast.iter_child_nodes(node)]


IMPORTS = [found for name in MODULES for found in imports_of(name)]


def target(found: Import) -> str:
    """The module of the house that is imported, or the outermost name of a foreign one."""
    inside = [name for name in found.names if name in MODULES]
    return max(inside, key=len) if inside else found.names[0].partition(".")[0]


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_every_room_has_its_place_in_the_house() -> None:
    rooms = {room(module) for module in MODULES} - {"", "__main__"}
    assert rooms - set(LEVEL) == set()


def test_imports_point_one_way_and_rooms_on_one_level_do_not_know_each_other() -> None:
    wrong = []
    for found in IMPORTS:
        importer, imported = room(found.importer), room(target(found))
        if importer not in LEVEL or imported not in LEVEL or importer == imported:
            continue
        if LEVEL[imported] <= LEVEL[importer]:
            wrong.append(f"{found}: {importer} must not know {imported}")
    assert wrong == []


def test_nobody_imports_the_doors_of_the_house() -> None:
    """`llmflow/__init__.py` and `__main__.py` are for those outside; `__version__` alone may be read."""
    allowed = {"llmflow.__version__"}
    wrong = [
        str(found)
        for found in IMPORTS
        if target(found) in ("llmflow", "llmflow.__main__") and not allowed >= set(found.names[1:])
    ]
    assert wrong == []


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports inside functions count as well, but for those that are put off because they are slow."""
    edges: dict[str, set[str]] = {name: set() for name in MODULES}
    for found in IMPORTS:
        imported = target(found)
        if imported in MODULES and imported != "llmflow" and (found.top or not loaded_with(imported) & set(LAZY)):
            edges[found.importer].add(imported)
    assert len(list(TopologicalSorter(edges).static_order())) == len(edges)  # a circle raises CycleError


def test_scheduling_is_pure() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if room(found.importer) == "scheduling" and room(target(found)) == "" and target(found) not in PURE
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("importer", "forbidden"),
    [
        ("views", "llmflow.providers"),
        ("reports", "llmflow.providers"),
        ("providers", "llmflow.language"),
        ("providers", "llmflow.scheduling"),
        ("history", "llmflow.scheduling.scheduler"),
        ("runtime", "llmflow.protocol"),
        ("scheduling", "llmflow.protocol"),
    ],
)
def test_what_a_room_must_never_see(importer: str, forbidden: str) -> None:
    seen = [str(found) for found in IMPORTS if room(found.importer) == importer and target(found).startswith(forbidden)]
    assert seen == []


def loaded_with(module: str) -> set[str]:
    """The modules of the house that are loaded when `module` is."""
    loaded: set[str] = set()
    pending = [module]
    while pending:
        name = pending.pop()
        if name not in loaded:
            loaded.add(name)
            pending += TOP_LEVEL[name]
    return loaded


TOP_LEVEL = {
    name: [target(found) for found in IMPORTS if found.importer == name and found.top and target(found) in MODULES]
    for name in MODULES
}


def test_every_module_that_imports_something_slow_has_its_reason() -> None:
    slow = {found.importer for found in IMPORTS if found.top and target(found) in SLOW}
    assert slow == set(LAZY)


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") < 2 and name != "llmflow.__main__"])
def test_help_loads_nothing_slow(module: str) -> None:
    assert loaded_with(module) & set(LAZY) == set()


@pytest.mark.parametrize("module", [name for name in MODULES if room(name) == "commands"])
def test_a_command_loads_at_most_the_reader_of_pipeline_files(module: str) -> None:
    assert {LAZY[name] for name in loaded_with(module) & set(LAZY)} <= {YAML}


def test_every_module_opens_with_what_it_knows() -> None:
    silent = [
        name
        for name, path in MODULES.items()
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_module_is_named_for_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
    assert [name for name in MODULES if name.rpartition(".")[2] in nothing] == []


def test_no_module_has_grown_far_beyond_500_lines() -> None:
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > 560} == {}
