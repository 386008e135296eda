"""What every test gets: a home of its own, no keys, no way out to the network, and the real model if it is here.

Tests that need the real model ask for `local_model` (its file) or `local_server` (one server for the whole
suite). Where the model or its engine is absent they are skipped and say why; with LLMFLOW_REQUIRE_LOCAL=1
they fail instead.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import llmflow
from llmflow.errors import SetupError
from llmflow.providers import local_model as model_files

# A loaded machine is no failure: what has to be fast is measured in bench/.
hypothesis.settings.register_profile("llmflow", deadline=None)
hypothesis.settings.load_profile("llmflow")

REQUIRED = os.environ.get("LLMFLOW_REQUIRE_LOCAL") == "1"


def _find_real_model() -> tuple[Path | None, str]:
    """The model's file as the user has it, or why it cannot be used."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None, 'the extra is not installed: pip install ".[local]"'
    try:
        found = model_files.find_model(os.environ)
    except SetupError as error:
        return None, error.message
    return found, "" if found else "the model is not in the cache: llmflow local pull"


REAL_MODEL, WHY_NO_MODEL = _find_real_model()  # before any test gets a home of its own


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    try:
        address = ipaddress.ip_address(arguments[1][0].partition("%")[0])
    except ValueError:
        return  # a name: it is resolved first, and its address comes by here again
    if not address.is_loopback:
        raise PermissionError(f"a test wanted to connect to {address}")


sys.addaudithook(_only_loopback)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home for each test; nothing of the user's own can be read, changed or sent."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith(("OPENAI_", "ANTHROPIC_", "LLMFLOW_", "XDG_")):
            monkeypatch.delenv(name)
    for name in ("CACHE", "CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LLMFLOW_STORE", str(home / "store"))
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(home / "anthropic"))
    # A child process is to find this very llmflow, wherever it is started.
    monkeypatch.setenv("PYTHONPATH", str(Path(llmflow.__file__).parents[1]))
    if REAL_MODEL is not None:
        monkeypatch.setenv(model_files.VARIABLE, str(REAL_MODEL))
    return home


@pytest.fixture(scope="session")
def local_model() -> Path:
    """The file of the real model."""
    if REAL_MODEL is None:
        if REQUIRED:
            pytest.fail(f"the real model is required here: {WHY_NO_MODEL}")
        pytest.skip(WHY_NO_MODEL)
    return REAL_MODEL


@dataclass(frozen=True)
class ModelServer:
    """Where the real model answers: `base_url` without `/v1`, its key, the model's name."""

    base_url: str
    key: str
    model: str


@pytest.fixture(scope="session")
def local_server(local_model: Path) -> Iterator[ModelServer]:
    """The real model, served over loopback with two workers until the last test has ended."""
    name = model_files.EMBEDDED.name
    options = ["--model", str(local_model), "--alias", name, "--workers", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "llmflow.providers.local_server", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "GOMP_SPINCOUNT": "0", "PYTHONPATH": str(Path(llmflow.__file__).parents[1])},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        hello = json.loads(child.stdout.readline())
        yield ModelServer(hello["address"], hello["key"], name)
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()
