"""The child process that holds the embedded model: it serves one GGUF file on 127.0.0.1 until its stdin ends.

Run as `python -m llmflow.providers.local_server --model FILE --alias NAME --workers N`. It says one JSON
line on stdout, `{"address": "http://127.0.0.1:PORT", "key": "…"}`, when the model is loaded, and is then
quiet. It knows nothing of pipelines; who started it owns its stdin and ends it by closing that (or by
dying: a death signal tied to the parent would fire when the spawning *thread* ends, end of file does not).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import struct
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

WORKER_CONTEXT = 2048
"""Tokens (prompt and answer together) that each worker has."""

MAX_THREADS = 8
"""More threads than this make small models slower, not faster."""

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Chat markup for a file that names none."""

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


def chat_template(path: Path) -> str:
    """The chat template for the GGUF file at `path`: its own, with a way past it.

    A request with `chat_template_kwargs: {raw: true}` gets its messages' content joined without any
    markup, which is what a few-shot prompt for a small model wants. Raises ValueError for a file that
    is no GGUF. Layout: the GGUF specification of the ggml project, versions 2 and 3.
    """
    with path.open("rb") as file:
        own = _own_template(file) or CHATML
    return (
        "{% if raw is defined and raw %}{% for m in messages %}{{ m['content'] }}{% endfor %}"
        "{% else %}" + own + "{% endif %}"
    )


def _own_template(file: BinaryIO) -> str:
    """The value of `tokenizer.chat_template`, empty where the file has none."""
    try:
        magic, version, _tensors, entries = struct.unpack("<4sIQQ", file.read(24))
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError("not a GGUF file of version 2 or 3")
        for _ in range(entries):
            name = _string(file)
            (kind,) = struct.unpack("<I", file.read(4))
            if name == b"tokenizer.chat_template" and kind == _STRING:
                return _string(file).decode()
            _skip(file, kind)
    except (struct.error, KeyError) as error:
        raise ValueError("a damaged GGUF file") from error
    return ""


def _string(file: BinaryIO) -> bytes:
    (size,) = struct.unpack("<Q", file.read(8))
    return file.read(size)


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _string(file)
    elif kind == _ARRAY:
        inner, count = struct.unpack("<IQ", file.read(12))
        if inner in _SIZES:
            file.seek(_SIZES[inner] * count, os.SEEK_CUR)
        else:
            for _ in range(count):
                _skip(file, inner)
    else:
        file.seek(_SIZES[kind], os.SEEK_CUR)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serve(model: Path, alias: str, workers: int) -> tuple[Any, str, str]:
    """Load the file and listen: the server (keep it), its address and its key."""
    import xllamacpp

    key = secrets.token_urlsafe(24)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = workers
    params.n_ctx = WORKER_CONTEXT * workers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(processors(), MAX_THREADS)
    params.cont_batching = True
    params.ctx_shift = False  # an overlong prompt is an error that says so, never a silently cut one
    params.cache_ram_mib = 0  # the default lets memory grow to 900 MB
    params.cache_idle_slots = False
    params.ui = False
    params.verbosity = 1
    params.chat_template = chat_template(model)
    server = xllamacpp.Server(params)
    return server, server.listening_address, key


def _end_with_stdin() -> None:
    # Nothing here is worth an orderly end, and a server in mid-answer takes its time for one.
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="llmflow.providers.local_server")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    watch = threading.Thread(target=_end_with_stdin, daemon=True)
    watch.start()
    server, address, key = serve(options.model, options.alias, options.workers)
    sys.stdout.write(json.dumps({"address": address, "key": key}) + "\n")
    sys.stdout.flush()
    watch.join()
    del server


if __name__ == "__main__":
    main()
