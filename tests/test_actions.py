"""Programs that tasks run: what reaches them, what comes back, and that nothing of them is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from llmflow.errors import CallFailed, FailureKind
from llmflow.runtime.actions import command as command_module
from llmflow.runtime.actions.command import INHERITED, MAX_OUTPUT, SHOWN, inherited_environment, run_command

HOSTILE = [
    "; touch pwned",
    "$(touch pwned)",
    "`touch pwned`",
    "a\ntouch pwned\n",
    "| touch pwned",
    "&& touch pwned",
    "' ; touch pwned ; '",
    '" ; touch pwned ; "',
    "> pwned",
    "--output=pwned",
    "-rf",
    "$HOME ${IFS}~ *",
    "\\",
    "é\u202e\U0001f600",
    "",
]
"""What a model may answer. None of it may ever be more than text to the program that is handed it."""

ENVIRONMENT = {"PATH": os.defpath}


def run(
    command: Sequence[str] | str,
    folder: Path,
    *,
    environment: Mapping[str, str] = ENVIRONMENT,
    **more: Any,
) -> str:
    return asyncio.run(run_command(command, folder=folder, environment=environment, **more))


def failure(command: Sequence[str] | str, folder: Path, **more: Any) -> tuple[FailureKind, str, bool]:
    with pytest.raises(CallFailed) as caught:
        run(command, folder, **more)
    return caught.value.kind, caught.value.detail, caught.value.retryable


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-c", code, *args]


def open_files() -> list[str]:
    gc.collect()
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue  # the listing's own
    return sorted(found)


def children() -> list[str]:
    """The processes whose parent is this one, dead ones that nobody has looked after included."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        if stat.rpartition(")")[2].split()[1:2] == [str(os.getpid())]:
            found.append(stat)
    return found


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_dead(pids: Sequence[int]) -> list[int]:
    """Those of `pids` that do not end within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(is_alive, pids)):
        time.sleep(0.01)
    return [pid for pid in pids if is_alive(pid)]


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before_files, before_children = open_files(), children()
    yield
    assert open_files() == before_files
    assert len(children()) == len(before_children)


# ---- values are text ------------------------------------------------------------------------------


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_reaches_a_program_letter_by_letter_by_every_way(tmp_path: Path, value: str) -> None:
    code = "import os, sys; print([sys.argv[1], os.environ['VALUE'], sys.stdin.read()], end='')"
    got = run(
        python(code, value),
        tmp_path,
        environment={**ENVIRONMENT, "VALUE": value, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"},
        stdin=value,
    )
    assert got == repr([value] * 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_the_shell_of_an_author_gets_values_as_text_too(tmp_path: Path, value: str) -> None:
    line = 'printf "%s" "$VALUE"; cat'
    got = run(line, tmp_path, environment={**ENVIRONMENT, "VALUE": value}, stdin=value, shell=True)
    assert got == value + value
    assert run(["/bin/sh", "-c", 'printf "%s" "$1"', "sh", value], tmp_path) == value
    assert list(tmp_path.iterdir()) == []


def test_without_being_asked_for_there_is_no_shell(tmp_path: Path) -> None:
    assert run("echo $HOME; touch pwned", tmp_path) == "$HOME; touch pwned\n"
    assert run(["echo", "$(touch pwned)", "*", "> pwned"], tmp_path) == "$(touch pwned) * > pwned\n"
    assert list(tmp_path.iterdir()) == []


def test_a_value_with_a_leading_dash_is_no_option_behind_two_dashes(tmp_path: Path) -> None:
    assert run(["grep", "-c", "--", "-rf"], tmp_path, stdin="rm -rf x\nnothing\n") == "1\n"


def test_one_line_is_split_as_by_the_shell_and_quotes_are_kept_together(tmp_path: Path) -> None:
    assert run("printf '%s|' 'a b' c\\ d", tmp_path) == "a b|c d|"
    assert failure("echo 'open", tmp_path) == (
        FailureKind.CODE,
        "the command cannot be split into words: No closing quotation",
        False,
    )
    for empty in ("", [], [""]):
        assert failure(empty, tmp_path) == (FailureKind.CODE, "the command is empty", False)


def test_what_no_program_can_be_given_is_a_failure_and_lone_surrogates_are_replaced(tmp_path: Path) -> None:
    for more in ({"command": ["echo", "a\0b"]}, {"command": "true", "environment": {**ENVIRONMENT, "A": "\0"}}):
        kind, detail, retryable = failure(folder=tmp_path, **more)
        assert (kind, retryable) == (FailureKind.CODE, False)
        assert detail.endswith(": cannot be started: embedded null byte")
    assert failure("true", tmp_path, environment={**ENVIRONMENT, "A=B": "c"})[1] == (
        "true: cannot be started: illegal environment variable name"
    )
    assert run(["printf", "%s", "a\ud800"], tmp_path) == "a\ufffd"
    assert run("cat", tmp_path, stdin="a\ud800\0") == "a\ufffd\0"
    assert failure(["echo", "x" * 3_000_000], tmp_path)[1] == "echo: cannot be started: Argument list too long"


# ---- how it ends ----------------------------------------------------------------------------------


def test_an_exit_code_fails_with_the_end_of_standard_error(tmp_path: Path) -> None:
    assert failure("echo out; echo 'no such table' >&2; exit 3", tmp_path, shell=True) == (
        FailureKind.CODE,
        "/bin/sh exited with 3: no such table",
        False,
    )
    assert failure("false", tmp_path) == (FailureKind.CODE, "false exited with 1", False)
    assert failure("kill -SEGV $$", tmp_path, shell=True)[1] == "/bin/sh was ended by SIGSEGV"
    assert failure("kill -35 $$", tmp_path, shell=True)[1] == "/bin/sh was ended by signal 35"


def test_of_a_long_standard_error_the_end_is_shown_and_the_rest_not_held(tmp_path: Path) -> None:
    code = "import sys; [sys.stderr.write('x' * 9_999 + '\\n') for _ in range(3_000)]; sys.exit('the last word')"
    detail = failure(python(code), tmp_path)[1]
    told = detail.removeprefix(f"{sys.executable} exited with 1: ")
    assert len(told) == SHOWN
    assert told.endswith("xxx\nthe last word")


def test_standard_error_is_shown_without_control_over_the_terminal_and_without_secrets(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "MY_TOKEN": "canary-12345", "OTHER": "fine"}
    line = "printf '\\033]0;title\\007\\033[2Jkey %s is bad, %s' \"$MY_TOKEN\" $OTHER >&2; exit 1"
    assert failure(line, tmp_path, environment=environment, shell=True)[1] == (
        "/bin/sh exited with 1: key [MY_TOKEN] is bad, fine"
    )


def test_a_missing_program_a_missing_folder_and_one_that_may_not_be_run_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    assert failure(["no-such-program", "x"], tmp_path) == (
        FailureKind.CODE,
        "no-such-program: cannot be started: No such file or directory",
        False,
    )
    assert failure("./plain", tmp_path)[1] == "./plain: cannot be started: Permission denied"
    gone = tmp_path / "gone"
    assert failure("true", gone)[1] == f"true: cannot be started: its folder {gone}: No such file or directory"


def test_a_program_is_looked_up_along_the_path_it_is_given(tmp_path: Path) -> None:
    program = tmp_path / "greet"
    program.write_text("#!/bin/sh\necho hello from $PWD\n")
    program.chmod(0o755)
    (tmp_path / "deep").mkdir()
    environment = {"PATH": f"{tmp_path}:{os.defpath}"}
    assert run("greet", tmp_path / "deep", environment=environment) == f"hello from {tmp_path}/deep\n"
    assert failure("greet", tmp_path / "deep")[1] == "greet: cannot be started: No such file or directory"


def test_output_that_is_no_text_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    assert run("printf 'a\\377b\\000c'", tmp_path, shell=True) == "a\ufffdb\0c"


def test_output_up_to_the_limit_comes_whole_and_beyond_it_the_program_is_ended(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('x' * int(sys.argv[1]))"
    assert len(run(python(code, str(MAX_OUTPUT)), tmp_path)) == MAX_OUTPUT
    assert failure(python(code, str(MAX_OUTPUT + 1)), tmp_path) == (
        FailureKind.TOO_LARGE,
        f"{sys.executable} wrote more than 8 MiB",
        False,
    )
    assert failure("yes", tmp_path)[0] is FailureKind.TOO_LARGE


# ---- standard input and closed pipes --------------------------------------------------------------


def test_a_program_without_input_meets_its_end_at_once(tmp_path: Path) -> None:
    assert run("cat", tmp_path) == ""


@pytest.mark.parametrize("line", ["true", "exec 0<&-; sleep 0.2", "head -c 1 >/dev/null"])
def test_input_that_is_not_read_is_no_failure(tmp_path: Path, line: str) -> None:
    assert run(line, tmp_path, stdin="x" * 5_000_000, shell=True) == ""


def test_much_input_and_much_output_do_not_wait_for_each_other(tmp_path: Path) -> None:
    text = "é" * 2_000_000
    assert run("cat", tmp_path, stdin=text) == text


def test_a_program_that_closes_its_pipes_is_still_waited_for(tmp_path: Path) -> None:
    line = "exec 0<&- 1>&- 2>&-; sleep 0.2; exit 4"
    assert failure(line, tmp_path, shell=True)[1] == "/bin/sh exited with 4"


def test_our_own_files_do_not_reach_a_program(tmp_path: Path) -> None:
    secret = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT)
    try:
        assert run("ls /proc/self/fd | tr '\\n' ' '", tmp_path, shell=True).split()[:3] == ["0", "1", "2"]
        assert failure(f"cat <&{secret}", tmp_path, shell=True)[0] is FailureKind.CODE
    finally:
        os.close(secret)


def test_a_program_has_no_terminal_of_ours_to_read_a_key_press_from(tmp_path: Path) -> None:
    assert run(python("import os; print(os.getsid(0) == os.getpid())"), tmp_path) == "True\n"


# ---- what is left behind --------------------------------------------------------------------------


def test_what_a_program_leaves_running_may_finish_writing(tmp_path: Path) -> None:
    assert run("(sleep 0.2; echo late) & echo early", tmp_path, shell=True) == "early\nlate\n"


@pytest.mark.parametrize("held", ["", ">/dev/null 2>&1"])
def test_what_a_program_leaves_running_for_longer_is_ended(
    tmp_path: Path, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "GRACE", 0.2)
    left = int(run(f"(trap '' TERM HUP; sleep 600) {held} & echo $!", tmp_path, shell=True))
    assert wait_until_dead([left]) == []


def test_a_daemon_that_holds_the_pipes_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "GRACE", 0.2)
    code = (
        "import os, time\n"
        "if os.fork():\n"
        "    os._exit(0)\n"
        "os.setsid()\n"
        "os.write(1, b'%d' % os.getpid())\n"
        "time.sleep(600)\n"
    )
    daemon = int(run(python(code), tmp_path))
    assert is_alive(daemon)
    os.kill(daemon, signal.SIGKILL)


# ---- timeouts and cancellations -------------------------------------------------------------------

FAMILY = """
import os, signal, sys, time
if {stubborn}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        break
with open(f"pids/{{os.getpid()}}", "w"):
    pass
time.sleep(600)
"""


def family(folder: Path, stubborn: bool) -> list[str]:
    """A program that forks and forks again: four processes of three generations, each told of in `pids`."""
    (folder / "pids").mkdir()
    return python(FAMILY.format(stubborn=stubborn))


async def until_there(folder: Path, count: int) -> list[int]:
    while len(os.listdir(folder / "pids")) < count:  # noqa: ASYNC110 - another process makes them
        await asyncio.sleep(0.01)
    return [int(name) for name in os.listdir(folder / "pids")]


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_a_cancellation_or_a_timeout_ends_the_whole_family(
    tmp_path: Path, stubborn: bool, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "GRACE", 0.3)

    async def scene() -> list[int]:
        call = asyncio.ensure_future(run_command(family(tmp_path, stubborn), folder=tmp_path, environment=ENVIRONMENT))
        pids = await until_there(tmp_path, 3)
        if way == "cancel":
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call, 0.1)
        return pids

    pids = asyncio.run(scene())
    assert len(pids) == 3
    assert wait_until_dead(pids) == []


def test_a_program_may_tidy_up_before_it_goes_and_so_may_its_children(tmp_path: Path) -> None:
    line = "(trap 'sleep 0.2; echo child > child; exit' TERM; touch up; sleep 600 & wait) & trap 'exit' TERM; wait"

    async def scene() -> None:
        call = asyncio.ensure_future(run_command(line, folder=tmp_path, environment=ENVIRONMENT, shell=True))
        while not (tmp_path / "up").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(scene())
    assert (tmp_path / "child").read_text() == "child\n"


def test_a_second_cancellation_does_not_wait_for_a_stubborn_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "GRACE", 600.0)

    async def scene() -> list[int]:
        call = asyncio.ensure_future(run_command(family(tmp_path, True), folder=tmp_path, environment=ENVIRONMENT))
        pids = await until_there(tmp_path, 3)
        call.cancel()
        await asyncio.sleep(0.1)
        assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        return pids

    assert wait_until_dead(asyncio.run(scene())) == []


@pytest.mark.parametrize("turns", range(6))
def test_a_cancellation_in_the_middle_of_the_start_leaves_nothing_running(tmp_path: Path, turns: int) -> None:
    async def scene() -> None:
        call = asyncio.ensure_future(run_command(["sleep", "612"], folder=tmp_path, environment=ENVIRONMENT))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(scene())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and children():
        time.sleep(0.01)
    assert [stat for stat in children() if "(sleep)" in stat] == []


def test_hundreds_of_programs_leave_no_file_open_and_no_child_unburied(tmp_path: Path) -> None:
    async def scene() -> list[str]:
        calls = [run_command(["echo", str(n)], folder=tmp_path, environment=ENVIRONMENT) for n in range(200)]
        return await asyncio.gather(*calls)

    assert asyncio.run(scene()) == [f"{n}\n" for n in range(200)]


# ---- the environment ------------------------------------------------------------------------------

OURS = {
    "PATH": "/bin",
    "HOME": "/home/ada",
    "LANG": "C.UTF-8",
    "LC_ALL": "C",
    "TZ": "UTC",
    "OPENAI_API_KEY": "sk-canary",
    "DATABASE_URL": "postgres://ada:canary@host/db",
    "LD_PRELOAD": "/tmp/evil.so",
    "PYTHONPATH": "/x",
}


def test_a_program_inherits_where_things_are_and_which_language_is_spoken_and_no_key() -> None:
    assert inherited_environment(OURS, ()) == {n: OURS[n] for n in ("PATH", "HOME", "LANG", "LC_ALL", "TZ")}


def test_what_the_author_names_is_inherited_by_its_whole_name_and_if_it_is_there() -> None:
    found = inherited_environment({**OURS, "OPENAI_API_KEY_2": "canary"}, ["OPENAI_API_KEY", "NOT_SET", "PYTHON*"])
    assert found == {n: OURS[n] for n in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "OPENAI_API_KEY")}


def test_no_name_that_is_inherited_by_itself_sounds_like_a_secret() -> None:
    from llmflow.environment import is_secret_name

    assert [name for name in INHERITED if is_secret_name(name)] == []


def test_a_program_sees_just_the_environment_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    assert run(["/usr/bin/env"], tmp_path, environment={"A": "1", "B": "x\ny"}) == "A=1\nB=x\ny\n"
    assert run(["/usr/bin/env"], tmp_path, environment={}) == ""
