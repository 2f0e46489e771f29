"""Tests for splitting mbox files into messages and chunks."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_sender.archive.mbox import Chunk, scan, split
from email_sender.errors import InvalidInput
from tests.fakes import mailboxes

BODIES = st.lists(
    st.sampled_from(
        [b"From me to you", b">From x", b">>From y", b"", b"text", b"From: z", b"From a@b 2002", b"\xff\x00"]
    ),
    max_size=12,
).map(lambda lines: b"A: b\n\n" + b"".join(line + b"\n" for line in lines))


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = 0
    for size in sizes:
        yield data[position : position + size]
        position += size
    yield data[position:]


def read(data: bytes, chunks: list[Chunk]) -> list[bytes]:
    return [raw for chunk in chunks for raw in split(data[chunk.offset : chunk.offset + chunk.length])]


@given(st.lists(BODIES, min_size=1, max_size=8), st.lists(st.integers(0, 90), max_size=30), st.integers(1, 600))
def test_messages_are_restored_wherever_the_stream_is_cut(messages: list[bytes], sizes: list[int], target: int) -> None:
    data = mailboxes.mbox(messages)
    chunks = list(scan(pieces(data, sizes), target_bytes=target))
    assert read(data, chunks) == messages
    assert sum(chunk.messages for chunk in chunks) == len(messages)
    ends = [0]
    for chunk in chunks:
        assert chunk.offset == ends[-1]
        assert chunk.length <= target or chunk.messages == 1
        ends.append(chunk.offset + chunk.length)
    assert ends[-1] == len(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_split_or_rejected(data: bytes) -> None:
    try:
        chunks = list(scan([data], target_bytes=100))
    except InvalidInput:
        return
    assert read(data, chunks)


@pytest.mark.parametrize("piece", [1, 7, 1024, 262_143, 262_144, 262_145, 10_000_000])
def test_message_boundaries_near_block_edges_are_found(piece: int) -> None:
    messages = [b"Subject: %d\n\n%s\n" % (number, b"x" * (number * 37 % 3000)) for number in range(700)]
    data = mailboxes.mbox(messages)
    stream = (data[start : start + piece] for start in range(0, len(data), piece))
    chunks = list(scan(stream, target_bytes=50_000))
    assert read(data, chunks) == messages
    assert [chunk.ordinal_first for chunk in chunks] == [
        sum(chunk.messages for chunk in chunks[:index]) for index in range(len(chunks))
    ]


def test_a_message_over_the_limit_has_its_own_chunk() -> None:
    data = mailboxes.mbox([b"A: 1\n\n", b"A: 2\n\n" + b"x" * 5000 + b"\n", b"A: 3\n\n", b"A: 4\n\n"])
    chunks = list(scan([data], target_bytes=1_000_000, max_message_bytes=4000))
    assert [(chunk.ordinal_first, chunk.messages) for chunk in chunks] == [(0, 1), (1, 1), (2, 2)]


@pytest.mark.parametrize(
    "separator",
    [
        b"From a@b.example Thu Aug 22 12:36:23 2002",
        b"From a@b.example  Thu Aug  2 12:36 2002",
        b"From - Thu Aug 22 12:36:23 2002",
        b"From MAILER-DAEMON Thu Aug 22 12:36:23 2002 +0100",
        b"From 1234567890@xxx Thu Aug 22 12:36:23 +0000 2002",
        b"From kre at munnari.example  Thu Aug 22 12:36:23 2002",
        b'From "john doe"@b.example Thu Aug 22 12:36:23 EDT 2002',
        b"From a@b.example Thu, 22 Aug 2002 12:36:23 +0100",
        b"From a!b Thu Aug 22 12:36:23 2002 remote from host",
    ],
)
def test_separators_of_many_programs_are_recognised(separator: bytes) -> None:
    for newline in (b"\n", b"\r\n"):
        data = newline.join([separator, b"A: 1", b"", b"one", b"", separator, b"A: 2", b"", b"two", b""])
        assert split(data) == [newline.join([b"A: 1", b"", b"one", b""]), newline.join([b"A: 2", b"", b"two", b""])]
        assert [chunk.messages for chunk in scan([data], target_bytes=1)] == [1, 1]


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"\n\n", b"\xef\xbb\xbf\r\n  \r\n"])
def test_a_byte_order_mark_and_empty_lines_may_come_first(head: bytes) -> None:
    data = head + mailboxes.ordinary(2)
    assert len(read(data, list(scan([data], target_bytes=10)))) == 2


def test_a_from_line_in_a_body_does_not_split_the_message() -> None:
    data = mailboxes.unquoted_from()
    assert [chunk.messages for chunk in scan([data], target_bytes=10)] == [1]
    assert b"\nFrom what I hear" in split(data)[0]
    tight = mailboxes.SEPARATOR + b"A: 1\n\ntext\n" + mailboxes.SEPARATOR + b"more\n"
    assert len(split(tight)) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (mailboxes.empty(), "The file is empty"),
        (b"\n \r\n", "The file is empty"),
        (mailboxes.not_an_mbox(), "its first line should be"),
        (b"\x1f\x8b\x08" + b"x" * 100, "compressed"),
        (b"x" * 1_000_000, "its first line should be"),
    ],
)
def test_a_file_that_is_not_an_mbox_is_rejected_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        list(scan([data], target_bytes=1000))
    with pytest.raises(InvalidInput, match=message):
        split(data)


def test_memory_does_not_grow_with_the_file() -> None:
    import tracemalloc

    message = mailboxes.mbox([b"A: 1\n\n" + b"x" * 50_000 + b"\n"])
    tracemalloc.start()
    try:
        message_count = sum(chunk.messages for chunk in scan((message for _ in range(1000)), target_bytes=1_000_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message_count == 1000
    assert peak < 5_000_000
