"""A plan of one pipeline as a run would go, and of the same pipeline with something changed.

What is asked for is a `Case`: a file with what a person said about it. It is bound anew for every
change, so that a plan with 8 workers is exactly what `-j 8` would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from llmflow.binding.compile import Compiled
from llmflow.binding.deciding import TRIED, decide
from llmflow.binding.estimates import believed
from llmflow.binding.forecast import Forecast, TooLargeToPlan, forecast
from llmflow.binding.hedging import hedged_runs, hedging
from llmflow.binding.limits import Limits
from llmflow.binding.loading import bind, load_file, model_choice, parse_workers
from llmflow.errors import UsageError
from llmflow.history.store import Store
from llmflow.language.pipeline import Pipeline
from llmflow.reports.plan import Plan, Variation, make_plan
from llmflow.scheduling.fallback import COMPARED
from llmflow.scheduling.setting import Decision

TOGETHER = "all of these"
"""What the last of several `--what-if` is called that are made at once."""

WHAT_IF = "write workers=N, pool:NAME=N or model:ALIAS=provider/name (N may be `unlimited`)"


@dataclass(frozen=True, slots=True)
class Case:
    """A pipeline and what was said about it; `pools` are numbers of workers that replace the file's (0 = unlimited).

    `file` is read again where an alias changes: aliases are resolved while the file is checked.
    """

    pipeline: Pipeline
    file: str
    workers: str | None = None
    models: Sequence[str] = ()
    pools: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    """Of what simulated calls take."""

    def bound(self) -> Compiled:
        """Raises UsageError for a pool that the pipeline does not use."""
        compiled = bind(self.pipeline, model_choice(self.models), self.workers, seed=self.seed)
        if not self.pools:
            return compiled
        names = [pool.name for pool in compiled.pools]
        for name in self.pools:
            if name not in names:
                near = get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"pools: {', '.join(names) or 'none'}"
                raise UsageError(f"the pipeline uses no pool {name!r}", hint)
        cap = compiled.workers
        pools = []
        for pool in compiled.pools:
            size = self.pools.get(pool.name, pool.workers)
            pools.append(replace(pool, workers=min(size or cap, cap) if cap else size))
        return replace(compiled, pools=pools)

    def changed(self, text: str) -> Case:
        """With one `workers=N`, `pool:NAME=N` or `model:ALIAS=X` applied. Raises UsageError."""
        what, equals, value = text.partition("=")
        kind, _, name = what.partition(":")
        if equals and value:
            if what == "workers":
                parse_workers(value, "--what-if workers=")
                return replace(self, workers=value)
            if kind == "pool" and name:
                return replace(self, pools={**self.pools, name: parse_workers(value, f"--what-if pool:{name}=") or 0})
            if what == "model":
                return replace(self, models=[*self.models, value])
            if kind == "model" and name:
                if self.file == "-":
                    raise UsageError("an alias cannot be changed in a pipeline from standard input: it is read once")
                models = [*self.models, f"{name}={value}"]
                return replace(self, models=models, pipeline=load_file(self.file, model_choice(models)))
        raise UsageError(f"--what-if cannot read {text!r}", WHAT_IF)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a case. `compare` as in `make_plan`; `samples` 0 = none; `budget_s` as in `decide`.

    `inputs`: those of the run that is planned, None = what stands in the file.
    """

    policy: str
    compare: Sequence[str] | None = None
    samples: int = 0
    budget_s: float | None = None
    seed: int = 0
    inputs: Mapping[str, Any] | None = None


def plan_of(compiled: Compiled, store: Store | None, question: Question) -> Plan:
    """The plan under the policy asked for; nothing is called, imported or started."""
    known = believed(compiled, store)
    beliefs = known.estimates
    planned = forecast(compiled, beliefs, store, inputs=question.inputs)

    def items() -> Forecast:
        if len(planned.graph) > TRIED:
            raise TooLargeToPlan
        return planned

    def ranked(policy: str) -> Decision:
        decision = decide(compiled, known.whole, policy, seed=question.seed, budget_s=question.budget_s, expected=items)
        priorities = [decision.priorities[stage] for stage in planned.stages]
        return replace(decision, priorities=priorities, holds=planned.holds(decision))

    doubled = hedging(compiled, beliefs, store)
    return make_plan(
        planned.graph,
        planned.specs,
        compiled.pools,
        planned.estimates,
        policy=question.policy,
        name=compiled.pipeline.name,
        compare=question.compare,
        workers=compiled.workers,
        seed=question.seed,
        notes=planned.notes,
        decide=ranked,
        samples=question.samples,
        timeouts=Limits(compiled, known).told(),
        hedged=hedged_runs(compiled, planned, doubled) if doubled is not None else None,
    )


def one_more(case: Case, compiled: Compiled, store: Store | None, question: Question) -> tuple[Variation, ...]:
    """What one worker more would give: to the whole run if it is capped, and to each pool that is short of workers."""
    if len(compiled.graph) > COMPARED:
        return ()
    question = replace(question, compare=[])
    found = []
    if compiled.workers:
        more = compiled.workers + 1
        found.append(_variation(f"workers {more - 1} → {more}", replace(case, workers=str(more)), store, question))
    for pool in compiled.pools:
        if pool.workers and pool.workers != compiled.workers:
            more = pool.workers + 1
            changed = replace(case, pools={**case.pools, pool.name: more})
            found.append(_variation(f"{pool.name} {more - 1} → {more}", changed, store, question))
    return tuple(found)


def what_if(case: Case, changes: Sequence[str], store: Store | None, question: Question) -> tuple[Variation, ...]:
    """The plan under each change by itself and, where they do not contradict each other, under all of them."""
    question = replace(question, compare=[])
    found = [_variation(text, case.changed(text), store, question) for text in changes]
    if 1 < len({text.partition("=")[0] for text in changes}) == len(changes):
        with suppress(UsageError):  # a pool that is not used any more once another model is
            for text in changes:
                case = case.changed(text)
            found.append(_variation(TOGETHER, case, store, question))
    return tuple(found)


def _variation(change: str, case: Case, store: Store | None, question: Question) -> Variation:
    plan = plan_of(case.bound(), store, question)
    outlook = plan.outlook
    quantiles = outlook.makespans[plan.policy] if outlook is not None and outlook.samples > 1 else None
    return Variation(
        change,
        plan.makespan,
        plan.lower_bound,
        quantiles.mean if quantiles is not None else None,
        quantiles.p50 if quantiles is not None else None,
        quantiles.p90 if quantiles is not None else None,
    )
