"""Parquet: a column `vector` of lists of floats, maybe one `id`, and every other column a key of the payload."""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

import arro3.core as arrow
import arro3.io as arrow_io
import numpy as np

from email_sender.adapters.point_files.parquet_footer import Footer
from email_sender.adapters.point_files.range_file import RangeFile
from email_sender.errors import InvalidInput
from email_sender.vectors.bulk_model import BadRow, Part, PointFile, RangedFile, Row, checked_row
from email_sender.vectors.model import Collection
from email_sender.vectors.validation import is_reserved

# pyarrow's largest by default: what one worker has to read in its 15 minutes.
MAX_GROUP_ROWS = 1_048_576
_BATCH_ROWS = 1_024

_NOT_JSON: tuple[Callable[[Any], bool], ...] = (
    arrow.DataType.is_binary,
    arrow.DataType.is_large_binary,
    arrow.DataType.is_fixed_size_binary,
    arrow.DataType.is_decimal,
    arrow.DataType.is_duration,
    arrow.DataType.is_map,
)

type _Values = list[Any]


class ParquetPoints:
    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        footer = Footer.of(file.vectors)
        groups = [(number, rows) for number, (rows, _) in enumerate(footer.row_groups) if rows]
        if not groups:
            raise InvalidInput("The file is empty.")
        if max(rows for _, rows in groups) > MAX_GROUP_ROWS:
            raise InvalidInput(f"A row group has at most {MAX_GROUP_ROWS} rows: write row groups of 10,000 rows.")
        _, reader = _open(file.vectors, footer, groups[0][0])
        _check_schema(reader.schema, collection)
        first, parts = 0, []
        for ordinal, (number, rows) in enumerate(groups):
            parts.append(Part(ordinal, number, 1, first, rows))
            first += rows
        return parts

    def rows(self, file: PointFile, part: Part, collection: Collection) -> Iterator[Row | BadRow]:
        number = 0
        source, reader = _open(file.vectors, Footer.of(file.vectors), part.offset)
        while (batch := _guarded(source, part.offset, lambda: next(reader, None))) is not None:
            yield from _rows(batch, number, part.first, collection)
            number += batch.num_rows
        if number != part.rows:
            raise InvalidInput(f"Row group {part.offset} has {number} rows; the footer says {part.rows}.")


def _rows(batch: Any, begin: int, first: int, collection: Collection) -> Iterator[Row | BadRow]:
    names = batch.column_names
    ids: list[Any] = batch.column("id").to_pylist() if "id" in names else [None] * batch.num_rows
    keys = [name for name in names if name not in ("id", "vector")]
    columns = [batch.column(name).to_pylist() for name in keys]
    vectors = _vectors(batch.column("vector"), collection)
    for at, vector in enumerate(vectors):
        number = begin + at
        if isinstance(vector, str):
            yield BadRow(number, vector)
            continue
        try:
            payload = {
                key: _storable(values[at]) for key, values in zip(keys, columns, strict=True) if values[at] is not None
            }
        except ValueError as error:
            yield BadRow(number, str(error))
            continue
        client_id = UUID(bytes=ids[at]) if isinstance(ids[at], bytes) and len(ids[at]) == 16 else ids[at]
        yield checked_row(number, first + number, client_id, vector, payload)


def _vectors(column: Any, collection: Collection) -> Iterator["array[float] | str"]:
    """Each row's vector, or what is wrong with it."""
    size = collection.size
    flat = arrow.list_flatten(column)
    if column.null_count or flat.null_count:
        yield from (_from_list(each, collection) for each in column.to_pylist())
        return
    bounds = _bounds(column)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.asarray(flat.to_numpy()).astype("<f4", copy=False)
    finite = np.isfinite(numbers)
    everything = bool(finite.all())
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if end - begin != size:
            yield _of_size(collection, end - begin)
        elif not everything and not finite[begin:end].all():
            yield "A vector's numbers are finite, as float32."
        else:
            yield array("f", numbers[begin:end].tobytes())


def _bounds(column: Any) -> Any:
    """Where each row's numbers begin among all of them, and where the last row's end."""
    # Any, since the stub's `bool` is the class's own method of that name.
    fixed: Any = arrow.DataType.is_fixed_size_list(column.type)
    if fixed:
        return np.arange(len(column) + 1) * column.type.list_size
    found = np.asarray(arrow.list_offsets(column).to_numpy())
    return found - found[0]


def _from_list(values: "_Values | None", collection: Collection) -> "array[float] | str":
    """The slow way, of a batch with nulls in it."""
    if values is None or None in values:
        return "The vector is null, or a number of it."
    if len(values) != collection.size:
        return _of_size(collection, len(values))
    vector = array("f", values)
    return vector if math.isfinite(sum(vector)) else "A vector's numbers are finite, as float32."


def _of_size(collection: Collection, size: int) -> str:
    return f"{collection.name} holds vectors of {collection.size}; this has {size}."


def _storable(value: Any) -> Any:
    """A payload is JSON: times as in ISO 8601, and no NaN."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("A payload's number is NaN or infinite.")
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _storable(each) for key, each in value.items()}
    raise ValueError(f"A payload's value is of a type that JSON has not ({type(value).__name__}).")


def _type(kind: Any) -> str:
    return str(kind).strip().removeprefix("arro3.core.DataType")[:200]


def _check_schema(schema: Any, collection: Collection) -> None:
    for name in schema.names:
        if name in ("id", "vector"):
            continue
        if is_reserved(name):
            raise InvalidInput(f"The column {name[:100]} has a reserved name.")
        kind = schema.field(name).type
        if any(is_one(kind) for is_one in _NOT_JSON):
            raise InvalidInput(f"The column {name[:100]} is of {_type(kind)}, which a payload's JSON has not.")
    if "vector" not in schema.names:
        raise InvalidInput("The file has no column named vector.")
    kind = schema.field("vector").type
    lists: tuple[Callable[[Any], bool], ...] = (
        arrow.DataType.is_list,
        arrow.DataType.is_large_list,
        arrow.DataType.is_fixed_size_list,
    )
    if not any(is_one(kind) for is_one in lists) or not arrow.DataType.is_floating(kind.value_type):
        raise InvalidInput(f"The column vector is of {_type(kind)}; a list of floats is taken.")
    if arrow.DataType.is_fixed_size_list(kind) and kind.list_size != collection.size:
        raise InvalidInput(_of_size(collection, kind.list_size))


def _open(file: RangedFile, footer: Footer, number: int) -> tuple[RangeFile, Any]:
    source = RangeFile(file, footer.at, footer.only(number))
    return source, _guarded(source, number, lambda: arrow_io.read_parquet(source, batch_size=_BATCH_ROWS))  # type: ignore[arg-type]


def _guarded[T](source: RangeFile, number: int, call: Callable[[], T]) -> T:
    """A broken page is an Exception of Arrow's, or a Rust panic, which is no Exception."""
    try:
        return call()
    except BaseException as error:
        if source.failure is not None:
            raise source.failure from error
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise InvalidInput(f"Row group {number} of the Parquet file cannot be read.") from error
        raise
