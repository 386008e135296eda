"""`llmflow plan`: a simulated run from what is believed of each task. Offline: no key, no import, no network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from llmflow.binding.loading import choose_policy, load_file, model_choice, parse_budget
from llmflow.binding.planning import Case, Question, one_more, plan_of, what_if
from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver, line_length
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.language.inputs import check_inputs, parse_given
from llmflow.reports.plan_json import plan_json
from llmflow.reports.plan_text import render_plan

SAMPLES = 200
"""Sampled runs behind P50 and P90 where no policy is named; a plan for one policy alone is to be quick."""


def plan(
    file: str,
    *,
    inputs: Sequence[str] = (),
    workers: str | None = None,
    policy: str | None = None,
    models: Sequence[str] = (),
    what_ifs: Sequence[str] = (),
    samples: int | None = None,
    plan_budget: str | None = None,
    seed: int = 0,
    store: str | None = None,
    output: str | None = None,
    as_json: bool = False,
) -> int:
    """Print the plan; inputs are checked where they are given, and say how many items there will be."""
    pipeline = load_file(file, model_choice(models))
    given = check_inputs(pipeline, parse_given(inputs)) if inputs else None
    case = Case(pipeline, file, workers, tuple(models))
    compiled = case.bound()
    question = Question(
        policy=choose_policy(pipeline, policy),
        compare=None if policy is None else [],
        samples=samples if samples is not None else SAMPLES if policy is None else 0,
        budget_s=parse_budget(plan_budget),
        seed=seed,
        inputs=given,
    )
    history = Store.open_if_there(store_dir(store, os.environ))
    try:
        made = plan_of(compiled, history, question)
        made = replace(
            made,
            one_more=one_more(case, compiled, history, question) if policy is None else (),
            what_ifs=what_if(case, what_ifs, history, question),
        )
    finally:
        if history is not None:
            history.close()
    deliver(to_json(plan_json(made)) if as_json else render_plan(made, columns=line_length()), output)
    return 0
