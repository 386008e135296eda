"""Calls a Python function for a task: `file.py:function` or `package.module:function`, sync or async.

A sync function runs in a thread, so it does not hold up the run; an async one runs on the loop.
A function's file is imported once per run, by its path, under a name of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from llmflow.errors import CallFailed, FailureKind


class Functions:
    """The functions of one run; `folder` is the pipeline's, where files are looked up and modules too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}

    async def call(self, target: str, arguments: Mapping[str, Any]) -> Any:
        """`target(**arguments)`, awaited or in a thread; gives a value that JSON can hold.

        Raises CallFailed(code) with the exception's type, text and the line it came from. A sync
        function cannot be stopped: after a cancellation its thread ends when it returns.
        """
        function = self._find(target)
        try:
            if inspect.iscoroutinefunction(function):
                value = await function(**arguments)
            else:
                value = await asyncio.to_thread(function, **arguments)
                if inspect.isawaitable(value):
                    value = await value
        except Exception as error:
            raise CallFailed(FailureKind.CODE, f"{target}: {_told(error)}") from error
        try:
            return json.loads(json.dumps(value))
        except (TypeError, ValueError) as error:
            raise CallFailed(FailureKind.CODE, f"{target} returned what JSON cannot hold: {error}") from error

    def _find(self, target: str) -> Callable[..., Any]:
        where, _, name = target.rpartition(":")
        module = self._modules.get(where)
        if module is None:
            module = self._modules[where] = self._load(where)
        function = getattr(module, name, None)
        if not callable(function):
            raise CallFailed(FailureKind.CODE, f"{where} has no function {name!r}")
        return function  # type: ignore[no-any-return]

    def _load(self, where: str) -> ModuleType:
        try:
            if not where.endswith(".py"):
                if str(self._folder) not in sys.path:
                    sys.path.insert(0, str(self._folder))
                return importlib.import_module(where)
            path = (self._folder / where).resolve()
            name = f"_llmflow_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise CallFailed(FailureKind.CODE, f"{where} cannot be imported")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # dataclasses and pickling look a module up by its name
            spec.loader.exec_module(module)
        except CallFailed:
            raise
        except Exception as error:
            raise CallFailed(FailureKind.CODE, f"importing {where}: {_told(error)}") from error
        return module


def _told(error: BaseException) -> str:
    """`ValueError: text (file.py:12)`: the innermost line of the author's own code."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename != __file__ and not code.co_filename.startswith("<frozen"):
            place = f" ({Path(code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"
