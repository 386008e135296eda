"""Calls a Python function for a task: `file.py:function` or `package.module:function`, sync or async.

A sync function runs in a thread of its own, so it does not hold up the run; an async one runs on the
loop. A thread cannot be stopped: after a timeout or a cancellation it goes on until the function
returns, but nobody waits for it, not even the end of the process.

A file is imported once per run, by its path, under a name of its own; a module once per process, as
Python does it. The pipeline's folder stands last on the module path: the author's modules are found
there, and none of them can take the place of a module that llmflow itself is going to import.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from llmflow.environment import masked_secrets
from llmflow.errors import CallFailed, FailureKind
from llmflow.sanitise import clean_text, printable

SHOWN = 2_000
"""Characters of an exception's text that a failure shows."""


class Functions:
    """The functions of one run; `folder` is the pipeline's, where files are looked up and modules too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._loading = threading.Lock()
        self._modules: dict[str, ModuleType | str] = {}
        """By file or module; a text says why there is none, so that it is not tried for each item anew."""

    async def call(self, target: str, arguments: Mapping[str, Any]) -> Any:
        """`target(**arguments)`, awaited or in a thread; gives a value that JSON can hold.

        The function gets lists and dicts of its own: changing them changes nobody else's. Raises
        CallFailed(code) with the exception's type, its text and the author's line it came from, also
        for `sys.exit()` and for a result that JSON cannot hold.
        """
        given = {name: _own(value) for name, value in arguments.items()}
        function, error = await _in_thread(lambda: self._find(target))
        if error is not None:
            raise error
        if inspect.iscoroutinefunction(function):
            return _as_json(target, await self._awaited(target, lambda: function(**given)))
        value, error = await _in_thread(lambda: function(**given))
        if error is not None:
            raise self._failure(f"{target}: ", error) from error
        if inspect.isawaitable(value):
            value = await self._awaited(target, lambda: value)
        return _as_json(target, value)

    async def _awaited(self, target: str, begin: Callable[[], Any]) -> Any:
        try:
            return await begin()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled us: it is the function's own, out of something that it has cancelled.
            raise self._failure(f"{target}: ", error) from error
        except (Exception, SystemExit) as error:
            raise self._failure(f"{target}: ", error) from error

    def _find(self, target: str) -> Callable[..., Any]:
        """The function, imported first if need be. Raises CallFailed. Runs in a thread: an import may take its time."""
        where, _, name = target.rpartition(":")
        with self._loading:
            module = self._modules.get(where)
            if module is None:
                module = self._modules[where] = self._load(where)
        if isinstance(module, str):
            raise CallFailed(FailureKind.CODE, module)
        function = getattr(module, name, None)
        if not callable(function):
            raise CallFailed(FailureKind.CODE, f"{self._named(where, module)} has no function {name!r}")
        return function  # type: ignore[no-any-return]

    def _named(self, where: str, module: ModuleType) -> str:
        """`where`, and which file that is if one beside the pipeline was meant: Python's own modules win by name."""
        found = getattr(module, "__file__", None)
        beside = self._folder / f"{where}.py"
        if not beside.is_file() or found is None or Path(found).resolve() == beside.resolve():
            return where
        return f"{where} (the module in {found}, not {beside.name} beside the pipeline: write `{beside.name}:…`)"

    def _load(self, where: str) -> ModuleType | str:
        """The module, or why there is none."""
        if str(self._folder) not in sys.path:
            sys.path.append(str(self._folder))
        try:
            return self._load_file(where) if where.endswith(".py") else importlib.import_module(where)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's code may raise anything
            return self._failure(f"importing {where}: ", error).detail

    def _load_file(self, where: str) -> ModuleType:
        path = (self._folder / where).resolve()
        if not path.is_relative_to(self._folder):
            raise ImportError("it lies outside the pipeline's folder")
        if not path.is_file():  # anything else, such as a pipe, might be read for ever
            raise ImportError("there is no such file")
        name = f"_llmflow_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses and pickling look a module up by its name
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

    def _failure(self, lead: str, error: BaseException) -> CallFailed:
        """`lead` and `ValueError: text (file.py:12)`: the innermost line of the author's own code, not of a library."""
        try:
            text = str(error)
        except Exception as broken:  # noqa: BLE001 - as above
            text = f"(its text cannot be shown: {type(broken).__name__})"
        text = masked_secrets(printable(text[: 8 * SHOWN]), os.environ).strip()[:SHOWN]
        place = self._place(error)
        shown = f"{type(error).__name__}{': ' + text if text else ''}"
        return CallFailed(FailureKind.CODE, f"{lead}{shown}{f' ({place})' if place else ''}")

    def _place(self, error: BaseException) -> str:
        """`file.py:12`, below the pipeline's folder if the way led through it, else the innermost there is."""
        own = innermost = ""
        for frame, line in traceback.walk_tb(error.__traceback__):
            name = frame.f_code.co_filename
            if name == __file__ or name.startswith("<frozen"):
                continue
            path = Path(name)
            innermost = f"{path.name}:{line}"
            if path.is_relative_to(self._folder) and "site-packages" not in path.parts:
                own = f"{path.relative_to(self._folder)}:{line}"
        return own or innermost


async def _in_thread(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What `work()` gave and None, or None and what it raised, `SystemExit` and `StopIteration` included.

    In a thread of its own and not one of a pool's: a function that never returns would take one
    away for good, and the end of the program would wait for it.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not done.done():
            done.set_result(outcome)

    def run() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(work), None
        except BaseException as error:  # noqa: BLE001 - handed on as it is, to be judged by whoever waits
            outcome = None, error
        try:
            loop.call_soon_threadsafe(settle, outcome)
        except RuntimeError:
            pass  # the loop is closed: the run has ended, and nobody waits any more

    threading.Thread(target=run, name="llmflow function", daemon=True).start()
    return await done


def _own(value: Any) -> Any:
    """A copy that the function may change, of plain dicts and lists whatever the value was made of."""
    if isinstance(value, Mapping):
        return {key: _own(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_own(part) for part in value]
    return value


def _as_json(target: str, value: Any) -> Any:
    """`value` as it comes back from JSON. Raises CallFailed(code)."""
    try:
        return json.loads(clean_text(json.dumps(value, ensure_ascii=False, allow_nan=False)))
    except (Exception, SystemExit) as error:  # a class of the author's own may raise anything
        raise CallFailed(
            FailureKind.CODE, f"{target} returned what JSON cannot hold: {printable(str(error))[:SHOWN]}"
        ) from error
