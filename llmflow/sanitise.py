"""What a terminal may be shown: text of models, users and servers without its power over the screen.

Everything that did not come from llmflow's own source goes through here on its way to a person:
escape sequences, control characters, bidirectional controls and zero-width characters are taken
out, so what is left can neither move the cursor, set a title nor hide behind itself. Widths are
counted in terminal cells.
"""

from __future__ import annotations

import re
from unicodedata import combining, east_asian_width

from llmflow.protocol import clean_text as clean_text  # also for those who may not know what is said to a model

_SEQUENCE = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [\x30-\x3f]* [\x20-\x2f]* [\x40-\x7e]                          # CSI
  | (?: \x1b[]PX^_] | [\x90\x98\x9d-\x9f] ) [^\x07\x1b\x9c\n]* (?: \x07 | \x1b\\ | \x9c )  # OSC DCS SOS PM APC
  | \x1b [\x20-\x2f]* [\x30-\x7e]                                                      # two or three characters
    """,
    re.VERBOSE,
)

_INVISIBLE = (
    [c for c in range(0x20) if c not in (0x09, 0x0A)]
    + list(range(0x7F, 0xA0))  # DEL and C1
    + [0xAD, 0x34F, 0x61C, 0x180E, 0x2028, 0x2029, 0xFEFF]
    + list(range(0x200B, 0x2010))  # zero-width, left-to-right and right-to-left marks
    + list(range(0x202A, 0x202F))  # bidirectional embeddings and overrides
    + list(range(0x2060, 0x2070))  # joiners, bidirectional isolates, deprecated formats
    + list(range(0xFE00, 0xFE10))  # variation selectors: they change a width after the fact
    + list(range(0xFFF9, 0xFFFC))  # interlinear annotations
    + list(range(0xE0000, 0xE0200))  # tags: invisible letters, and more variation selectors
)
_REMOVE = dict.fromkeys(_INVISIBLE)


def printable(text: str) -> str:
    """`text` as it may be written to a terminal: newlines and tabs stay, lone surrogates become U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return _SEQUENCE.sub("", clean_text(text)).translate(_REMOVE)


def one_line(text: str) -> str:
    """`printable`, with every run of white space made one blank: fits a cell of a table."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip(" ")
    return " ".join(printable(text).split())


def width(text: str) -> int:
    """Terminal cells that printable text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def clip(text: str, cells: int) -> str:
    """`text` if it fits into `cells`, else its beginning and `…`."""
    if width(text) <= cells:
        return text
    room = cells - 1
    kept = []
    for c in text:
        room -= _cells(c)
        if room < 0:
            break
        kept.append(c)
    return "".join(kept) + "…" if cells > 0 else ""


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """Exactly `cells` wide: clipped or padded; `right` puts the padding in front."""
    text = clip(text, cells)
    padding = " " * (cells - width(text))
    return padding + text if right else text + padding


def _cells(character: str) -> int:
    if character < "\u0300":
        return 1
    if combining(character) or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
