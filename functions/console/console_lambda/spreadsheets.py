"""Lists of contacts from and to spreadsheets (CSV, RFC 4180)."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MAX_ROWS = 2_000
_ADDRESS_COLUMNS = ("email", "e-mail", "mail", "address", "email address", "e-mail address")
_NAME_COLUMNS = ("name", "full name", "contact")
# A spreadsheet takes text that begins with one of these for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class UnreadableTable(ValueError):
    """The text is no table of contacts. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row. `line` is where it begins in the file, from 1. Further columns are attributes."""

    line: int
    email: str
    name: str | None
    attributes: Mapping[str, str]

    def as_contact(self) -> dict[str, Any]:
        return {"email": self.email, "name": self.name, "attributes": dict(self.attributes)}


def decode_table(content: bytes) -> str:
    """Return the text of a file that a spreadsheet wrote: UTF-8, UTF-16, or the code page of Western Windows."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def read_contacts(table: str) -> Sequence[Entry]:
    """Return the contacts of a table whose first row names the columns.

    Raises:
        UnreadableTable: it is empty, too long, not CSV, or has no column with addresses.
    """
    if not table.strip():
        raise UnreadableTable("The file is empty. Choose a CSV file whose first row names the columns.")
    try:
        dialect: Any = csv.Sniffer().sniff(table[:10_000].splitlines()[0] + "\n", delimiters=",;\t")
    except csv.Error:
        # One column only.
        dialect = csv.excel
    reader = csv.reader(io.StringIO(table, newline=""), dialect, strict=True)
    try:
        names = [name.strip() for name in next(reader)]
        address = _column(names, _ADDRESS_COLUMNS)
        if address is None:
            raise UnreadableTable("No column is named email. The first row must name the columns, such as: email,name")
        name = _column(names, _NAME_COLUMNS)
        return list(_entries(reader, names, address, name))
    except csv.Error as error:
        raise UnreadableTable(f"The file is not valid CSV at line {reader.line_num} or before it: {error}.") from None


def _entries(reader: Any, names: Sequence[str], address: int, name: int | None) -> Iterable[Entry]:
    line = reader.line_num + 1
    for number, row in enumerate(reader):
        if number >= _MAX_ROWS:
            raise UnreadableTable(f"The table has more than {_MAX_ROWS:,} rows. Split it.")
        values = [value.strip() for value in row] + [""] * (len(names) - len(row))
        if any(values):
            attributes = {
                column: values[index]
                for index, column in enumerate(names)
                if index not in (address, name) and column and values[index]
            }
            yield Entry(line, values[address], (values[name] or None) if name is not None else None, attributes)
        line = reader.line_num + 1


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in wanted if name in lowered), None)


def contacts_as_csv(contacts: Iterable[Mapping[str, Any]]) -> str:
    """Return contacts as CSV, which every spreadsheet opens without running anything in it."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["email", "name", "suppressed", "emails", "last_email_at"])
    for contact in contacts:
        values = (contact["email"], contact["name"], contact["suppressed"], contact["emails"], contact["last_email_at"])
        writer.writerow([_harmless("" if value is None else str(value)) for value in values])
    return stream.getvalue()


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA_STARTS) else value
