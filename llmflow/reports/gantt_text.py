"""Who runs when, as one line of characters per worker.

    sim/0  │S1│Gate│C1────────│C2──────│C3────│End
    sim/1  │S2│M1──│M4──│M7──·····················

A block begins with `│` and its task's name as far as there is room; `·` is idle time. A worker with
more tasks than that can show is shaded by how busy it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from llmflow.sanitise import clip, fit, one_line, width

SHADES = "·░▒▓█"


class Block(NamedTuple):
    """One task on one worker (`pool/number`), from start to finish in seconds."""

    worker: tuple[str, int]
    task: str
    start: float
    finish: float


def render_gantt(
    blocks: Iterable[Block], makespan: float, *, unit: str = "s", columns: int = 100, most: int = 16
) -> str:
    """One line per worker, at most `most`, and a time axis; empty where nothing takes time."""
    rows: dict[tuple[str, int], list[Block]] = {}
    for block in blocks:
        rows.setdefault(block.worker, []).append(block)
    if not rows or makespan <= 0:
        return ""
    labels = {worker: clip(f"{one_line(worker[0])}/{worker[1]}", 20) for worker in rows}
    shown = sorted(rows)[:most]
    margin = max(width(labels[worker]) for worker in shown)
    scale = max(10, columns - margin - 2)
    lines = [f"{fit(labels[worker], margin)}  {_row(rows[worker], makespan, scale)}" for worker in shown]
    if len(rows) > most:
        lines.append(f"… {len(rows) - most:,} more workers")
    end = f"{makespan:.2f} {unit}"
    lines.append(f"{' ' * margin}  0{end:>{scale - 1}}")
    return "\n".join(lines)


def _row(blocks: list[Block], makespan: float, scale: int) -> str:
    """Exactly `scale` cells: a block takes the cells between its rounded ends, and never less than one."""
    if len(blocks) > scale // 2:
        return _shades(blocks, makespan, scale)
    text, at = "", 0
    for block in sorted(blocks, key=lambda b: b.start):
        begin = max(at, min(scale - 1, round(block.start / makespan * scale)))
        end = max(begin + 1, round(block.finish / makespan * scale))
        if at >= scale:
            break
        name = _cut(one_line(block.task), end - begin - 1)
        text += "·" * (begin - at) + "│" + name + "─" * (end - begin - 1 - width(name))
        at = end
    return text + "·" * (scale - at)


def _shades(blocks: list[Block], makespan: float, scale: int) -> str:
    """Too many blocks to tell apart: each cell shows which part of its time was busy."""
    busy = [0.0] * scale
    for block in blocks:
        begin, end = block.start / makespan * scale, block.finish / makespan * scale
        for cell in range(int(begin), min(scale, int(end) + 1)):
            busy[cell] += max(0.0, min(end, cell + 1) - max(begin, cell))
    return "".join(SHADES[min(4, round(4 * share))] for share in busy)


def _cut(text: str, cells: int) -> str:
    """The beginning of `text`, without the sign that something is left out."""
    return text if width(text) <= cells else clip(text, cells + 1)[:-1]
