"""Server-sent events are taken apart the same however they are cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.providers.sse import EventDecoder, EventTooLarge, ServerEvent

STREAM = (
    b"\xef\xbb\xbf: a comment\n"
    b"data: one\n\n"
    b"event: named\r\ndata: two\r\ndata:  lines\r\nid: 7\r\nretry: 9\r\n\r\n"
    b"data:\rdata\r\r"
    b"event: empty\n\n"
    b'data: {"a": "\xf0\x9f\x99\x82"}\n\n\n\n'
    b"data: bad \xff byte\n\n"
    b"data: unfinished\n"
)
EVENTS = [
    ServerEvent("", "one"),
    ServerEvent("named", "two\n lines"),
    ServerEvent("", "\n"),
    ServerEvent("", '{"a": "🙂"}'),
    ServerEvent("", "bad \ufffd byte"),
]


def test_events_follow_the_standard():
    assert EventDecoder().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_the_pieces_do_not_matter(cuts):
    decoder, found, start = EventDecoder(), [], 0
    for end in [*sorted(cuts), len(STREAM)]:
        found += decoder.feed(STREAM[start:end])
        start = end
    assert found == EVENTS


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 1000])
def test_an_event_without_end_is_not_kept(piece):
    decoder = EventDecoder()

    def feed_for_ever() -> None:
        while True:
            assert decoder.feed(piece) == []

    with pytest.raises(EventTooLarge):
        feed_for_ever()
