"""Python functions that tasks call: where they run, what they are given, and what their failures say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmflow.errors import CallFailed, FailureKind
from llmflow.runtime.actions.function import SHOWN, Functions


@pytest.fixture(autouse=True)
def own_module_path():
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(folder: Path, name: str, code: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(textwrap.dedent(code), encoding="utf-8")


def call(folder: Path, target: str, **arguments: Any) -> Any:
    return asyncio.run(Functions(folder).call(target, arguments))


def failure(folder: Path, target: str, **arguments: Any) -> str:
    with pytest.raises(CallFailed) as caught:
        call(folder, target, **arguments)
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.CODE, False)
    return caught.value.detail


# ---- calls ----------------------------------------------------------------------------------------


def test_a_sync_function_runs_in_a_thread_and_the_loop_goes_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        "f.py",
        """
        import threading
        def wait(event):
            assert event[0].wait(10)
            return threading.current_thread() is threading.main_thread()
        """,
    )

    async def scene() -> set[bool]:
        functions, event = Functions(tmp_path), threading.Event()
        calls = [asyncio.ensure_future(functions.call("f.py:wait", {"event": [event]})) for _ in range(40)]
        await asyncio.sleep(0.05)
        event.set()
        return set(await asyncio.gather(*calls))

    assert asyncio.run(scene()) == {False}


def test_an_async_function_runs_on_the_loop(tmp_path: Path) -> None:
    write(
        tmp_path,
        "f.py",
        """
        import asyncio, threading
        async def add(a, b):
            await asyncio.sleep(0)
            return {"sum": a + b, "here": threading.current_thread() is threading.main_thread()}
        class Adder:
            async def __call__(self, a, b):
                return a + b
        adder = Adder()
        """,
    )
    assert call(tmp_path, "f.py:add", a=1, b=2) == {"sum": 3, "here": True}
    assert call(tmp_path, "f.py:adder", a=1, b=2) == 3


def test_modules_and_packages_of_the_folder_are_found_and_files_find_their_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "pack_of_mine/__init__.py", "")
    write(tmp_path, "pack_of_mine/mod.py", "from pack_of_mine import other\ndef f(x): return other.double(x)\n")
    write(tmp_path, "pack_of_mine/other.py", "def double(x): return 2 * x\n")
    write(tmp_path, "f.py", "import pack_of_mine.other as other\ndef g(x): return other.double(x)\n")
    assert call(tmp_path, "pack_of_mine.mod:f", x=4) == 8
    assert call(tmp_path, "f.py:g", x=5) == 10
    assert call(tmp_path, "textwrap:dedent", text="  a") == "a"


def test_a_module_of_the_authors_never_stands_before_one_that_llmflow_imports(tmp_path: Path) -> None:
    write(tmp_path, "textwrap.py", "def dedent(text): return 'hijacked'\n")
    write(tmp_path, "f.py", "def f(): return 1\n")
    before = list(sys.path)
    assert call(tmp_path, "f.py:f") == 1
    assert sys.path == [*before, str(tmp_path)]
    assert call(tmp_path, "textwrap:dedent", text="  a") == "a"


def test_a_file_is_imported_once_per_run_however_many_call_it_at_once(tmp_path: Path) -> None:
    write(
        tmp_path,
        "f.py",
        """
        import pathlib, time
        with open(pathlib.Path(__file__).with_name("imports"), "a") as log:
            log.write("x")
        time.sleep(0.05)
        count = 0
        def f():
            global count
            count += 1
            return count
        """,
    )

    async def scene() -> list[int]:
        functions = Functions(tmp_path)
        return await asyncio.gather(*(functions.call("f.py:f", {}) for _ in range(20)))

    assert sorted(asyncio.run(scene())) == list(range(1, 21))
    assert (tmp_path / "imports").read_text() == "x"
    assert call(tmp_path, "f.py:f") == 1
    assert (tmp_path / "imports").read_text() == "xx"


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path, f"{folder}/f.py", f"def f(): return '{folder}'\n")
    assert [call(tmp_path, f"{folder}/f.py:f") for folder in ("a", "b")] == ["a", "b"]


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    write(
        tmp_path,
        "f.py",
        """
        from __future__ import annotations
        from dataclasses import asdict, dataclass
        @dataclass
        class Point:
            x: int
        def f(x): return asdict(Point(x))
        """,
    )
    assert call(tmp_path, "f.py:f", x=1) == {"x": 1}


class View(Mapping[str, Any]):
    def __init__(self, **data: Any) -> None:
        self.data = data

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __iter__(self):
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class Row(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        return (1, View(a=2))[index]

    def __len__(self) -> int:
        return 2


def test_a_function_gets_plain_data_of_its_own(tmp_path: Path) -> None:
    write(
        tmp_path, "f.py", "def f(x):\n    x['a'].append(type(x['b'][1]).__name__)\n    return [type(x['b']), x].pop()\n"
    )
    shared = {"a": [1], "b": Row()}
    assert call(tmp_path, "f.py:f", x=shared) == {"a": [1, "dict"], "b": [1, {"a": 2}]}
    assert shared["a"] == [1]


# ---- failures -------------------------------------------------------------------------------------

BAD = """
import asyncio, json, os

def deep(text):
    return json.loads(text)          # line 5

def raises():
    raise KeyError("a")              # line 8

async def later():
    await asyncio.sleep(0)
    raise ValueError("two\\nlines")   # line 12

def leaves(code=3):
    raise SystemExit(code)           # line 15

async def leaves_later():
    raise SystemExit                 # line 18

def stops():
    raise StopIteration              # line 21

async def stops_later():
    raise StopIteration              # line 24

async def cancels():
    raise asyncio.CancelledError     # line 27

def interrupts():
    raise KeyboardInterrupt          # line 30

class Rude(Exception):
    def __str__(self):
        raise RuntimeError

def rude():
    raise Rude                       # line 37

def hostile():
    raise ValueError("\\x1b[2J" + os.environ["MY_TOKEN"] + "y" * 9999)   # line 40

def two(a, b=0):
    return a

not_a_function = 3
"""

FAILURES = [
    (
        "deep",
        {"text": "{"},
        "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) (f.py:5)",
    ),
    ("raises", {}, "KeyError: 'a' (f.py:8)"),
    ("later", {}, "ValueError: two\nlines (f.py:12)"),
    ("leaves", {}, "SystemExit: 3 (f.py:15)"),
    ("leaves_later", {}, "SystemExit (f.py:18)"),
    ("stops", {}, "StopIteration (f.py:21)"),
    ("stops_later", {}, "RuntimeError: coroutine raised StopIteration"),
    ("cancels", {}, "CancelledError (f.py:27)"),
    ("interrupts", {}, "KeyboardInterrupt (f.py:30)"),
    ("rude", {}, "Rude: (its text cannot be shown: RuntimeError) (f.py:37)"),
    ("two", {}, "TypeError: two() missing 1 required positional argument: 'a'"),
    ("two", {"a": 1, "c": 2}, "TypeError: two() got an unexpected keyword argument 'c'"),
]


@pytest.mark.parametrize(("name", "arguments", "told"), FAILURES)
def test_an_exception_is_told_with_the_authors_line(
    tmp_path: Path, name: str, arguments: dict[str, Any], told: str
) -> None:
    write(tmp_path, "f.py", BAD)
    assert failure(tmp_path, f"f.py:{name}", **arguments) == f"f.py:{name}: {told}"


def test_a_hostile_text_is_shown_without_escape_sequences_without_secrets_and_not_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-123")
    write(tmp_path, "f.py", BAD)
    told = failure(tmp_path, "f.py:hostile")
    lead = "f.py:hostile: ValueError: "
    assert told == lead + ("[MY_TOKEN]" + "y" * 9999)[:SHOWN] + " (f.py:40)"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{1, 2}", "Object of type set is not JSON serializable"),
        ("object", "Object of type type is not JSON serializable"),
        ("float('nan')", "Out of range float values are not JSON compliant"),
        ("(x for x in ())", "Object of type generator is not JSON serializable"),
        ("loop()", "Circular reference detected"),
        ("{(1,): 2}", "keys must be str, int, float, bool or None, not tuple"),
        ("deep()", "maximum recursion depth exceeded"),
    ],
)
def test_a_result_that_json_cannot_hold_is_a_failure(tmp_path: Path, value: str, reason: str) -> None:
    write(
        tmp_path,
        "f.py",
        f"""
        def loop():
            a = []
            a.append(a)
            return a
        def deep():
            a = []
            for _ in range(100_000):
                a = [a]
            return a
        def f(): return {value}
        """,
    )
    assert failure(tmp_path, "f.py:f").startswith(f"f.py:f returned what JSON cannot hold: {reason}")


def test_a_result_comes_back_as_json_would_bring_it(tmp_path: Path) -> None:
    write(tmp_path, "f.py", "def f(): return (1, {2: None}, 'a\\ud800', True, 1.5)\n")
    assert call(tmp_path, "f.py:f") == [1, {"2": None}, "a\ufffd", True, 1.5]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all' (f.py:1)"),
        ("x = 1\n1 / 0\n", "ZeroDivisionError: division by zero (f.py:2)"),
        ("def f(:\n", "SyntaxError: invalid syntax (f.py, line 1)"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye (f.py:2)"),
        ("x = '\0'\n", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(tmp_path: Path, code: str, told: str) -> None:
    write(tmp_path, "f.py", code)
    assert failure(tmp_path, "f.py:f") == f"importing f.py: {told}"
    assert [name for name in sys.modules if name.startswith("_llmflow_f_")] == []


def test_an_import_that_failed_is_not_tried_for_each_item_anew(tmp_path: Path) -> None:
    write(tmp_path, "f.py", "with open(__file__ + '.log', 'a') as log:\n    log.write('x')\n1 / 0\n")

    async def scene() -> set[str]:
        functions = Functions(tmp_path)
        ends = await asyncio.gather(*(functions.call("f.py:f", {}) for _ in range(9)), return_exceptions=True)
        return set(map(str, ends))

    assert asyncio.run(scene()) == {"code: importing f.py: ZeroDivisionError: division by zero (f.py:3)"}
    assert (tmp_path / "f.py.log").read_text() == "x"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    write(tmp_path, "f.py", BAD)
    assert failure(tmp_path, "f.py:nothing") == "f.py has no function 'nothing'"
    assert failure(tmp_path, "f.py:not_a_function") == "f.py has no function 'not_a_function'"
    assert failure(tmp_path, "gone.py:f") == "importing gone.py: ImportError: there is no such file"
    assert failure(tmp_path, "no_such_module_x:f").startswith(
        "importing no_such_module_x: ModuleNotFoundError: No module named 'no_such_module_x'"
    )
    assert failure(tmp_path, "f").startswith("importing : ValueError: Empty module name")


def test_a_module_of_python_that_hides_a_file_of_the_author_is_told(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def total(): return 1\n", encoding="utf-8")
    found = failure(tmp_path, "code:total")
    assert found.startswith("code (the module in ")
    assert found.endswith("code.py, not code.py beside the pipeline: write `code.py:…`) has no function 'total'")


def test_a_file_outside_the_folder_or_one_that_is_no_file_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "outside.py", "def f(): return 1\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    os.mkfifo(inside / "pipe.py")
    (inside / "link.py").symlink_to(tmp_path / "outside.py")
    for name in ("../outside.py", str(tmp_path / "outside.py"), "link.py"):
        assert failure(inside, f"{name}:f") == f"importing {name}: ImportError: it lies outside the pipeline's folder"
    assert failure(inside, "pipe.py:f") == "importing pipe.py: ImportError: there is no such file"


# ---- cancellations --------------------------------------------------------------------------------


def test_a_cancellation_reaches_an_async_function_and_leaves_a_sync_one_behind(tmp_path: Path) -> None:
    write(
        tmp_path,
        "f.py",
        """
        import asyncio
        async def later(here, ended, go):
            here[0].set()
            try:
                await asyncio.sleep(600)
            finally:
                ended[0].set()
        def now(here, ended, go):
            here[0].set()
            go[0].wait(10)
            ended[0].set()
            return "late"
        """,
    )

    async def scene(name: str) -> bool:
        events = {name: [threading.Event()] for name in ("here", "ended", "go")}
        task = asyncio.ensure_future(Functions(tmp_path).call(f"f.py:{name}", events))
        assert await asyncio.to_thread(events["here"][0].wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended = events["ended"][0].is_set()
        events["go"][0].set()
        assert await asyncio.to_thread(events["ended"][0].wait, 10)
        return ended

    assert [asyncio.run(scene(name)) for name in ("later", "now")] == [True, False]


def test_a_function_that_never_returns_holds_up_neither_others_nor_the_end_of_the_program(tmp_path: Path) -> None:
    write(tmp_path, "f.py", "import time\ndef stuck(): time.sleep(600)\ndef quick(): return 'quick'\n")
    code = f"""
import asyncio
from pathlib import Path
from llmflow.runtime.actions.function import Functions

async def scene():
    functions = Functions(Path({str(tmp_path)!r}))
    for _ in range(50):
        try:
            await asyncio.wait_for(functions.call("f.py:stuck", {{}}), 0.01)
        except TimeoutError:
            pass
    print(await functions.call("f.py:quick", {{}}))

asyncio.run(scene())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "quick\n", "")
