"""Text of strangers has no power over a terminal."""

from __future__ import annotations

import unicodedata

import pyte
import pytest
from escape_payloads import BEL, ESC, PAYLOADS
from hypothesis import given
from hypothesis import strategies as st

from llmflow.sanitise import clip, fit, one_line, printable, width


@pytest.mark.parametrize("payload", PAYLOADS, ids=[f"{i:02d}" for i in range(len(PAYLOADS))])
def test_a_payload_leaves_title_cursor_modes_and_the_rest_of_the_screen_alone(payload: str) -> None:
    screen = pyte.Screen(60, 6)
    stream = pyte.Stream(screen)
    modes = set(screen.mode)
    shown = one_line(payload)
    stream.feed("first line\r\n" + shown)
    assert screen.title == ""
    assert not screen.cursor.hidden
    assert screen.margins is None
    assert screen.mode == modes
    assert (screen.cursor.y, screen.cursor.x) == (1, width(shown))
    assert screen.display[0].rstrip() == "first line"
    assert [line.strip() for line in screen.display[2:]] == [""] * 4
    assert screen.cursor.attrs == pyte.screens.Char(" ")


@given(st.text(st.characters(codec=None)))
def test_printable_text_holds_no_control_no_escape_and_no_lone_surrogate(text: str) -> None:
    shown = printable(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert not set(shown) & set("\u200b\u200d\u202e\u2066\u2069\ufeff\u061c")
    assert printable(shown) == shown


@given(st.text(st.characters(codec=None)), st.integers(0, 30))
def test_a_fitted_text_has_exactly_the_width_asked_for(text: str, cells: int) -> None:
    shown = fit(one_line(text), cells)
    assert width(shown) == cells
    assert "\n" not in shown
    assert "\t" not in shown


def test_words_survive_and_markup_is_only_text() -> None:
    assert printable("déjà vu\n\tnaïve [/nope] [red]x[/red] {{7*7}}") == "déjà vu\n\tnaïve [/nope] [red]x[/red] {{7*7}}"
    assert printable(f"a{ESC}[31mred{ESC}[0m b{ESC}]0;title{BEL} c") == "ared b c"
    assert printable("lone \ud800 half") == "lone � half"
    assert one_line("  two\n\nlines \t here ") == "two lines here"


def test_width_counts_terminal_cells() -> None:
    assert width("abc") == 3
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert clip("日本語", 5) == "日本…"
    assert clip("日本語", 4) == "日…"
    assert clip("日本語", 6) == "日本語"
    assert clip("abc", 0) == ""
    assert fit("ab", 4) == "ab  "
    assert fit("ab", 4, right=True) == "  ab"
