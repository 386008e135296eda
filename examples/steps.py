"""Functions for code_steps.yaml: plain Python, called with the names of `with` as arguments."""

from __future__ import annotations

import asyncio


def count_words(texts: list[str], minimum: int = 1) -> dict[str, int]:
    """How often each word of at least `minimum` letters is there. A plain function runs in a thread."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in text.lower().split():
            bare = word.strip(".,!?")
            if len(bare) >= minimum:
                counts[bare] = counts.get(bare, 0) + 1
    return counts


async def most_common(counts: dict[str, int], top: int) -> list[str]:
    """The words that are there most often. An async function runs on the event loop itself."""
    await asyncio.sleep(0)
    return sorted(counts, key=lambda word: (-counts[word], word))[:top]
