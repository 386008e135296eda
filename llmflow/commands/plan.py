"""`llmflow plan`: a simulated run from what is believed of each task. Offline: no key, no import, no network."""

from __future__ import annotations

import os
from collections.abc import Sequence

from llmflow.binding.estimates import estimates
from llmflow.binding.forecast import forecast
from llmflow.binding.loading import bind, choose_policy, load_file, model_choice
from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.reports.plan import make_plan
from llmflow.reports.plan_json import plan_json
from llmflow.reports.plan_text import render_plan


def plan(
    file: str,
    *,
    inputs: Sequence[str] = (),
    workers: str | None = None,
    policy: str | None = None,
    models: Sequence[str] = (),
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the plan; inputs are checked where they are given."""
    choice = model_choice(models)
    pipeline = load_file(file, choice)
    if inputs:
        check_inputs(pipeline, parse_given(inputs))
    compiled = bind(pipeline, choice, workers)
    history = Store.open_if_there(store_dir(store, os.environ))
    try:
        planned = forecast(compiled, estimates(compiled, history), history)
    finally:
        if history is not None:
            history.close()
    made = make_plan(
        planned.graph,
        planned.specs,
        compiled.pools,
        planned.estimates,
        policy=choose_policy(pipeline, policy),
        name=pipeline.name,
        compare=None if policy is None else [policy],
        workers=compiled.workers,
        notes=planned.notes,
    )
    deliver(to_json(plan_json(made)) if as_json else render_plan(made), output)
    return 0
