"""How errors are read: waiting times, and what of somebody else's text is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.errors import FailureKind
from llmflow.providers.endpoints import Endpoint
from llmflow.providers.failures import from_status, kind_of_status, retry_after, shown
from llmflow.sanitise import one_line

NOW = 1_800_000_000.0


@given(st.text() | st.floats().map(str) | st.integers().map(str), st.text() | st.none())
def test_a_waiting_time_is_never_negative_nor_endless(value, milliseconds):
    headers = {"retry-after": value, **({} if milliseconds is None else {"retry-after-ms": milliseconds})}
    seconds = retry_after(headers, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10**9))
def test_a_date_is_the_time_until_then(later):
    when = datetime.fromtimestamp(NOW + later, UTC)
    assert retry_after({"retry-after": format_datetime(when, usegmt=True)}, NOW) == later
    assert retry_after({"retry-after": formatdate(NOW - later, usegmt=True)}, NOW) == 0.0


@given(st.integers(300, 999))
def test_every_status_has_a_kind(status):
    assert kind_of_status(status) in FailureKind


@given(st.binary(max_size=400), st.sampled_from([400, 401, 403, 429, 500]))
def test_any_body_gives_a_short_clean_sentence(body, status):
    endpoint = Endpoint("http://h/v1", "key-canary", "MY_KEY")
    detail = from_status(status, {}, body + b" key-canary \x1b[31m", endpoint).detail
    assert "key-canary" not in detail
    assert detail == one_line(detail)
    assert len(detail) < 500


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred\x1b[0m \u202egnp", "red gnp"),
        ("Incorrect API key provided: sk-abc***wxyz.", "Incorrect API key provided: [key]"),
        ("the key is topsecret", "the key is [key]"),
        ("Authorization: Bearer abc.def", "Authorization: [key]"),
        ("x" * 400, "x" * 299 + "…"),
        ("task-based risk-free", "task-based risk-free"),
    ],
)
def test_somebody_elses_text_is_shown_without_its_power(text, result):
    assert shown(text, Endpoint("http://h", "topsecret", "MY_KEY")) == result
