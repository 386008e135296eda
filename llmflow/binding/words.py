"""What the command line or a program says about a run itself; kept with the run, so that it can go on as it began."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Words:
    """`inputs` are written as after `-i`."""

    inputs: tuple[str, ...] = ()
    workers: str | None = None
    policy: str | None = None
    models: tuple[str, ...] = ()
    fail_fast: bool = False
    only: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def over(self, stored: Mapping[str, Any]) -> Words:
        """These words where they were said, else the stored ones; inputs one by one."""
        known: dict[str, Any] = {name: stored[name] for name in asdict(self) if name in stored}
        known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
        base = Words(**known)
        said = {name: value for name, value in asdict(self).items() if value}
        inputs = {i.partition("=")[0].rstrip(":"): i for i in (*base.inputs, *self.inputs)}
        return replace(base, **{**said, "inputs": tuple(inputs.values())})


def inputs_as_words(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """Values as they would be written after `-i`."""
    return tuple(f"{name}:={json.dumps(value, default=str)}" for name, value in inputs.items())
