"""Reader of Parquet files: a column `vector` of float lists, an optional column `id`, and payload columns."""

import math
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

import arro3.core as arrow
import arro3.io as arrow_io
import numpy as np

from email_sender.adapters.files.parquet_footer import Footer
from email_sender.adapters.files.range_file import SeekableFile
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.point_files import BadRow, Part, PointFile, RangedFile, Row, build_row
from email_sender.vectors.model import Collection
from email_sender.vectors.validation import is_reserved

# The default maximum of pyarrow. One worker must read a row group within its 15 minutes.
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

# The row index of a data frame. pandas (`__index_level_0__`) and Dask store it as a column; it is no payload.
_FRAME_INDEX = re.compile(r"__index_level_\d+__|__null_dask_index__")

type _Values = list[Any]


class ParquetPoints:
    def plan(self, file: PointFile, collection: Collection) -> Sequence[Part]:
        footer = Footer.of(file.vectors)
        groups = [(number, rows) for number, (rows, _) in enumerate(footer.row_groups) if rows]
        if not groups:
            raise InvalidInput("The file is empty.")
        if max(rows for _, rows in groups) > MAX_GROUP_ROWS:
            raise InvalidInput(
                f"A row group has more than {MAX_GROUP_ROWS} rows. Write row groups of about 10,000 rows."
            )
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
        while (batch := _call_reader(source, part.offset, lambda: next(reader, None))) is not None:
            yield from _rows(batch, number, part.first, collection)
            number += batch.num_rows
        if number != part.rows:
            raise InvalidInput(f"Row group {part.offset} has {number} rows, but the footer says {part.rows}.")


def _rows(batch: Any, begin: int, first: int, collection: Collection) -> Iterator[Row | BadRow]:
    names = batch.column_names
    ids: list[Any] = batch.column("id").to_pylist() if "id" in names else [None] * batch.num_rows
    keys = [name for name in names if name not in ("id", "vector") and not _FRAME_INDEX.fullmatch(name)]
    columns = [batch.column(name).to_pylist() for name in keys]
    vectors = _vectors(batch.column("vector"), collection)
    for at, vector in enumerate(vectors):
        number = begin + at
        if isinstance(vector, str):
            yield BadRow(number, vector)
            continue
        try:
            payload = {
                key: _to_json(values[at]) for key, values in zip(keys, columns, strict=True) if values[at] is not None
            }
        except ValueError as error:
            yield BadRow(number, str(error))
            continue
        client_id = UUID(bytes=ids[at]) if isinstance(ids[at], bytes) and len(ids[at]) == 16 else ids[at]
        yield build_row(number, first + number, client_id, vector, payload)


def _vectors(column: Any, collection: Collection) -> Iterator["array[float] | str"]:
    """Yield each row's vector, or an error message."""
    size = collection.size
    flat = arrow.list_flatten(column)
    if column.null_count or flat.null_count:
        yield from (_from_list(values, collection) for values in column.to_pylist())
        return
    bounds = _bounds(column)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.asarray(flat.to_numpy()).astype("<f4", copy=False)
    finite = np.isfinite(numbers)
    all_finite = bool(finite.all())
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if end - begin != size:
            yield _size_mismatch(collection, end - begin)
        elif not all_finite and not finite[begin:end].all():
            yield "All numbers of a vector must be finite as float32."
        else:
            yield array("f", numbers[begin:end].tobytes())


def _bounds(column: Any) -> Any:
    """Return the offsets where each row's numbers begin among all numbers, and where the last row's numbers end."""
    # Any, because the type stub resolves `bool` to a method of the class.
    fixed: Any = arrow.DataType.is_fixed_size_list(column.type)
    if fixed:
        return np.arange(len(column) + 1) * column.type.list_size
    offsets = np.asarray(arrow.list_offsets(column).to_numpy())
    return offsets - offsets[0]


def _from_list(values: "_Values | None", collection: Collection) -> "array[float] | str":
    """Return a row's vector, or an error message. Slow; used only for batches that contain nulls."""
    if values is None or None in values:
        return "The vector or one of its numbers is null."
    if len(values) != collection.size:
        return _size_mismatch(collection, len(values))
    vector = array("f", values)
    return vector if math.isfinite(sum(vector)) else "All numbers of a vector must be finite as float32."


def _size_mismatch(collection: Collection, size: int) -> str:
    return f"{collection.name} holds vectors of {collection.size} dimensions, but this vector has {size}."


def _to_json(value: Any) -> Any:
    """Convert a value to JSON. Times become ISO 8601. Raises ValueError for NaN and types unknown to JSON."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("A number in the payload is NaN or infinite.")
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        return [_to_json(element) for element in value]
    if isinstance(value, dict):
        return {str(key): _to_json(element) for key, element in value.items()}
    raise ValueError(f"A payload value has the type {type(value).__name__}, which JSON cannot represent.")


def _type_name(kind: Any) -> str:
    return str(kind).strip().removeprefix("arro3.core.DataType")[:200]


def _check_schema(schema: Any, collection: Collection) -> None:
    for name in schema.names:
        if name in ("id", "vector") or _FRAME_INDEX.fullmatch(name):
            continue
        if is_reserved(name):
            raise InvalidInput(f"The column name {name[:100]} is reserved. Rename the column.")
        kind = schema.field(name).type
        if any(is_type(kind) for is_type in _NOT_JSON):
            raise InvalidInput(f"The column {name[:100]} has the type {_type_name(kind)}, which JSON cannot represent.")
    if "vector" not in schema.names:
        raise InvalidInput("The file has no column named vector.")
    kind = schema.field("vector").type
    lists: tuple[Callable[[Any], bool], ...] = (
        arrow.DataType.is_list,
        arrow.DataType.is_large_list,
        arrow.DataType.is_fixed_size_list,
    )
    if not any(is_type(kind) for is_type in lists) or not arrow.DataType.is_floating(kind.value_type):
        raise InvalidInput(f"The column vector has the type {_type_name(kind)}. It must be a list of floats.")
    if arrow.DataType.is_fixed_size_list(kind) and kind.list_size != collection.size:
        raise InvalidInput(_size_mismatch(collection, kind.list_size))


def _open(file: RangedFile, footer: Footer, number: int) -> tuple[SeekableFile, Any]:
    source = SeekableFile(file, footer.at, footer.for_row_group(number))
    return source, _call_reader(source, number, lambda: arrow_io.read_parquet(source, batch_size=_BATCH_ROWS))  # type: ignore[arg-type]


def _call_reader[T](source: SeekableFile, number: int, call: Callable[[], T]) -> T:
    """Call the reader and translate its errors to InvalidInput: Arrow exceptions, and Rust panics (BaseException)."""
    try:
        return call()
    except BaseException as error:
        if source.failure is not None:
            raise source.failure from error
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise InvalidInput(f"Row group {number} of the Parquet file cannot be read.") from error
        raise
