"""What is said to a model for one attempt: the request with its images, and the hash that stands for it."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmflow.binding.answered import Key, key_from, key_of
from llmflow.binding.loops import Loop
from llmflow.binding.nodes import Node
from llmflow.errors import CallFailed, FailureKind
from llmflow.language.pipeline import Task
from llmflow.protocol import Image, Message, Request, clean_text
from llmflow.providers.registry import ProviderConfig
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.events import AttemptStarted

DEFAULT_MAX_OUTPUT_TOKENS = 1024
"""What `on_truncated: extend` doubles where the author wrote no `max_output_tokens`."""

MAX_IMAGE = 20 * 1024 * 1024


def request_for(
    node: Node,
    started: AttemptStarted,
    model: str,
    scope: Mapping[str, Any],
    loop: Loop,
    estimate: Estimate,
    *,
    copy: int = 0,
) -> Request:
    """The request of one attempt, or of its `copy`-th further call.

    Raises CallFailed(template) for what cannot be rendered.
    """
    task: Task = node.stage.task
    messages = [Message(m.role, clean_text(m.content.text(scope))) for m in task.messages]
    if task.images:
        last = messages[-1]
        images = tuple(_image(node.frame.folder, structure.value(scope)) for structure in task.images)
        messages[-1] = Message(last.role, last.content, images)
    messages += loop.turns
    params: dict[str, Any] = dict(task.params.value(scope)) if task.params is not None else {}
    if loop.extensions:
        limit = int(params.get("max_output_tokens") or DEFAULT_MAX_OUTPUT_TOKENS)
        params["max_output_tokens"] = limit * 2**loop.extensions
    address = node.address
    return Request(
        model=model.partition("/")[2],
        messages=tuple(messages),
        system=clean_text(task.system.text(scope)) if task.system is not None else "",
        params=params,
        schema=task.output.schema,
        stream=task.timeout.idle is not None,
        endpoint=started.endpoint,
        label=node.stage.name if address is None else f"{node.stage.name}[{address}]",
        attempt=started.number,
        copy=copy,
        expected=estimate.mean,
        expected_sd=estimate.sd,
        expected_output_tokens=task.estimate.output_tokens if task.estimate is not None else None,
    )


def request_key(request: Request, provider: ProviderConfig, written: str) -> Key:
    """What stands for the request; the endpoint that happens to serve it changes nothing. `written`: see below."""
    turns = [(m.role, m.content, [hashlib.sha256(i.data).hexdigest() for i in m.images]) for m in request.messages]
    parts: dict[str, Any] = {
        "model": (provider.kind, provider.urls, request.model),
        "input": (turns, request.system),
        "params": dict(request.params),
        "schema": request.schema,
    }

    def before() -> str:
        return key_of(*parts["model"], turns, request.system, parts["params"], request.schema)

    return key_from(parts, before, prompt=written)


def written_hash(task: Task) -> str:
    """A hash of what the author wrote for the model, data not yet filled in: a changed prompt can be told."""
    written = [(m.role, m.content.source) for m in task.messages]
    system = task.system.source if task.system is not None else ""
    return hashlib.sha256(json.dumps([written, system, task.python]).encode()).hexdigest()[:16]


def asked_of(request: Request) -> list[dict[str, Any]]:
    """The conversation as it was sent, the system text first; images by their kind and size."""
    turns: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    for message in request.messages:
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.images:
            turn["images"] = [{"media_type": i.media_type, "bytes": len(i.data)} for i in message.images]
        turns.append(turn)
    return turns


def _image(folder: Path, name: Any) -> Image:
    """An image file below the pipeline's folder. Raises CallFailed(template)."""
    path = (folder / str(name)).resolve()
    kind = mimetypes.guess_type(path.name)[0] or ""
    try:
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise CallFailed(FailureKind.TEMPLATE, f"image {name}: no such file below the pipeline's folder")
        if path.stat().st_size > MAX_IMAGE:
            raise CallFailed(FailureKind.TEMPLATE, f"image {name}: larger than {MAX_IMAGE // 2**20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise CallFailed(FailureKind.TEMPLATE, f"image {name}: {error.strerror}") from error
    if not kind.startswith("image/"):
        raise CallFailed(FailureKind.TEMPLATE, f"image {name}: not an image by its name (png, jpg, webp, gif)")
    return Image(data, kind)
