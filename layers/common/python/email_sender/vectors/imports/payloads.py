"""The payloads file of an npy import: one JSON line of `{"id", "payload"}` for each row of the array, in order."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.vectors.imports.ndjson import Parse, parse_object
from email_sender.vectors.imports.point_files import MAX_LINE_BYTES, PART_BYTES, BadRow, Part, RangedFile


def split_with_payloads(
    stream: Iterable[bytes], parts: Sequence[Part], part_bytes: int = PART_BYTES, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Part]:
    """Assign to each part of an array the bytes of its payload lines. Split parts further where the lines are long.

    Reads the whole payloads file once, in constant memory, because the line boundaries are not known in advance.

    Raises:
        InvalidInput: the file has not exactly one line for each row, or a line is too long.
    """
    lengths = _line_lengths(stream, max_line_bytes)
    ordinal = payloads_offset = 0
    for part in parts:
        row_bytes = part.length // part.rows
        rows_done = 0
        while rows_done < part.rows:
            row_count = size = 0
            while rows_done + row_count < part.rows and (size < part_bytes or not row_count):
                length = next(lengths, None)
                if length is None:
                    raise InvalidInput(
                        f"The payloads file has {part.first + rows_done + row_count} lines, "
                        "but the array has more rows."
                    )
                size, row_count = size + length, row_count + 1
            yield Part(
                ordinal,
                part.offset + rows_done * row_bytes,
                row_count * row_bytes,
                part.first + rows_done,
                row_count,
                payloads_offset,
                size,
            )
            ordinal, payloads_offset, rows_done = ordinal + 1, payloads_offset + size, rows_done + row_count
    if next(lengths, None) is not None:
        raise InvalidInput("The payloads file has more lines than the array has rows.")


def payload_lines(file: RangedFile, part: Part, parse: Parse) -> Iterator[dict[str, Any] | BadRow]:
    """Yield one object for each row of the part. An empty line yields an empty object."""
    data = file.read(part.payloads_offset, part.payloads_length)
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n")):
        if not line.strip():
            yield {}
            continue
        entry = parse_object(parse, line)
        if isinstance(entry, str):
            yield BadRow(number, f"In the payloads file: {entry}")
        elif unknown := entry.keys() - {"id", "payload"}:
            yield BadRow(
                number, f"In the payloads file: Unknown key {min(unknown)[:100]}. A line may have id and payload."
            )
        else:
            yield entry


def _line_lengths(stream: Iterable[bytes], max_line_bytes: int) -> Iterator[int]:
    """Yield the length of each line, including its line break. The last line may have no line break."""
    pending_bytes = number = 0
    for block in stream:
        at = 0
        while (stop := block.find(b"\n", at)) >= 0:
            yield _check_length(pending_bytes + stop + 1 - at, max_line_bytes, number)
            pending_bytes, at, number = 0, stop + 1, number + 1
        pending_bytes = _check_length(pending_bytes + len(block) - at, max_line_bytes, number)
    if pending_bytes:
        yield pending_bytes


def _check_length(length: int, max_line_bytes: int, number: int) -> int:
    if length > max_line_bytes + 1:
        raise InvalidInput(f"Line {number + 1} of the payloads file is longer than {max_line_bytes} bytes.")
    return length
