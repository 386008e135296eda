"""Answers of other runs, and of other tasks of this one: where its author allows it, a question is asked once.

What serves is decided by the key alone, which holds everything that can change an answer. Errors and
answers that were cut off never serve.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from llmflow.binding.answered import Key, Reply
from llmflow.binding.nodes import Node
from llmflow.history import stories
from llmflow.history.store import Store

REMEMBERED = 1000
"""Answers of this run kept at hand, as the journal may not have committed them yet."""


class Cache:
    """What one run may take from others. `store` None: nothing but what is asked in this run."""

    def __init__(self, store: Store | None = None, *, off: bool = False, refresh: Iterable[str] = ()) -> None:
        """`off`: every question is asked. `refresh`: tasks whose questions are asked anew."""
        self._store, self._off, self._refresh = store, off, frozenset(refresh)
        self._under_way: dict[str, asyncio.Future[Reply | None]] = {}
        self._given: OrderedDict[str, Reply] = OrderedDict()

    def find(self, node: Node, key: Callable[[], Key]) -> Reply | None:
        """The youngest answer of any run to what this task would ask. Raises CallFailed(template), StoreError."""
        cache = node.stage.task.cache
        if cache is None or self._off or self._store is None or node.stage.name in self._refresh:
            return None
        wanted = key()
        newer_than = time.time() - cache.ttl if cache.ttl is not None else None
        stored = stories.answer_by_key(self._store, wanted.whole, newer_than=newer_than)
        if stored is None:
            return None
        answer = stored.answer
        return Reply(
            value=answer.text if answer.text is not None else answer.output,
            asked=answer.messages,
            key=wanted,
            finish_reason=answer.finish_reason,
            answered_by=answer.answered_by,
            request_id=answer.request_id,
            given_at=answer.created_at,
        )

    async def once(self, key: str, ask: Callable[[], Awaitable[Reply]]) -> Reply:
        """The answer to a question; who asks the same while it is under way waits for that answer.

        Where it fails or is cut off, the next of those who wait asks. Raises what `ask` raises.
        """
        if self._off:
            return await ask()
        while True:
            if key in self._given:
                return self._given[key]
            if key not in self._under_way:
                break
            reply = await asyncio.shield(self._under_way[key])
            if reply is not None:
                return reply
        flight = self._under_way[key] = asyncio.get_running_loop().create_future()
        shared: Reply | None = None
        try:
            reply = await ask()
            if reply.finish_reason == "stop":
                shared = replace(reply, usage=None, given_at=time.time())
            return reply
        finally:
            del self._under_way[key]
            flight.set_result(shared)

    def remember(self, reply: Reply) -> None:
        """An answer that was good: it serves for the rest of this run."""
        if reply.key is not None and reply.finish_reason == "stop" and not self._off:
            self._given[reply.key.whole] = replace(reply, usage=None, given_at=reply.given_at or time.time())
            if len(self._given) > REMEMBERED:
                self._given.popitem(last=False)
