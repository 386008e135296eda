"""Map → map → reduce as a LangGraph; runs in an environment of its own, see `bench/barrier.py`.

Reads the sleeps as JSON from standard input and prints `[makespan, first out, held]`.
"""

from __future__ import annotations

import asyncio
import json
import operator
import sys
import time
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send


class State(TypedDict):
    first: Annotated[list[int], operator.add]
    second: Annotated[list[int], operator.add]


async def run(given: dict[str, Any]) -> list[float]:
    count, began = len(given["one"]), 0.0
    first_out, held, most = 0.0, 0, 0

    async def one(item: dict[str, int]) -> dict[str, list[int]]:
        nonlocal held, most
        await asyncio.sleep(given["one"][item["i"]])
        held += 1
        most = max(most, held)
        return {"first": [item["i"]]}

    async def two(item: dict[str, int]) -> dict[str, list[int]]:
        nonlocal held, first_out
        await asyncio.sleep(given["two"][item["i"]])
        held -= 1
        first_out = first_out or time.perf_counter() - began
        return {"second": [item["i"]]}

    async def last(state: State) -> dict[str, list[int]]:
        await asyncio.sleep(given["last"])
        return {"second": []}

    graph = StateGraph(State)
    graph.add_node("one", one)
    graph.add_node("gathered", lambda state: {"first": []})
    graph.add_node("two", two)
    graph.add_node("last", last)
    graph.add_conditional_edges(START, lambda state: [Send("one", {"i": i}) for i in range(count)], ["one"])
    graph.add_edge("one", "gathered")
    graph.add_conditional_edges("gathered", lambda state: [Send("two", {"i": i}) for i in state["first"]], ["two"])
    graph.add_edge("two", "last")
    graph.add_edge("last", END)
    compiled = graph.compile()
    began = time.perf_counter()
    ended = await compiled.ainvoke({"first": [], "second": []}, {"max_concurrency": given["workers"]})
    makespan = time.perf_counter() - began
    if len(ended["second"]) != count:
        raise SystemExit(f"{len(ended['second'])} of {count} items came out")
    return [makespan, first_out, most]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
