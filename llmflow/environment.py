"""Which variables of an environment hold a secret, judged by their names. It reads no environment itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL", re.IGNORECASE)

SHORTEST = 6
"""Characters of a value from which on it is looked for in texts; shorter ones stand everywhere by chance."""


def is_secret_name(name: str) -> bool:
    """True for variables such as OPENAI_API_KEY, GITHUB_TOKEN, AWS_SECRET_ACCESS_KEY, PGPASSWORD."""
    return _SECRET.search(name) is not None


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` less everything whose name says that it is secret."""
    return {name: value for name, value in environment.items() if not is_secret_name(name)}


def masked_secrets(text: str, environment: Mapping[str, str]) -> str:
    """`text` with the values of secret variables replaced by `[NAME]`."""
    for name, value in environment.items():
        if len(value) >= SHORTEST and is_secret_name(name):
            text = text.replace(value, f"[{name}]")
    return text
