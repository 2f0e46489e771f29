"""Spreadsheets, forms from schemas, and the lines of a definition."""

from typing import Any

import pytest

from console_lambda.definitions import as_yaml, line_of
from console_lambda.input_forms import InvalidInputs, fields_of, inputs_from
from console_lambda.spreadsheets import Entry, UnreadableTable, contacts_as_csv, decode_table, read_contacts


@pytest.mark.parametrize(
    ("table", "entries"),
    [
        ("email,name\na@x.example,Ann\n", [Entry(2, "a@x.example", "Ann", {})]),
        ("email\na@x.example\n\nb@x.example\n", [Entry(2, "a@x.example", None, {}), Entry(4, "b@x.example", None, {})]),
        ("Name;E-Mail;City\r\n\"Ann; of\nBern\";a@x.example;Bern\r\nBob;b@x.example;\r\n",
         [Entry(2, "a@x.example", "Ann; of\nBern", {"City": "Bern"}), Entry(4, "b@x.example", "Bob", {})]),
        ("email\tname\na@x.example\tAnn\n", [Entry(2, "a@x.example", "Ann", {})]),
        ("email,name,city\na@x.example\n", [Entry(2, "a@x.example", None, {})]),
        ("email,name\n,Ann\n", [Entry(2, "", "Ann", {})]),
        ("email,name,\na@x.example,Ann,stray\n", [Entry(2, "a@x.example", "Ann", {})]),
    ],
)  # fmt: skip
def test_tables_of_spreadsheets_are_read(table: str, entries: list[Entry]) -> None:
    assert read_contacts(table) == entries


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("name,city\nAnn,Bern\n", "No column is named email"),
        ('email,name\n"a@x.example,Ann\n', "not valid CSV at line"),
        ("email\n" + "a@x.example\n" * 2_001, "more than 2,000 rows"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(table: str, message: str) -> None:
    with pytest.raises(UnreadableTable, match=message):
        read_contacts(table)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encodings_of_spreadsheets_are_read(encoding: str) -> None:
    assert decode_table("email,name\nm@x.example,Müller\n".encode(encoding)) == "email,name\nm@x.example,Müller\n"


def test_an_exported_name_is_no_formula() -> None:
    contact = {"email": "a@x.example", "name": "=1+2", "suppressed": None, "emails": 2, "last_email_at": None}
    assert contacts_as_csv([contact]).splitlines()[1] == "a@x.example,'=1+2,,2,"


SCHEMA: dict[str, Any] = {
    "inputs": {
        "required": ["query", "people"],
        "properties": {
            "query": {"type": "string", "description": "whom"},
            "people": {"type": "integer", "default": 5},
            "dry": {"type": "boolean"},
            "tone": {"enum": ["warm", "plain"]},
            "tags": {"type": "array"},
        },
    }
}


def test_each_input_has_a_field() -> None:
    assert [(field.name, field.kind, field.is_required, field.default) for field in fields_of(SCHEMA)] == [
        ("query", "text", True, ""),
        ("people", "number", True, "5"),
        ("dry", "boolean", False, ""),
        ("tone", "choice", False, ""),
        ("tags", "json", False, ""),
    ]
    assert fields_of({}) == []
    assert fields_of({"inputs": {"type": "object"}}) == []


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ({"query": " who ", "people": "3"}, {"query": "who", "people": 3}),
        ({"people": "-2", "dry": "false"}, {"people": -2, "dry": False}),
        ({"people": "1.5", "dry": "true", "tone": "warm"}, {"people": 1.5, "dry": True, "tone": "warm"}),
        ({"tags": '["a"]', "unknown": "x"}, {"tags": ["a"]}),
    ],
)
def test_what_is_typed_becomes_inputs(sent: dict[str, str], inputs: dict[str, Any]) -> None:
    assert inputs_from(SCHEMA, sent) == inputs


@pytest.mark.parametrize("sent", [{"people": "many"}, {"tags": "[a]"}, {"people": "1e"}])
def test_what_cannot_be_read_names_the_field(sent: dict[str, str]) -> None:
    with pytest.raises(InvalidInputs, match=next(iter(sent))):
        inputs_from(SCHEMA, sent)


DEFINITION = """name: x
steps:
  - id: a
    uses: transform
  - id: b
    uses: nothing
    with:
      "a/b": 1
"""


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("/definition/name", 1),
        ("/name", 1),
        ("/steps/1/uses", 6),
        ("/definition/steps/1", 5),
        ("/steps/1/with/a~1b", 8),
        ("/steps/1/missing/deeper", 5),
        ("/steps/9", 2),
        ("", 1),
    ],
)
def test_a_pointer_leads_to_its_line(pointer: str, line: int) -> None:
    assert line_of(DEFINITION, pointer) == line


@pytest.mark.parametrize(("text", "line"), [("a: [1,\nb: }", 2), ("", None), ("a: b: c", 1)])
def test_text_that_is_no_yaml_has_the_line_of_its_fault(text: str, line: int | None) -> None:
    assert line_of(text, "/name") == line


def test_a_definition_keeps_its_order_and_its_letters() -> None:
    assert as_yaml({"name": "größe", "about": 1}) == "name: größe\nabout: 1\n"


ASKED: dict[str, Any] = {
    "inputs": {
        "x-order": ["gone", "note", "day"],
        "properties": {
            "colors": {"type": "array", "items": {"enum": ["red", "blue"]}},
            "note": {"type": "string", "contentMediaType": "text/plain"},
            "day": {"type": "string", "format": "date"},
            "mail": {"type": "string", "format": "email"},
        },
    }
}


def test_texts_dates_and_choices_have_fields_of_their_own() -> None:
    assert [(field.name, field.kind, field.choices) for field in fields_of(ASKED)] == [
        ("note", "long", []),
        ("day", "date", []),
        ("colors", "choices", ["red", "blue"]),
        ("mail", "email", []),
    ]
    sent = {"note": "one\ntwo", "day": "2026-03-04", "mail": "", "colors": "red\nblue"}
    assert inputs_from(ASKED, sent) == {"note": "one\ntwo", "day": "2026-03-04", "colors": ["red", "blue"]}
    assert inputs_from(ASKED, {}) == {}
