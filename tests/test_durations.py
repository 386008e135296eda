from __future__ import annotations

import pytest

from llmflow.language.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("90s", 90.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        ("0.25h", 900.0),
        ("1h30m", 5400.0),
        ("1m500ms", 60.5),
        ("1h2m3s4ms", 3723.004),
        ("0s", 0.0),
        (" 5m ", 300.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("90", "`90` has no unit; write `90s` for seconds, or use `ms`, `m` or `h`"),
        ("1.5", "`1.5` has no unit; write `1.5s` for seconds, or use `ms`, `m` or `h`"),
        ("", "a duration is empty; write one such as `90s`"),
        ("5min", "`5min` is not a duration; write `5m`"),
        ("2 hours", "`2 hours` is not a duration; write `2h`"),
        ("10S", "`10S` is not a duration; write `10s`"),
        ("3d", "`3d` is not a duration: the largest unit is `h`; write `72h`"),
        ("1s1h", "`1s1h` is not a duration; write one such as `500ms`, `90s`, `10m`, `2h` or `1h30m`"),
        ("-3s", "`-3s` is not a duration; write one such as `500ms`, `90s`, `10m`, `2h` or `1h30m`"),
        ("soon", "`soon` is not a duration; write one such as `500ms`, `90s`, `10m`, `2h` or `1h30m`"),
        ("٣s", "`٣s` is not a duration; write one such as `500ms`, `90s`, `10m`, `2h` or `1h30m`"),
        ("9" * 400 + "s", f"`{'9' * 40}` is too long for a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_would_be_right(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"duration|unit") as caught:
        parse_duration(text)
    assert str(caught.value) == sentence
