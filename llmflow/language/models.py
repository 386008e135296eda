"""Which models a task runs on: aliases resolved, providers known, parameters that the provider takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from llmflow.language import yaml_reader as yaml
from llmflow.language.fields import KINDS
from llmflow.language.reading import Reading
from llmflow.language.yaml_reader import Node

NO_SAMPLING = ("temperature", "top_p", "top_k")
"""Parameters that the Anthropic SDK takes no more."""


def sampling_not_taken(kind: str, params: Collection[str]) -> list[str]:
    """Those of `params` that a provider of `kind` does not take."""
    return [p for p in NO_SAMPLING if p in params] if kind == "anthropic" else []


class Models:
    """The models of one file. `kinds` maps declared providers to their kind, `others` those of files that use it."""

    def __init__(
        self, reading: Reading, kinds: Mapping[str, str], others: Mapping[str, str], told: set[tuple[str, int]]
    ) -> None:
        """`told`: places of parameters that were reported, shared by all files."""
        self.reading, self.others, self._told = reading, others, told
        self.kinds: dict[str, str] = {**{k: k for k in KINDS}, **kinds}
        self.aliases: dict[str, tuple[str, ...]] = {}
        self.broken: set[str] = set()
        self._seen: dict[tuple[str, ...], tuple[str, ...]] = {}

    def add_alias(self, alias: str, names: tuple[str, ...], node: Node) -> None:
        """Take up `alias`; its models are checked here, once."""
        for name, item in zip(names, _items(node), strict=True):
            if "/" not in name:
                hint = f"write `provider/{name}`"
                self.reading.problem(item.at, f"alias `{alias}` must name `provider/model`, not `{name[:80]}`", hint)
                self.broken.add(alias)
            elif not self._check(name, item):
                self.broken.add(alias)
        if alias not in self.broken:
            self.aliases[alias] = names

    def replace_alias(self, alias: str, names: tuple[str, ...]) -> None:
        """Put other models in an alias' place, as the command line may."""
        self.broken.discard(alias)
        self.aliases[alias] = names

    def resolve(self, names: tuple[str, ...], node: Node) -> tuple[str, ...]:
        """`provider/model` strings for what a `model` field says; what is wrong is reported and left out."""
        known = self._seen.get(names)
        if known is not None:
            return known
        resolved: list[str] = []
        good = True
        for name, item in zip(names, _items(node), strict=True):
            if name in self.aliases:
                resolved.extend(self.aliases[name])
            elif name in self.broken:
                good = False
            elif self._check(name, item):
                resolved.append(name)
            else:
                good = False
        result = tuple(dict.fromkeys(resolved))
        if good:
            self._seen[names] = result
        return result

    def kind(self, model: str) -> str:
        """The kind of provider that answers for `provider/model`."""
        provider = model.partition("/")[0]
        return self.kinds.get(provider) or self.others.get(provider, "")

    def _check(self, name: str, node: Node) -> bool:
        provider, slash, model = name.partition("/")
        if "{{" in name:
            self.reading.problem(node.at, "a model cannot be a template", "`--model` chooses another one for a run")
        elif not slash:
            hint = self.reading.did_you_mean(name, self.aliases)
            if name in self.kinds:
                hint = f"`{name}` is a provider: write `{name}/MODEL`"
            message = f"unknown model `{name[:80]}`: no alias of that name"
            self.reading.problem(node.at, message, hint or "write `provider/model`, or define it under `models`")
        elif not model or not provider:
            self.reading.problem(node.at, f"`{name[:80]}` is not a model", "write `provider/model`")
        elif provider not in self.kinds:
            hint = (
                self.reading.did_you_mean(provider, self.kinds)
                or f"declare it under `providers`: `{provider}: {{kind: …}}`"
            )
            self.reading.problem(node.at, f"unknown provider `{provider[:80]}`", hint)
        else:
            return True
        return False

    def check_params(self, task: str, models: tuple[str, ...], params: Mapping[str, Any], place: Any) -> None:
        """Report parameters that one of `models` does not take; `place(parameter)` says where it is written."""
        for model in models:
            wrong = sampling_not_taken(self.kind(model), params)
            for name in wrong:
                at, where, source = place(name)
                if (source.path, at) in self._told:
                    continue  # a default is told once, for the first task that it reaches
                self._told.add((source.path, at))
                self.reading.problem(
                    at,
                    f"`{name}`{where} is not taken by anthropic models: task `{task}` runs on `{model}`",
                    "delete it, or write it in the `params` of tasks that run on other models",
                    source,
                )
            if wrong:
                return


def _items(node: Node) -> list[Node]:
    return node.items if isinstance(node, yaml.Sequence) else [node]
