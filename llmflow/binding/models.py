"""Which model a task runs on, and which provider that is: names → configurations of providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from llmflow.errors import UsageError
from llmflow.language.pipeline import Pipeline, ProviderSpec
from llmflow.providers.registry import KINDS, ProviderConfig

LOCAL_MODEL = "local/smollm2"
"""What a pipeline without a model runs on where the extra `local` is installed."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What the person said about models. `model` replaces every task's; `aliases` replace single ones."""

    model: str | None = None
    aliases: Mapping[str, str] | None = None

    @classmethod
    def parse(cls, words: Iterable[str]) -> ModelChoice:
        """From `--model X` and `--model ALIAS=X`, in any number. Raises UsageError for a second `--model X`."""
        model: str | None = None
        aliases: dict[str, str] = {}
        for word in words:
            alias, equals, target = word.partition("=")
            if equals:
                aliases[alias] = target
            elif model is not None:
                raise UsageError(f"--model is given twice: {model} and {word}", "--model ALIAS=X replaces one alias")
            else:
                model = word
        return cls(model, aliases)


def default_model(config_file: Path) -> str:
    """What a task without a model runs on: the user's own setting, else the embedded model.

    Raises UsageError naming three ways out: a hosted provider is never guessed from a key.
    """
    if config_file.is_file():
        import tomllib

        try:
            settings = tomllib.loads(config_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{config_file}: {error}") from error
        model = settings.get("model")
        if isinstance(model, str):
            return model
    if find_spec("xllamacpp") is not None:
        return LOCAL_MODEL
    raise UsageError(
        "no model is named, and the embedded one is not installed",
        'say --model provider/name, or write `defaults: {model: …}` in the pipeline, or pip install ".[local]"',
    )


def config_file(environment: Mapping[str, str]) -> Path:
    """The user's own settings: `$LLMFLOW_CONFIG`, else `config.toml` in the user's config directory."""
    if named := environment.get("LLMFLOW_CONFIG"):
        return Path(named)
    from platformdirs import user_config_dir

    return Path(user_config_dir("llmflow", appauthor=False)) / "config.toml"


def resolve(word: str, pipeline: Pipeline) -> tuple[str, ...]:
    """A name given on the command line → `provider/model` candidates. Raises UsageError with a did-you-mean."""
    if word in pipeline.models:
        return pipeline.models[word]
    provider, slash, name = word.partition("/")
    if slash and name and (provider in pipeline.providers or provider in KINDS):
        return (word,)
    providers = dict.fromkeys((*pipeline.providers, *KINDS))
    known = [*pipeline.models, *(f"{p}/{name or '…'}" for p in providers)]
    near = get_close_matches(word, known, n=1)
    raise UsageError(
        f"no model {word!r}",
        f"did you mean {near[0]}?" if near else f"a model is provider/name; providers: {', '.join(providers)}",
    )


def provider_config(name: str, pipeline: Pipeline, *, seed: int) -> ProviderConfig:
    """The configuration of a declared provider, or of one that works undeclared under its kind's name."""
    spec = pipeline.providers.get(name) or ProviderSpec(name, name)
    return ProviderConfig(
        name=name,
        kind=spec.kind,
        base_url=spec.base_url,
        endpoints=spec.endpoints,
        api_key_env=spec.api_key_env,
        speed=spec.speed,
        durations=spec.durations,
        answers=spec.answers,
        seed=seed,
    )
