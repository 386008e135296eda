"""Approvals: those given on the command line, and asking the person at the terminal without holding up the run."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from llmflow.binding.work import Ask
from llmflow.commands.console import say
from llmflow.errors import UsageError
from llmflow.sanitise import printable

YES = ("y", "yes")

_ITEM = re.compile(r"\[.*?\](?=/|$)")
"""The key in the name of an item: `each[3]`, `parts[3]/ask`."""


def given_approvals(words: Iterable[str], asking: Sequence[str]) -> dict[str, bool]:
    """What `--approve` decides. `asking`: the tasks that ask. Raises UsageError for one that is none of them: its run
    would pause again, and nobody would know why.
    """
    approved = {}
    for word in words:
        if _ITEM.sub("", word) not in asking:
            near = get_close_matches(word, asking, n=1)
            known = f"tasks that ask: {', '.join(asking)}" if asking else "no task of this run asks for an approval"
            raise UsageError(f"--approve: no task {word!r} asks", f"did you mean {near[0]}?" if near else known)
        approved[word] = True
    return approved


def at_terminal() -> Ask | None:
    """A way to ask, None where nobody can be asked: no terminal on standard input or standard error."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    turn = asyncio.Lock()  # two questions at once would share one line of answer

    async def ask(task: str, message: str) -> tuple[bool, str]:
        async with turn:
            say(f"\n{task} asks for approval:\n{message}")
            sys.stderr.write(printable("approve? [y/N, or why not] "))
            sys.stderr.flush()
            answer = (await _line()).strip()
        approved = answer.lower() in YES
        return approved, "" if approved or answer.lower() in ("", "n", "no") else answer

    return ask


async def _line() -> str:
    """One line of standard input; cancelling it leaves no thread behind that still reads."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[str] = loop.create_future()
    number = sys.stdin.fileno()

    def read() -> None:
        if not ready.done():
            ready.set_result(sys.stdin.readline())

    loop.add_reader(number, read)
    try:
        return await ready
    finally:
        loop.remove_reader(number)
