"""Every kind of provider in one table; each is imported only when a run uses it.

A new kind is one file and one line in `KINDS`. Its class is called as `cls(config, environment)`,
inside the running event loop, once per run and provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any, cast

from llmflow.errors import SetupError
from llmflow.protocol import Provider

UNLIMITED = 0
OWN_ENDPOINT_WORKERS = 4
"""Workers of each endpoint that the user runs: a server of one's own queues what it cannot run."""


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """One provider of a run, as the pipeline declares it (or as its kind's name implies it)."""

    name: str
    kind: str
    base_url: str | None = None
    endpoints: tuple[str, ...] = ()
    api_key_env: str | None = None
    speed: float = 1.0
    durations: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Task → seconds that a simulated call really takes, whatever is believed."""
    answers: Any = field(default=None, hash=False)
    seed: int = 0
    slots: int = 0
    """How many attempts the run makes at once at most; 0 = unknown."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints that are written, in order; empty where the kind's own host is meant."""
        return self.endpoints or ((self.base_url,) if self.base_url else ())


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind before it is imported.

    `workers` is the default per endpoint (0 = unlimited). `hosted`: somebody else's service, which
    wants the key in `key_env`. `base_url` is where it answers unless the pipeline says otherwise.
    """

    target: str
    hosted: bool
    workers: int
    summary: str
    key_env: str | None = None
    base_url: str | None = None


KINDS: dict[str, Kind] = {
    "openai": Kind(
        "llmflow.providers.openai:OpenAIProvider",
        hosted=True,
        workers=UNLIMITED,
        summary="OpenAI, and every server that speaks its chat completions (base_url or endpoints)",
        key_env="OPENAI_API_KEY",
        base_url="https://api.openai.com/v1",
    ),
    "anthropic": Kind(
        "llmflow.providers.anthropic:AnthropicProvider",
        hosted=True,
        workers=UNLIMITED,
        summary="Anthropic, and every server that speaks its messages (base_url or endpoints)",
        key_env="ANTHROPIC_API_KEY",
        base_url="https://api.anthropic.com",
    ),
    "ollama": Kind(
        "llmflow.providers.openai:OpenAIProvider",
        hosted=False,
        workers=OWN_ENDPOINT_WORKERS,
        summary="an Ollama server on this machine",
        base_url="http://localhost:11434/v1",
    ),
    "local": Kind(
        "llmflow.providers.local:LocalProvider",
        hosted=False,
        workers=2,
        summary="the embedded model, in a child process of the run",
    ),
    "simulated": Kind(
        "llmflow.providers.simulated:SimulatedProvider",
        hosted=False,
        workers=UNLIMITED,
        summary="no model: waits as long as the estimates say and makes an answer up",
    ),
    "mock": Kind(
        "llmflow.providers.mock:MockProvider",
        hosted=False,
        workers=UNLIMITED,
        summary="no model: gives the answers that the pipeline scripts",
    ),
}


def kind_of(config: ProviderConfig) -> Kind:
    """The kind that `config` names. Raises `SetupError` for a name that is not in `KINDS`."""
    try:
        return KINDS[config.kind]
    except KeyError:
        near = get_close_matches(config.kind, KINDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"kinds are: {', '.join(KINDS)}"
        raise SetupError(f"provider {config.name}: there is no kind {config.kind!r}", hint) from None


def default_workers(config: ProviderConfig) -> int:
    """Workers per endpoint where the author wrote none; 0 = unlimited."""
    kind = kind_of(config)
    if kind.hosted and any(url.rstrip("/") != kind.base_url for url in config.urls):
        return OWN_ENDPOINT_WORKERS
    return kind.workers


def create(config: ProviderConfig, environment: Mapping[str, str]) -> Provider:
    """The provider, ready for calls. Imports its kind; call it inside the running event loop.

    Raises `SetupError` that names the missing variable (never its value) and the way out.
    """
    module, _, name = kind_of(config).target.partition(":")
    return cast(Provider, getattr(import_module(module), name)(config, environment))
