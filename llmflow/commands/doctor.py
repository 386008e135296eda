"""`llmflow doctor`: is this machine ready? Versions, the store, keys (present or not, never shown), endpoints."""

from __future__ import annotations

import os
import platform
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from urllib.parse import urlsplit

from llmflow import __version__
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.commands.console import as_json as to_json
from llmflow.commands.console import deliver
from llmflow.errors import LlmflowError
from llmflow.history.location import store_dir
from llmflow.history.store import Store
from llmflow.providers.local_model import find_model
from llmflow.providers.registry import KINDS, ProviderConfig

SDKS = ("typer", "pyyaml", "rich", "jinja2", "openai", "anthropic", "aiohttp", "jsonschema", "xllamacpp")
CONNECT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check. `state` is `ok`, `missing` (only some pipelines need it) or `bad`."""

    what: str
    state: str
    detail: str


def doctor(file: str | None, *, store: str | None = None, as_json: bool = False) -> int:
    """Print the findings; 0 unless something is bad, else 5. Only with `file` is anything connected to."""
    findings = [*_versions(), _store(store), *_keys(), *_local()]
    if file is not None:
        findings += _pipeline(file)
    if as_json:
        rows = [{"what": f.what, "state": f.state, "detail": f.detail} for f in findings]
        deliver(to_json({"schema": "llmflow.doctor/1", "findings": rows}))
    else:
        width = max(len(f.what) for f in findings)
        deliver("\n".join(f"{f.state:<8}{f.what:<{width}}  {f.detail}".rstrip() for f in findings))
    return 5 if any(f.state == "bad" for f in findings) else 0


def _versions() -> Iterator[Finding]:
    yield Finding("llmflow", "ok", __version__)
    yield Finding("Python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("SQLite", "ok", sqlite3.sqlite_version)
    for package in SDKS:
        try:
            yield Finding(package, "ok", version(package))
        except PackageNotFoundError:
            optional = package == "xllamacpp"
            yield Finding(package, "missing" if optional else "bad", 'pip install ".[local]"' if optional else "")


def _store(store: str | None) -> Finding:
    directory = store_dir(store, os.environ)
    try:
        with Store.open(directory) as history:
            return Finding("store", "ok", "; ".join([f"{directory}, writable", *history.warnings]))
    except LlmflowError as error:
        return Finding("store", "bad", str(error).replace("\n", ";"))


def _keys() -> Iterator[Finding]:
    for kind in KINDS.values():
        if kind.key_env is not None:
            present = bool(os.environ.get(kind.key_env))
            yield Finding(kind.key_env, "ok" if present else "missing", "set" if present else "not set")


def _local() -> Iterator[Finding]:
    if find_spec("xllamacpp") is None:
        return
    try:
        path = find_model(os.environ)
    except LlmflowError as error:
        yield Finding("embedded model", "bad", str(error).replace("\n", ";"))
    else:
        detail = str(path) if path is not None else "not fetched yet; `llmflow local pull` does it, or its first use"
        yield Finding("embedded model", "ok" if path is not None else "missing", detail)


def _pipeline(file: str) -> Iterator[Finding]:
    """The keys and endpoints that this pipeline needs."""
    compiled = bind(load_file(file), model_choice(()), None)
    for provider in filter(None, compiled.providers):
        kind = KINDS[provider.kind]
        wanted = provider.api_key_env or (kind.key_env if not provider.urls else None)
        if wanted is not None:
            present = bool(os.environ.get(wanted))
            yield Finding(
                f"{provider.name} key", "ok" if present else "bad", f"{wanted} is {'' if present else 'not '}set"
            )
        for url in _urls(provider):
            yield _reach(provider.name, url)


def _urls(provider: ProviderConfig) -> tuple[str, ...]:
    default = KINDS[provider.kind].base_url
    return provider.urls or ((default,) if default else ())


def _reach(name: str, url: str) -> Finding:
    """Can a connection be made? Nothing is sent."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        return Finding(f"{name} endpoint", "bad", f"{url}: {error.strerror or error}")
    return Finding(f"{name} endpoint", "ok", f"{url}: reachable")
