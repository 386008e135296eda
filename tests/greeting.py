"""A pipeline that greets, in several moods, and what a run of it says."""

from __future__ import annotations

from pathlib import Path

from command_line import Ended, masked
from fake_server import FakeServer

GREETING = """
name: greeting
inputs: {name: {type: string, default: Ada}}
providers: {mock: {answers: {greet: "Hello Ada", count: {words: 2}, bad: {error: refusal, detail: never}}}}
defaults: {model: mock/any}
"""
ONE = GREETING + "tasks: {greet: {prompt: 'Greet {{ inputs.name }}'}}"
LATE = GREETING.replace('"Hello Ada"', '{text: "Hello Ada", delay: 0.3}')
TWO = LATE + "tasks: {greet: {prompt: 'Greet Ada'}, bad: {prompt: x}, after: {prompt: '{{ tasks.bad.output }}'}}"
DATA = GREETING + "tasks: {count: {prompt: 'Count', output: {schema: {words: integer}}}}"
ACCEPTED = GREETING + "tasks: {bad: {prompt: x, on_error: {default: [1]}}}"

RUN_SAID = """\
TIME  run RUN of greeting: 1 task
TIME  greet  started on mock/0
TIME  greet  succeeded after N.N s, ~2 + 2 tokens
TIME  run succeeded
run succeeded: 1 task, 1 succeeded
makespan      N.N s · lower bound N.N s (critical path), ratio N.N
fifo          N.N s, first in, first out on the same durations
critical path greet
workers       mock × unlimited (1 used), N % busy (0: N %)
tokens        ~2 input, ~2 output
time          WHERE IT WENT
"""

GOLDEN = Path(__file__).parent / "golden"

SDKS = ("openai", "anthropic", "aiohttp", "httpx2", "rich", "jsonschema", "xllamacpp")

CANARY = "sk-canary-7f3a9c1e5b"


def said(ended: Ended) -> Ended:
    """With times, shares and ids masked."""
    return Ended(ended.code, masked(ended.out), masked(ended.err))


def asking(server: FakeServer, provider: str) -> str:
    return (
        f"providers: {{api: {provider.replace('URL', server.openai_url)}}}\ntasks: {{t: {{prompt: x, model: api/m}}}}"
    )
