"""The graph of bench.reliability in three other ways, each as its documentation shows it. Knows nothing of llmflow.

    python -m bench.reliability_peers gather|langgraph|langgraph-sync|dbos URL FOLDER ITEMS

Started again after a crash, each goes on as well as it can and prints the last answer. Four calls at a time.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

from openai import AsyncOpenAI

WORKERS = 4


def asking(url: str) -> Callable[[str], Awaitable[str]]:
    """A call of the model, by the SDK with its own retries."""
    client = AsyncOpenAI(api_key="none", base_url=url)

    async def ask(prompt: str) -> str:
        reply = await client.chat.completions.create(model="any", messages=[{"role": "user", "content": prompt}])
        return reply.choices[0].message.content or ""

    return ask


async def gather(url: str, folder: Path, items: int) -> str:
    """asyncio.gather and a semaphore: nothing is kept."""
    ask, gate = asking(url), asyncio.Semaphore(WORKERS)

    async def chain(item: int) -> str:
        async with gate:
            draft = await ask(f"[draft{item}] write")
        async with gate:
            return await ask(f"[check] {draft}")

    checked = await asyncio.gather(*(chain(item) for item in range(items)))
    return await ask(f"[sum] {' '.join(checked)}")


async def langgraph(url: str, folder: Path, items: int, **options: Any) -> str:
    """Two mapped nodes (`Send`) and a join, the SQLite checkpointer, one thread; gone on with by `ainvoke(None)`."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    ask = asking(url)

    class State(TypedDict):
        items: list[int]
        drafts: Annotated[list[list[Any]], operator.add]
        checked: Annotated[list[list[Any]], operator.add]
        last: str

    class Item(TypedDict):
        item: int
        text: str

    async def draft(state: Item) -> dict[str, Any]:
        return {"drafts": [[state["item"], await ask(f"[draft{state['item']}] write")]]}

    async def check(state: Item) -> dict[str, Any]:
        return {"checked": [[state["item"], await ask(f"[check] {state['text']}")]]}

    async def gathered(state: State) -> dict[str, Any]:
        return {}

    async def join(state: State) -> dict[str, Any]:
        return {"last": await ask(f"[sum] {' '.join(text for _, text in sorted(state['checked']))}")}

    graph = StateGraph(State)
    graph.add_node("draft", draft)
    graph.add_node("gathered", gathered)
    graph.add_node("check", check)
    graph.add_node("join", join)
    graph.add_conditional_edges(
        START, lambda state: [Send("draft", {"item": item, "text": ""}) for item in state["items"]], ["draft"]
    )
    graph.add_edge("draft", "gathered")
    graph.add_conditional_edges(
        "gathered",
        lambda state: [Send("check", {"item": item, "text": text}) for item, text in sorted(state["drafts"])],
        ["check"],
    )
    graph.add_edge("check", "join")
    graph.add_edge("join", END)
    async with AsyncSqliteSaver.from_conn_string(str(folder / "checkpoints.sqlite")) as saver:
        app = graph.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}, "max_concurrency": WORKERS}
        begun = await app.aget_state(config)
        if begun.values and not begun.next:  # killed between its end and its last word
            return str(begun.values["last"])
        first = None if begun.values else {"items": list(range(items))}
        return str((await app.ainvoke(first, config, **options))["last"])


async def dbos(url: str, folder: Path, items: int) -> str:
    """A workflow that queues one child workflow of two steps per item; pending ones are recovered at launch."""
    from dbos import DBOS, SetWorkflowID

    ask = asking(url)
    DBOS(config={"name": "reliability", "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}"})

    @DBOS.step()
    async def call(prompt: str) -> str:
        return await ask(prompt)

    @DBOS.workflow()
    async def chain(item: int) -> str:
        draft = await call(f"[draft{item}] write")
        return await call(f"[check] {draft}")

    @DBOS.workflow()
    async def whole(count: int) -> str:
        handles = [await DBOS.enqueue_workflow_async("items", chain, item) for item in range(count)]
        checked = [await handle.get_result() for handle in handles]
        return await call(f"[sum] {' '.join(checked)}")

    DBOS.launch()
    await DBOS.register_queue_async("items", worker_concurrency=WORKERS)
    with SetWorkflowID("1"):
        handle = await DBOS.start_workflow_async(whole, items)
    last = await handle.get_result()
    DBOS.destroy()
    return last


async def langgraph_sync(url: str, folder: Path, items: int) -> str:
    """The same with its most durable mode."""
    return await langgraph(url, folder, items, durability="sync")


WAYS = {"gather": gather, "langgraph": langgraph, "langgraph-sync": langgraph_sync, "dbos": dbos}

if __name__ == "__main__":
    way, url, folder, items = sys.argv[1:]
    print(asyncio.run(WAYS[way](url, Path(folder), int(items))))
