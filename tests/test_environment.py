"""Which variables are taken for secrets, and what a child or a message gets of them."""

from __future__ import annotations

import pytest

from llmflow.environment import is_secret_name, masked_secrets, without_secrets

SECRET = ["OPENAI_API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "my_passwd", "DB_CREDENTIALS"]
PLAIN = ["PATH", "HOME", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "LLMFLOW_LOCAL_MODEL", "LD_LIBRARY_PATH"]


@pytest.mark.parametrize("name", SECRET + PLAIN)
def test_a_name_tells_whether_its_value_is_secret(name: str) -> None:
    assert is_secret_name(name) == (name in SECRET)


def test_an_environment_without_secrets_keeps_all_the_rest() -> None:
    environment = {name: "value of " + name for name in SECRET + PLAIN}
    assert without_secrets(environment) == {name: "value of " + name for name in PLAIN}


def test_a_text_is_shown_with_the_names_of_secrets_in_place_of_their_values() -> None:
    environment = {"A_KEY": "sk-canary", "HOME": "/home/ada", "B_TOKEN": "x", "C_KEY": ""}
    text = "sk-canary in /home/ada, xx"
    assert masked_secrets(text, environment) == "[A_KEY] in /home/ada, xx"
