"""How seconds, tokens and shares are written for people, everywhere the same."""

from __future__ import annotations

from math import isfinite

from llmflow.protocol import Usage


def tokens_text(usage: Usage) -> str:
    """`12 + 34 tokens`: input and output, `~` in front where they are estimated."""
    return f"{'~' if usage.estimated else ''}{usage.input_tokens:,} + {usage.output_tokens:,} tokens"


def input_output_text(usage: Usage) -> str:
    """`12 input (5 cached), 34 output`, for where it is said that these are tokens; `~` as above."""
    about = "~" if usage.estimated else ""
    cached = f" ({usage.cached_input_tokens:,} cached)" if usage.cached_input_tokens else ""
    return f"{about}{usage.input_tokens:,} input{cached}, {about}{usage.output_tokens:,} output"


def seconds_text(seconds: float) -> str:
    """A duration for a narrow column: `0.52 s`, `12.3 s`, `4m05s`, `3h07m`; `?` where it is unknown."""
    if not isfinite(seconds):
        return "?"
    if seconds < 9.995:
        return f"{max(0.0, seconds):.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"


def ratio_text(ratio: float) -> str:
    """`1.034`, `?` where it is unknown."""
    return f"{ratio:.3f}" if isfinite(ratio) else "?"


def share_text(share: float) -> str:
    """A part of one as a whole percentage: `46 %`."""
    return f"{100 * share:.0f} %"


def plural(count: int, noun: str) -> str:
    """`1 task`, `1,204 tasks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def second_calls_text(made: int, answered_first: int) -> str:
    """`2 second calls, 1 answered first; the others may be billed`."""
    return f"{plural(made, 'second call')}, {answered_first:,} answered first; the others may be billed"
