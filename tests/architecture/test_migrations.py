"""Migrations only add: after a failed deployment, the code before them runs on the newer database."""

import re

import pytest

from email_sender.adapters.postgres.migrate import FOLDER

# Older files were applied before there was a release to go back to.
FIRST_CHECKED = "0020"
# What the code of the release before would not survive. A release later, such a statement goes into a file whose name
# ends in `_contract.sql`: by then no code in use needs what it removes.
BREAKING = re.compile(
    r"\bdrop\s+(table|column|view|function|type|schema)\b|\brename\s+(to|column)\b|\bset\s+not\s+null\b"
    r"|\balter\s+column\s+\w+\s+(set\s+data\s+)?type\b|\btruncate\b",
    re.IGNORECASE,
)
STRICT_COLUMN = re.compile(r"\badd\s+column\b[^,;]*\bnot\s+null\b(?![^,;]*\bdefault\b)", re.IGNORECASE)


def breaking_statements(sql: str) -> list[str]:
    without_comments = re.sub(r"--[^\n]*", "", sql)
    return [found.group(0) for form in (BREAKING, STRICT_COLUMN) for found in form.finditer(without_comments)]


def test_new_migrations_only_add() -> None:
    files = [file for file in FOLDER.glob("*.sql") if file.name >= FIRST_CHECKED]
    expanding = [file for file in files if not file.name.endswith("_contract.sql")]
    assert {file.name: found for file in expanding if (found := breaking_statements(file.read_text()))} == {}


@pytest.mark.parametrize(
    ("sql", "is_breaking"),
    [
        ("alter table runs drop column error;", True),
        ("alter table runs rename column error to problem;", True),
        ("alter table runs alter column error set not null;", True),
        ("alter table runs alter column version type bigint;", True),
        ("alter table runs add column label text not null;", True),
        ("alter table runs add column label text not null default '';", False),
        ("alter table runs add column label text; create index runs_label on runs (label);", False),
        ("-- Here we do not drop table runs.\ncreate table labels (id uuid primary key, name text not null);", False),
    ],
)
def test_a_breaking_statement_would_be_found(sql: str, *, is_breaking: bool) -> None:
    assert bool(breaking_statements(sql)) is is_breaking
