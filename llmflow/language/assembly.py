"""The tasks of a file on their way to Tasks: each with its edges first, then the checks of the whole graph."""

from __future__ import annotations

from itertools import pairwise

from llmflow.language import yaml_reader as yaml
from llmflow.language.checks import cycles_of, unruled_joins
from llmflow.language.own_names import own_names
from llmflow.language.pipeline import Task
from llmflow.language.reading import Reading
from llmflow.language.records import Draft
from llmflow.language.references import Place, Scope, first_reference
from llmflow.language.scalars import place_of
from llmflow.language.shapes import Shape, find_flows, shape_of, upstream
from llmflow.language.source import Source
from llmflow.language.sub_pipelines import SubPipelines
from llmflow.language.tasks import TaskBuilder
from llmflow.language.yaml_reader import Node


class Assembly:
    """The tasks of one file, those of `finally` among them.

    `shapes` are in file order, one entry for each id that is written, right or wrong: what the
    file's templates need to know of each.
    """

    def __init__(self, reading: Reading, tasks: Node | None, finals: Node | None) -> None:
        self.reading = reading
        self.places: dict[str, int] = {}
        self.final: dict[str, None] = {}
        self._take(tasks)
        if isinstance(finals, yaml.Mapping):
            self._check_finals(finals)
            self.final.update(dict.fromkeys(finals.entries))
            self._take(finals)
        self.shapes: dict[str, Shape | None] = dict.fromkeys(self.places)
        self.index = {name: i for i, name in enumerate(self.places)}
        self.edges: dict[str, tuple[str, ...]] = dict.fromkeys(self.places, ())
        self.from_below: dict[str, Draft] = {}
        """Tasks that depend on one further down the file; without such an edge there is no cycle."""
        self.conditional: set[str] = set()
        self.rules: dict[str, str] = {}

    def _take(self, node: Node | None) -> None:
        if isinstance(node, yaml.Mapping):
            self.places.update(zip(node.entries, node.key_places, strict=True))

    def _check_finals(self, finals: yaml.Mapping) -> None:
        """Ids are unique over both, ignoring case."""
        lowered = {name.lower(): name for name in self.places}
        for name, place in zip(finals.entries, finals.key_places, strict=True):
            if other := lowered.get(name.lower()):
                line = self.reading.source.mark(self.places[other]).line
                message = f"task `{name[:80]}` of `finally` has the id of a task in line {line}"
                self.reading.problem(place, message, "rename one of the two")

    def set_shapes(self, drafts: dict[str, Draft], pipelines: SubPipelines) -> None:
        """Look at the tasks that others must know more of than their ids; files that they use are read."""
        special = {}
        for name, draft in drafts.items():
            shape = shape_of(draft, name in self.final)
            if shape is not None:
                special[name] = self.shapes[name] = shape
                if "uses" in draft.values:
                    shape.uses, shape.file = pipelines.used_by(draft), draft.values["uses"]
        find_flows(special, drafts)

    def built(self, drafts: dict[str, Draft], scope: Scope, builder: TaskBuilder) -> dict[str, Task]:
        """The Tasks; only meaningful where nothing was reported. `drafts` is emptied."""
        mark = self.reading.source.mark
        tasks = {}
        for name in list(drafts):
            draft = drafts.pop(name)  # a task's nodes and drafts are let go of one by one
            place = self.places[name]
            shape = self.shapes[name]
            builder.prepare(name, place, draft)
            values, entries = draft.values, draft.node.entries
            if "when" in entries:
                self.conditional.add(name)
            if "trigger_rule" in entries:
                self.rules[name] = values.get("trigger_rule", "all_done")
            above = upstream(name, self.shapes) if shape is not None else _NOBODY
            used = scope.dependencies(draft.templates, own_names(draft, shape, above))
            if self.final:
                used = [other for other in used if (other in self.final) == (name in self.final)]
            order_only: tuple[str, ...] = ()
            if name in used:
                hint = "`previous` is the answer before" if shape is not None and shape.repeats else ""
                self.reading.problem_in(*_found(draft, name), f"task `{name}` refers to itself", hint)
                used = [other for other in used if other != name]
            if "depends_on" in values:
                order_only = self._ordered(set(self._written(name, draft)).difference(used))
            dependencies = edges = self._ordered({*used, *order_only})
            if shape is not None and shape.source:
                edges = self._ordered({*edges, shape.source})
            self.edges[name] = edges
            tasks[name] = builder.build(name, mark(place), draft, dependencies, order_only, shape)
            if edges and self.index[edges[-1]] > self.index[name]:
                self.from_below[name] = draft
        self._check_graph()
        return tasks

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(names) if len(names) < 2 else tuple(sorted(names, key=self.index.__getitem__))

    def _written(self, name: str, draft: Draft) -> list[str]:
        """What `depends_on` names, as far as there are such tasks."""
        found = []
        node = draft.node.entries["depends_on"]
        items = node.items if isinstance(node, yaml.Sequence) else [node]
        for other, item in zip(draft.values["depends_on"], items, strict=True):
            if other == name:
                self.reading.problem(item.at, f"task `{name}` depends on itself")
            elif other not in self.places:
                hint = self.reading.did_you_mean(other, self.places)
                self.reading.problem(item.at, f"unknown task `{other[:80]}` in `depends_on`", hint)
            elif name in self.final and other not in self.final:
                message = f"`depends_on: {other}` says nothing here: `finally` waits for all tasks of `tasks`"
                self.reading.problem(item.at, message, "delete it; `when` can ask for `tasks.ID.status`")
            elif other in self.final and name not in self.final:
                message = f"task `{other}` belongs to `finally`: it runs when all others have settled"
                self.reading.problem(item.at, message)
            else:
                found.append(other)
        return found

    def _check_graph(self) -> None:
        if not self.from_below and not self.conditional and not self.rules:
            return  # no cycle, and nothing can be skipped
        cycles, graph = cycles_of(self.edges)
        for cycle in cycles:
            at, source = self._place_in(cycle)
            hint = "one of them must do without another's output"
            self.reading.problem(at, f"tasks depend on each other in a circle: {' -> '.join(cycle)}", hint, source)
        for name, (skipped, other) in unruled_joins(graph, self.conditional, self.rules).items():
            self.reading.problem(
                self.places[name],
                f"task `{name}` joins `{skipped}`, which can be skipped, and `{other}`: it needs a `trigger_rule`",
                "`none_failed_min_one_success` runs it with what is there, `all_success` skips it too",
            )

    def _place_in(self, cycle: list[str]) -> tuple[int, Source | None]:
        """Where an edge of the cycle that leads down the file is written; there is one in each."""
        dependency, task = next((d, t) for d, t in pairwise(cycle) if self.index[d] > self.index[t])
        draft = self.from_below[task]
        if found := first_reference(draft.templates, dependency):
            used, offset = found
            return place_of(used.source, used.scalar, offset), used.source
        node = draft.node.entries["depends_on"]
        items = node.items if isinstance(node, yaml.Sequence) else [node]
        return next(item.at for item in items if isinstance(item, yaml.Scalar) and item.text == dependency), None


_NOBODY: frozenset[str] = frozenset()


def _found(draft: Draft, name: str) -> Place:
    found = first_reference(draft.templates, name)
    assert found is not None
    return found
