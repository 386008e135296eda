"""What the templates of a file refer to: every name must exist, and a task that is named is a dependency.

Edges come from here alone (and from `depends_on`): nobody writes an edge that a template shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from llmflow.language.own_names import NO_NAMES, OwnNames
from llmflow.language.reading import Reading, Used
from llmflow.language.shapes import Shape
from llmflow.language.templates import Reference

TASK_ATTRIBUTES = ("output", "status", "usage")
ITEM_ATTRIBUTES = ("outputs", "results", "status", "usage")
RUN_ATTRIBUTES = ("id", "started")
FINAL_RUN_ATTRIBUTES = ("status", "cost_usd", "failed")
"""What only the tasks of `finally` can read of `run`."""

Place = tuple[Used, int]
"""A template and the offset in it."""


def first_reference(templates: Iterable[Used], task: str) -> Place | None:
    """Where one of `templates` refers to `task` first."""
    for used in templates:
        for path, offset in used.template.references:
            if path[:2] == ("tasks", task):
                return used, offset
    return None


@dataclass(slots=True)
class _At:
    """One reference: the template it stands in, and what the names of that template's task are."""

    used: Used
    reference: Reference
    own: OwnNames

    @property
    def path(self) -> tuple[str, ...]:
        return self.reference.path


class Scope:
    """The names that a file's templates may use. `inputs` is None where the file declares none.

    `files`: those of the inputs that are the content of a file.
    """

    def __init__(
        self,
        reading: Reading,
        tasks: Mapping[str, Shape | None],
        inputs: Collection[str] | None,
        env: Collection[str],
        files: Collection[str] = (),
    ) -> None:
        self.reading = reading
        self.tasks, self.inputs, self.env, self.files = tasks, inputs, env, files
        self.inferred: dict[str, Place] = {}
        """Inputs that are used without being declared, with their first use."""

    def dependencies(self, templates: Iterable[Used], own: OwnNames = NO_NAMES) -> list[str]:
        """The tasks that a task's templates refer to, with repetitions; what is wrong is reported.

        Left out is what flows in item by item.
        """
        found: list[str] = []
        tasks, unknown = self.tasks, _UNKNOWN
        for used in templates:
            if used.template is own.flow:
                continue
            for index, path in enumerate(used.template.paths):
                plain = path[0] == "tasks" and len(path) > 2 and tasks.get(path[1], unknown) is None
                if (plain and path[2] in TASK_ATTRIBUTES) or self._other(
                    _At(used, used.template.references[index], own)
                ):
                    found.append(path[1])
        return found

    def without_tasks(self, templates: Iterable[Used], heir: str = "") -> None:
        """Check templates of `defaults`: they belong to all tasks, so they can depend on none.

        `heir`: the file that is checked, where the defaults are those of the one that uses it.
        """
        for used in templates:
            for reference in used.template.references:
                at = _At(used, reference, NO_NAMES)
                if reference.path[0] == "tasks":
                    if not heir:
                        self._report(at, "a default cannot refer to a task", "write it in the tasks that need it")
                elif heir:
                    self._inherited(at, heir)
                else:
                    self._other(at)

    def _inherited(self, at: _At, heir: str) -> None:
        """What the other file's defaults read must be there in this file too."""
        path = at.path
        known: Collection[str] | None = None
        if path[0] == "inputs" and len(path) > 1:
            if self.inputs is None:
                self.inferred.setdefault(path[1], (at.used, at.reference.offset))
                return
            known = self.inputs
        elif path[0] == "env" and len(path) > 1:
            known = self.env
        if known is not None and path[1] not in known:
            message = f"`{heir}` inherits this default and has no `{'.'.join(path[:2])}`"
            self._report(at, message, f"add it there, or give that file a default of its own for `{at.used.field}`")

    def _report(self, at: _At, message: str, hint: str = "") -> None:
        self.reading.problem_in(at.used, at.reference.offset, message, hint)

    def _other(self, at: _At) -> bool:
        """Check a reference that is not simply a plain task's; True where it makes a dependency."""
        root = at.path[0]
        if root == "tasks":
            return self._task(at)
        if at.own.has_name(root, at.used.field):
            return False
        check = {"inputs": self._input, "env": self._env, "run": self._run}.get(root)
        if check is not None:
            check(at)
            return False
        if wrong := at.own.missing(root, at.used.field):
            self._report(at, *wrong)
            return False
        if root in self.tasks:
            hint = f"write `tasks.{root}.output`"
        elif self.inputs is not None and root in self.inputs:
            hint = f"write `inputs.{root}`"
        else:
            known = ("inputs", "tasks", "env", "run", *at.own.known(at.used.field))
            hint = self.reading.did_you_mean(root, known) or f"known here: {', '.join(known)}"
        self._report(at, f"unknown name `{root}`", hint)
        return False

    def _task(self, at: _At) -> bool:
        path = at.path
        if len(path) < 2:
            self._report(at, "`tasks` alone is no value", "write `tasks.ID.output`")
            return False
        name = path[1]
        if name not in self.tasks:
            self._report(at, f"unknown task `{name}`", self.reading.did_you_mean(name, self.tasks))
            return False
        shape = self.tasks[name]
        if shape is not None and shape.final and not at.own.final:
            message = f"task `{name}` belongs to `finally`: it runs when all others have settled"
            self._report(at, message, "only `outputs` and other tasks of `finally` can read it")
            return False
        here = at.own.is_of_item(name, at.used.field)
        fans_out = shape is not None and shape.fans_out
        if len(path) < 3:
            end = "outputs" if fans_out and not here else "output"
            self._report(at, f"`tasks.{name}` alone is no value", f"write `tasks.{name}.{end}`")
            return False
        if shape is not None and self._of_shape(at, shape, here):
            return not (here and path[2] in ("output", "status", "usage", "until_met"))
        if shape is None:
            self._no_attribute(at, TASK_ATTRIBUTES)
        return False

    def _of_shape(self, at: _At, shape: Shape, here: bool) -> bool:
        """Check what is read of a task with items, a loop or named outputs; `here`: its item is at hand."""
        _, name, attribute = at.path[:3]
        as_a_whole = ITEM_ATTRIBUTES if shape.fans_out else TASK_ATTRIBUTES
        if attribute == "until_met" and shape.repeats and (here or not shape.fans_out):
            return True
        if attribute == "output" and shape.fans_out and not here:
            hint = f"`tasks.{name}.outputs` is the list of them"
            if at.own.is_of_item(name, ""):
                hint = f"`{at.used.field}` is decided before the items are known; {hint}"
            self._report(at, f"task `{name}` runs once per item: it has no one `output`", hint)
            return False
        if attribute in as_a_whole or (here and attribute == "output"):
            return attribute != "output" or self._of_outputs(at, shape)
        self._no_attribute(at, as_a_whole)
        return False

    def _of_outputs(self, at: _At, shape: Shape) -> bool:
        """`tasks.ID.output.NAME` of a sub-pipeline: it must have an output of that name."""
        names = shape.output_names
        if names is None or len(at.path) < 4 or at.path[3] in names:
            return True
        hint = self.reading.did_you_mean(at.path[3], names) or "it has " + ", ".join(f"`{n}`" for n in names)
        self._report(at, f"`{shape.file}` has no output `{at.path[3]}`", hint)
        return False

    def _no_attribute(self, at: _At, known: tuple[str, ...]) -> None:
        name, attribute = at.path[1:3]
        if attribute in ("outputs", "results"):
            message, hint = f"task `{name}` has no `{attribute}`: it does not run once per item", "write `output`"
            self._report(at, message, hint)
            return
        if attribute == "until_met":
            message = f"task `{name}` has no `until_met`"
            hint = "only a task with `repeat` has one"
            if "outputs" in known:
                hint = "it runs once per item, and each item has its own"
            self._report(at, message, hint)
            return
        hint = self.reading.did_you_mean(attribute, known)
        part = f"tasks.{name}.output.{attribute}" if known is TASK_ATTRIBUTES else f"tasks.{name}.outputs"
        way_out = f"it has {', '.join(known)}; write `{part}` for a part"
        self._report(at, f"a task has no `{attribute}`", hint or way_out)

    def _input(self, at: _At) -> None:
        path = at.path
        if len(path) < 2:
            self._report(at, "`inputs` alone is no value", "write `inputs.NAME`")
        elif self.inputs is None:
            self.inferred.setdefault(path[1], (at.used, at.reference.offset))
        elif path[1] not in self.inputs:
            hint = self.reading.did_you_mean(path[1], self.inputs) or "declare it under `inputs`"
            self._report(at, f"undeclared input `{path[1]}`", hint)
        elif path[1] in self.files and at.used.field == "foreach.file":
            message = f"`{'.'.join(path)}` is what its file holds, not a path"
            self._report(at, message, f'write `items: "{{{{ {".".join(path)} }}}}"`: it is read row by row, too')

    def _env(self, at: _At) -> None:
        path = at.path
        if len(path) < 2:
            self._report(at, "`env` alone is no value", "write `env.NAME`")
        elif path[1] not in self.env:
            hint = self.reading.did_you_mean(path[1], self.env) or f"list it: `env: [{path[1]}]`"
            self._report(at, f"`{path[1]}` is not listed under `env`", hint)

    def _run(self, at: _At) -> None:
        path = at.path
        known = (*RUN_ATTRIBUTES, *FINAL_RUN_ATTRIBUTES) if at.own.final else RUN_ATTRIBUTES
        if len(path) >= 2 and path[1] in known and (len(path) == 2 or path[1] in FINAL_RUN_ATTRIBUTES):
            return
        if len(path) == 2 and path[1] in FINAL_RUN_ATTRIBUTES:
            message = f"`run.{path[1]}` exists only in the tasks of `finally`"
            self._report(at, message, "it is known when all other tasks have settled")
            return
        *first, last = (f"`run.{a}`" for a in known)
        self._report(at, f"unknown name `{'.'.join(path)}`", f"there are {', '.join(first)} and {last}")


_UNKNOWN = Shape()
