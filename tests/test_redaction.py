"""Secrets are found in whatever form they come, and nothing else is."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote

import pytest

from llmflow.redaction import PIECE, Redactor

SECRET = "p@ss/w0rd+with?all&of=it"
REDACTOR = Redactor({SECRET: "IT"})


def test_a_secret_is_found_in_texts_addresses_and_json() -> None:
    said = f"{SECRET} {quote(SECRET, safe='')} {json.dumps([SECRET])} {SECRET}{SECRET}"
    assert REDACTOR.text(said) == '[IT] [IT] ["[IT]"] [IT][IT]'
    assert REDACTOR.text("nothing of the kind") == "nothing of the kind"


def test_a_secret_is_found_in_base64_wherever_it_stands_in_it() -> None:
    dice = random.Random(5)
    for length in range(40):
        around = "".join(dice.choices(string.ascii_letters, k=length))
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(f"{around}{SECRET}{around[::2]}".encode()).decode()
            assert REDACTOR.text(f"Basic {coded}, and more") == "Basic [IT], and more"


def test_data_without_a_secret_stays_the_same_object_and_with_one_only_its_texts_change() -> None:
    data = {"a": [1, None, "text", {"b": 2.5}]}
    assert REDACTOR.data(data) is data
    assert REDACTOR.data({SECRET: [1, None, f"x {SECRET}", (True,)]}) == {"[IT]": [1, None, "x [IT]", [True]]}


def test_of_a_text_that_was_cut_anywhere_no_piece_of_a_secret_is_told() -> None:
    said = f"the answer is not JSON, near: {SECRET} and so on"
    for begin in range(len(said)):
        for end in (len(said), begin + 12, begin + 40):
            told = REDACTOR.told(said[begin:end])
            assert not any(SECRET[at : at + PIECE] in told for at in range(len(SECRET) - PIECE + 1))
    assert REDACTOR.told("p@ss/w0 is too short a piece") == "p@ss/w0 is too short a piece"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("API_TOKEN", "hunter2", True),  # named by the pipeline
        ("API_TOKEN", "short", False),
        ("OTHER_KEY", "AbCdEfGh12345678", True),
        ("OTHER_KEY", "AbCdEfGh1234567", False),
        ("TOKEN_FILE", "/run/secrets/token1", False),
        ("KEY_HINT", "two words of 16 letters", False),
        ("HOME_PAGE", "AbCdEfGh12345678", False),
    ],
)
def test_which_variables_hold_a_secret(name: str, value: str, found: bool) -> None:
    redactor = Redactor.of({name: value}, ["API_TOKEN"])
    assert redactor.text(f"<{value}>") == (f"<[{name}]>" if found else f"<{value}>")
