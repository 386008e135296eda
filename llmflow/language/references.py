"""What the templates of a file refer to: every name must exist, and a task that is named is a dependency.

Edges come from here alone (and from `depends_on`): nobody writes an edge that a template shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from llmflow.language.reading import Reading, Used
from llmflow.language.templates import Reference

TASK_ATTRIBUTES = ("output", "status", "usage")
RUN_ATTRIBUTES = ("id", "started")

Place = tuple[Used, int]
"""A template and the offset in it."""


def first_reference(templates: Iterable[Used], task: str) -> Place | None:
    """Where one of `templates` refers to `task` first."""
    for used in templates:
        for path, offset in used.template.references:
            if path[:2] == ("tasks", task):
                return used, offset
    return None


class Scope:
    """The names that a file's templates may use. `inputs` is None where the file declares none."""

    def __init__(
        self, reading: Reading, tasks: Collection[str], inputs: Collection[str] | None, env: Collection[str]
    ) -> None:
        self.reading = reading
        self.tasks, self.inputs, self.env = tasks, inputs, env
        self.inferred: dict[str, Place] = {}
        """Inputs that are used without being declared, with their first use."""

    def dependencies(self, templates: Iterable[Used], names: Collection[str] = ()) -> list[str]:
        """The tasks that a task's templates refer to, with repetitions; what is wrong is reported.

        `names` are those of its `with`.
        """
        found: list[str] = []
        tasks = self.tasks
        for used in templates:
            for reference in used.template.references:
                path = reference.path
                if path[0] == "tasks" and len(path) > 2 and path[1] in tasks and path[2] in TASK_ATTRIBUTES:
                    found.append(path[1])
                else:
                    self._other(used, reference, names)
        return found

    def without_tasks(self, templates: Iterable[Used]) -> None:
        """Check templates of `defaults`: they belong to all tasks, so they can depend on none."""
        for used in templates:
            for reference in used.template.references:
                if reference.path[0] == "tasks":
                    message = "a default cannot refer to a task"
                    self.reading.problem_in(used, reference.offset, message, "write it in the tasks that need it")
                else:
                    self._other(used, reference, ())

    def _other(self, used: Used, reference: Reference, names: Collection[str]) -> None:
        root = reference.path[0]
        if root in names and used.field != "with":
            return
        if root == "output" and used.field == "validate":
            return
        check = {"tasks": self._task, "inputs": self._input, "env": self._env, "run": self._run}.get(root)
        if check is not None:
            check(used, reference)
            return
        if root in names:
            message, hint = f"a value of `with` cannot use `{root}`, another name of `with`", ""
        elif root == "output":
            message, hint = "`output` exists in `validate` only", "write `tasks.ID.output`"
        else:
            message = f"unknown name `{root}`"
            if root in self.tasks:
                hint = f"write `tasks.{root}.output`"
            elif self.inputs is not None and root in self.inputs:
                hint = f"write `inputs.{root}`"
            else:
                known = ("inputs", "tasks", "env", "run", *names)
                hint = self.reading.did_you_mean(root, known) or f"known here: {', '.join(known)}"
        self.reading.problem_in(used, reference.offset, message, hint)

    def _task(self, used: Used, reference: Reference) -> None:
        path = reference.path
        report = self.reading.problem_in
        if len(path) < 2:
            report(used, reference.offset, "`tasks` alone is no value", "write `tasks.ID.output`")
        elif path[1] not in self.tasks:
            hint = self.reading.did_you_mean(path[1], self.tasks)
            report(used, reference.offset, f"unknown task `{path[1]}`", hint)
        elif len(path) < 3:
            report(used, reference.offset, f"`tasks.{path[1]}` alone is no value", f"write `tasks.{path[1]}.output`")
        else:
            hint = self.reading.did_you_mean(path[2], TASK_ATTRIBUTES)
            report(
                used,
                reference.offset,
                f"a task has no `{path[2]}`",
                hint or f"it has {', '.join(TASK_ATTRIBUTES)}; write `tasks.{path[1]}.output.{path[2]}` for a part",
            )

    def _input(self, used: Used, reference: Reference) -> None:
        path = reference.path
        if len(path) < 2:
            self.reading.problem_in(used, reference.offset, "`inputs` alone is no value", "write `inputs.NAME`")
        elif self.inputs is None:
            self.inferred.setdefault(path[1], (used, reference.offset))
        elif path[1] not in self.inputs:
            hint = self.reading.did_you_mean(path[1], self.inputs) or "declare it under `inputs`"
            self.reading.problem_in(used, reference.offset, f"undeclared input `{path[1]}`", hint)

    def _env(self, used: Used, reference: Reference) -> None:
        path = reference.path
        if len(path) < 2:
            self.reading.problem_in(used, reference.offset, "`env` alone is no value", "write `env.NAME`")
        elif path[1] not in self.env:
            hint = self.reading.did_you_mean(path[1], self.env) or f"list it: `env: [{path[1]}]`"
            self.reading.problem_in(used, reference.offset, f"`{path[1]}` is not listed under `env`", hint)

    def _run(self, used: Used, reference: Reference) -> None:
        path = reference.path
        if len(path) != 2 or path[1] not in RUN_ATTRIBUTES:
            self.reading.problem_in(
                used, reference.offset, f"unknown name `{'.'.join(path)}`", "there are `run.id` and `run.started`"
            )
