"""What one model call costs the client: llmflow with all it does, beside the vendors' SDKs as people use them.

    python -m bench.http [--quick] [--calls 2000]

The other side is tests/fake_server.py in a process of its own, on loopback, 50 ms per reply. Every
client is a fresh process that warms up with as many calls as it will have in flight, then makes its
calls; µs of CPU per call, user + system, all its threads. llmflow runs a pipeline of independent
prompts with so many workers: engine, durable journal, usage accounting and the plain view on. The
SDKs are `AsyncOpenAI().chat.completions.create` and `AsyncAnthropic().messages.create` on their
default transport, bounded by a semaphore. Resident memory is the peak at the calls less that before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.measuring import ROOT, print_table, ratio, say_machine

LATENCY = 0.05
PROMPT = "Summarise in one sentence what the report of station {} says about its last week, please."


def spent() -> float:
    """CPU seconds of this process so far."""
    return time.process_time()


def peak() -> int:
    """Largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- clients, each in a process of its own ----------------------------------------------------------


async def bounded(ask: Callable[[int], Awaitable[Any]], calls: int, in_flight: int) -> None:
    gate = asyncio.Semaphore(in_flight)

    async def one(number: int) -> None:
        async with gate:
            await ask(number)

    await asyncio.gather(*(one(number) for number in range(calls)))


async def measured(ask: Callable[[int], Awaitable[Any]], calls: int, in_flight: int) -> dict[str, float]:
    await bounded(ask, 1, 1)
    before = peak()
    await bounded(ask, in_flight, in_flight)
    began = spent()
    await bounded(ask, calls, in_flight)
    return {"cpu": spent() - began, "bytes": (peak() - before) / in_flight}


def openai(url: str, calls: int, in_flight: int) -> dict[str, float]:
    from openai import AsyncOpenAI

    async def run() -> dict[str, float]:
        async with AsyncOpenAI(api_key="none", base_url=f"{url}/v1") as client:

            async def ask(number: int) -> str:
                said: Any = [{"role": "user", "content": PROMPT.format(number)}]
                reply = await client.chat.completions.create(model="any", messages=said)
                return reply.choices[0].message.content or ""

            return await measured(ask, calls, in_flight)

    return asyncio.run(run())


def anthropic(url: str, calls: int, in_flight: int) -> dict[str, float]:
    from anthropic import AsyncAnthropic

    async def run() -> dict[str, float]:
        async with AsyncAnthropic(api_key="none", base_url=url) as client:

            async def ask(number: int) -> Any:
                said: Any = [{"role": "user", "content": PROMPT.format(number)}]
                return await client.messages.create(model="any", messages=said, max_tokens=100)

            return await measured(ask, calls, in_flight)

    return asyncio.run(run())


def llmflow(kind: str) -> Callable[[str, int, int], dict[str, float]]:
    """One run over a warm-up's worth of tasks, then one over all: the second less what a run of one task costs."""

    def client(url: str, calls: int, in_flight: int) -> dict[str, float]:
        from llmflow.binding.estimates import believed
        from llmflow.binding.execution import RunOptions, execute
        from llmflow.binding.loading import bind, load_file, model_choice
        from llmflow.history.store import Store
        from llmflow.views.plain import PlainLines

        base = f"{url}/v1" if kind == "openai" else url
        with tempfile.TemporaryDirectory() as folder, open("/dev/null", "w") as nowhere:

            def run(count: int) -> float:
                file = Path(folder, f"{count}.yaml")
                tasks = "\n".join(f'  t{i}: {{prompt: "{PROMPT.format(i)}"}}' for i in range(count))
                head = f"name: http\nproviders: {{fake: {{kind: {kind}, base_url: '{base}', workers: {in_flight}}}}}\n"
                file.write_text(head + "defaults: {model: fake/any, params: {max_output_tokens: 100}}\n"
                                f"tasks:\n{tasks}\n")  # fmt: skip
                compiled = bind(load_file(str(file)), model_choice(()), None)
                with Store.open(Path(folder, "store")) as store:
                    options = RunOptions(
                        inputs={},
                        policy="critical-path",
                        beliefs=believed(compiled, store),
                        environment={},
                        store=store,
                        views=[PlainLines(nowhere)],
                    )
                    began = spent()
                    result = asyncio.run(execute(compiled, options))
                    cost = spent() - began
                if result.status != "succeeded" or result.usage.output_tokens < count:
                    raise SystemExit(f"the run {result.status}")
                return cost

            run(1)
            before = peak()
            run(in_flight)
            held = (peak() - before) / in_flight
            once = run(1)
            return {"cpu": run(calls) - once, "bytes": held}

    return client


CLIENTS: dict[str, Callable[[str, int, int], dict[str, float]]] = {
    "llmflow, openai": llmflow("openai"),
    "AsyncOpenAI": openai,
    "llmflow, anthropic": llmflow("anthropic"),
    "AsyncAnthropic": anthropic,
}
BESIDE = {"llmflow, openai": "AsyncOpenAI", "llmflow, anthropic": "AsyncAnthropic"}


# ---- the table --------------------------------------------------------------------------------------


def measure(client: str, url: str, calls: int, in_flight: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.http", "--client", client, url, str(calls), str(in_flight)]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{client}: {ran.stderr.strip()}")
    figures: dict[str, float] = json.loads(ran.stdout)
    return figures


def main() -> None:
    if sys.argv[1:2] == ["--client"]:
        client, url, calls, in_flight = sys.argv[2:]
        print(json.dumps(CLIENTS[client](url, int(calls), int(in_flight))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few calls, to see that it works")
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 50, 500])
    options = parser.parse_args()
    widths, rounds = ([2], 1) if options.quick else (options.in_flight, options.rounds)
    say_machine()
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fake_server.py"), "--latency", str(LATENCY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = []
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for width in widths:
            calls = 4 if options.quick else 200 if width == 1 else options.calls
            figures: dict[str, list[dict[str, float]]] = {client: [] for client in CLIENTS}
            for _ in range(rounds):
                for client in CLIENTS:
                    figures[client].append(measure(client, url, calls, width))
            cpu = {client: [f["cpu"] / calls * 1e6 for f in found] for client, found in figures.items()}
            for client, each in cpu.items():
                beside = f"{ratio(each, cpu[BESIDE[client]]):.2f}" if client in BESIDE else ""
                held = median(f["bytes"] for f in figures[client]) / 1000
                row = [f"{width} in flight: {client}", f"{median(each):.0f}", beside]
                rows.append([*row, f"{held:.0f}" if width >= 50 else ""])
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait()
    print_table("µs of CPU per call in the client", ["", "µs", "× the SDK", "kB per call in flight"], rows)


if __name__ == "__main__":
    main()
