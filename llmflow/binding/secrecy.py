"""Which secrets a run has to keep to itself, and what of an answer is stored where one stands in it.

A value with a secret in it flows on to later tasks as it is. What is stored and shown has the name of the variable
in its place, and such an answer serves nobody again: a later task, or a resumed run, would work with the name
instead of the secret. So the question is asked again, and the reason is told.

The key of a question stays a hash (SHA-256) of what was really asked, secrets included: with another one it is
another question. Of a key of the usual length nobody learns anything by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmflow.binding.answered import WITHHELD
from llmflow.binding.compile import Compiled
from llmflow.environment import is_secret_name
from llmflow.history.records import AnswerRecord
from llmflow.providers.registry import KINDS
from llmflow.redaction import Redactor

NOT_KEPT = "[not kept]"
"""Stands for what is a secret by the name of its header or variable."""

_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth"})


def redactor_of(compiled: Compiled, environment: Mapping[str, str]) -> Redactor:
    """Keys of the providers, secrets that the pipeline and those it uses name in `env`, and whatever looks like one."""
    named = {name for stage in compiled.stages.rows for name in stage.space.pipeline.env if is_secret_name(name)}
    named |= {name for name in compiled.pipeline.env if is_secret_name(name)}
    for config in compiled.providers:
        if config is not None:
            named.add(config.api_key_env or KINDS[config.kind].key_env or "")
    return Redactor.of(environment, named)


def shown_asked(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a program was given or a server was sent, less what is a secret by its name. Used for showing it alone."""
    shown = dict(asked)
    for part, is_secret in (("headers", _is_secret_header), ("env", is_secret_name)):
        if part in asked:
            shown[part] = {name: NOT_KEPT if is_secret(name) else value for name, value in asked[part].items()}
    return shown


def without_secrets(record: AnswerRecord, redactor: Redactor) -> AnswerRecord:
    """The record as it may be stored. One whose answer held a secret has no key to be found by; its parts tell."""
    if not redactor.holds_any(
        record.output,
        record.text,
        record.messages,
        record.finish_reason,
        record.answered_by,
        record.request_id,
    ):
        return record
    clean = replace(
        record,
        output=redactor.data(record.output),
        text=record.text and redactor.text(record.text),
        messages=redactor.data(record.messages),
        finish_reason=redactor.text(record.finish_reason),
        answered_by=redactor.text(record.answered_by),
        request_id=redactor.text(record.request_id),
    )
    if clean.output != record.output or clean.text != record.text:
        clean = replace(clean, key="", parts={**record.parts, WITHHELD: record.key})
    return clean


def _is_secret_header(name: str) -> bool:
    return name.lower() in _HEADERS or is_secret_name(name)
