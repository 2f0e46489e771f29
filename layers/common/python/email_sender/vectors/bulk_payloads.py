"""The second file of an array's import: one line of `{"id", "payload"}` for each of its rows, in their order."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import MAX_LINE_BYTES, PART_BYTES, BadRow, Part, RangedFile
from email_sender.vectors.bulk_ndjson import Parse, parsed_object


def cut_with_payloads(
    stream: Iterable[bytes], parts: Sequence[Part], part_bytes: int = PART_BYTES, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[Part]:
    """The parts of an array, each with the bytes of its lines; cut further where the lines are long.

    Reads the second file once, in constant memory: only that tells where a row's line is.

    Raises:
        InvalidInput: it has not as many lines as the array has rows, or one that is too long.
    """
    lengths = _lengths(stream, max_line_bytes)
    ordinal = at = 0
    for part in parts:
        row_bytes = part.length // part.rows
        done = 0
        while done < part.rows:
            taken = size = 0
            while done + taken < part.rows and (size < part_bytes or not taken):
                length = next(lengths, None)
                if length is None:
                    raise InvalidInput(
                        f"The second file has {part.first + done + taken} lines; the array has more rows."
                    )
                size, taken = size + length, taken + 1
            yield Part(
                ordinal,
                part.offset + done * row_bytes,
                taken * row_bytes,
                part.first + done,
                taken,
                at,
                size,
            )
            ordinal, at, done = ordinal + 1, at + size, done + taken
    if next(lengths, None) is not None:
        raise InvalidInput("The second file has more lines than the array has rows.")


def payload_lines(file: RangedFile, part: Part, parse: Parse) -> Iterator[dict[str, Any] | BadRow]:
    """One object a row of the part, empty for an empty line."""
    data = file.read(part.payloads_offset, part.payloads_length)
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n")):
        if not line.strip():
            yield {}
            continue
        found = parsed_object(parse, line)
        if isinstance(found, str):
            yield BadRow(number, f"In the second file: {found}")
        elif unknown := found.keys() - {"id", "payload"}:
            yield BadRow(
                number, f"In the second file: there is no key {min(unknown)[:100]}; a line has id and payload."
            )
        else:
            yield found


def _lengths(stream: Iterable[bytes], max_line_bytes: int) -> Iterator[int]:
    """Of each line with its end; the last may have none."""
    begun = number = 0
    for block in stream:
        at = 0
        while (stop := block.find(b"\n", at)) >= 0:
            yield _bounded(begun + stop + 1 - at, max_line_bytes, number)
            begun, at, number = 0, stop + 1, number + 1
        begun = _bounded(begun + len(block) - at, max_line_bytes, number)
    if begun:
        yield begun


def _bounded(length: int, max_line_bytes: int, number: int) -> int:
    if length > max_line_bytes + 1:
        raise InvalidInput(f"Line {number + 1} of the second file is longer than {max_line_bytes} bytes.")
    return length
