"""Tasks that run code of the author's or ask a server: `python`, `command`, `http`, rendered and carried out."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmflow.binding.answered import Key, Reply, key_from, key_of
from llmflow.binding.files import as_text
from llmflow.binding.nodes import Node
from llmflow.binding.secrecy import shown_asked
from llmflow.errors import CallFailed, FailureKind
from llmflow.language.pipeline import Task
from llmflow.protocol import clean_text
from llmflow.runtime.actions.command import inherited_environment, run_command
from llmflow.runtime.actions.function import Functions
from llmflow.runtime.actions.http_request import HttpRequests


class Code:
    """The code of one run. `environment` is the process's own; a program sees a part of it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._functions: dict[Path, Functions] = {}
        self._http = HttpRequests()

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    def asked(self, node: Node, scope: Mapping[str, Any]) -> Any:
        """What the task will be given, as data: rendered anew before each attempt. Raises CallFailed(template)."""
        task = node.stage.task
        if task.action == "python":
            return {"function": task.python, "arguments": {name: scope[name] for name in task.names}}
        if task.action == "http":
            assert task.http is not None
            http = task.http
            return {
                "method": http.method,
                "url": http.url.text(scope),
                "headers": {name: value.text(scope) for name, value in http.headers.items()},
                "json": http.json.value(scope) if http.json is not None else None,
                "body": http.body.text(scope) if http.body is not None else None,
            }
        assert task.command is not None
        command = task.command
        args = [clean_text(arg.text(scope)) for arg in command.args]
        return {
            "command": command.line if command.shell else [*command.words, *args],
            "args": args if command.shell else [],
            "env": {name: clean_text(value.text(scope)) for name, value in command.env.items()},
            "stdin": clean_text(as_text(command.stdin.value(scope))) if command.stdin is not None else "",
        }

    def key(self, node: Node, asked: Any) -> Key:
        """What stands for it: what is called, with the bytes of the author's file, and what it is given."""
        action = node.stage.task.action
        called = {name: asked[name] for name in ("function", "command", "method") if name in asked}
        given = {name: value for name, value in asked.items() if name not in called}
        written = self._bytes_of(node, asked)
        return key_from({"code": (action, called, written), "input": given}, lambda: key_of(action, asked, written))

    async def run(self, node: Node, asked: Any) -> Reply:
        """Carry it out once. Raises CallFailed."""
        task = node.stage.task
        value = await self._carry_out(node, task, asked)
        return Reply(value, shown_asked(asked), self.key(node, asked))

    async def _carry_out(self, node: Node, task: Task, asked: Any) -> Any:
        folder = node.frame.folder
        if task.action == "python":
            functions = self._functions.setdefault(folder, Functions(folder))
            return await functions.call(asked["function"], asked["arguments"])
        if task.action == "http":
            return await self._http.send(
                asked["method"], asked["url"], headers=asked["headers"], data=asked["json"], body=asked["body"]
            )
        assert task.command is not None
        command = asked["command"]
        if task.command.shell and asked["args"]:
            # Arguments become "$1", "$2", …: text for the shell to pass on, never to parse.
            command = ["/bin/sh", "-c", command, "sh", *asked["args"]]
        environment = {
            **inherited_environment(self._environment, node.frame.space.pipeline.env),
            **asked["env"],
        }
        output = await run_command(
            command,
            folder=folder,
            environment=environment,
            stdin=asked["stdin"],
            shell=task.command.shell and isinstance(command, str),
        )
        return _parsed(task, output)

    def _bytes_of(self, node: Node, asked: Any) -> str:
        """The hash of the author's own file, where the task names one."""
        task = node.stage.task
        if task.action == "python":
            names = [task.python.rpartition(":")[0]]
        elif task.command is not None:
            names = shlex.split(task.command.line) if task.command.shell else list(task.command.words)
        else:
            return ""
        digests = []
        for name in names:
            path = node.frame.folder / name
            if path.is_file():
                digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        return ",".join(digests)


def _parsed(task: Task, output: str) -> Any:
    """Standard output, stripped; JSON where the author wrote a schema."""
    text = clean_text(output).strip()
    if task.output.schema is None:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise CallFailed(FailureKind.INVALID_OUTPUT, f"standard output is not JSON: {error}: {text[:200]}") from error
