"""What `make audit` makes of pip-audit's answers: above all, that what was not looked up is never called fine."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import (
    FINE,
    FOUND,
    NOT_CHECKED,
    NotAnswered,
    lines_of,
    locked_packages,
    not_checked,
    read_answer,
    status_of,
)

NOW = datetime(2026, 11, 21, 12, 30, 15, 999, tzinfo=UTC)
FINE_ONE = {"name": "jinja2", "version": "3.1.6", "vulns": []}
BAD_ONE = {
    "name": "jinja2",
    "version": "3.1.4",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["3.1.5", "3.2"], "aliases": [], "description": "…"}],
}
SKIPPED = {"name": "wordllama", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def answer(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_nothing_found_in_anything_is_fine() -> None:
    audit = read_answer(answer(FINE_ONE, {**FINE_ONE, "name": "boto3"}), 2, NOW)
    assert (audit.checked, audit.reason, audit.vulnerabilities, audit.packages) == (True, "", [], 2)
    assert audit.at == "2026-11-21T12:30:15+00:00"
    assert status_of(audit, contracts_kept=True) == FINE
    assert lines_of(audit) == ["no known vulnerability in 2 packages"]


def test_a_vulnerability_is_named_with_what_mends_it() -> None:
    audit = read_answer(answer(BAD_ONE), 1, NOW)
    assert audit.checked
    assert status_of(audit, contracts_kept=True) == FOUND
    assert lines_of(audit) == ["jinja2 3.1.4: PYSEC-2024-1, fixed in 3.1.5, 3.2"]


def test_one_that_nothing_mends_yet_says_so() -> None:
    unfixed = {**BAD_ONE, "vulns": [{"id": "PYSEC-2024-1", "fix_versions": []}]}
    assert lines_of(read_answer(answer(unfixed), 1, NOW)) == ["jinja2 3.1.4: PYSEC-2024-1, fixed in no version yet"]


def test_a_package_that_the_service_does_not_know_is_not_checked() -> None:
    audit = read_answer(answer(FINE_ONE, SKIPPED), 2, NOW)
    assert not audit.checked
    assert audit.reason == "1 of 2 packages were not looked up: wordllama"
    assert status_of(audit, contracts_kept=True) == NOT_CHECKED


def test_a_package_that_is_missing_from_the_answer_is_not_checked() -> None:
    audit = read_answer(answer(FINE_ONE), 3, NOW)
    assert not audit.checked
    assert audit.reason.startswith("2 of 3 packages were not looked up")


def test_what_was_found_goes_before_what_was_not_looked_at() -> None:
    audit = read_answer(answer(BAD_ONE, SKIPPED), 2, NOW)
    assert status_of(audit, contracts_kept=True) == FOUND
    assert [line.split(":")[0] for line in lines_of(audit)] == ["jinja2 3.1.4", "not checked"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No known vulnerabilities found",
        "[]",
        "{}",
        '{"dependencies": [{"version": "1"}]}',
        answer(SKIPPED),
        answer(),
    ],
)
def test_what_is_no_answer_is_never_taken_for_one(text: str) -> None:
    with pytest.raises(NotAnswered):
        read_answer(text, 1, NOW)


def test_without_any_service_each_reason_is_told() -> None:
    audit = not_checked({"pypi": "it knows none", "osv": "no such host"}, 172, NOW)
    assert (audit.checked, audit.packages, audit.vulnerabilities) == (False, 172, [])
    assert lines_of(audit) == ["not checked: pypi: it knows none; osv: no such host"]
    assert status_of(audit, contracts_kept=True) == NOT_CHECKED


@pytest.mark.parametrize("checked", [True, False])
def test_a_broken_contract_fails_whatever_else(checked: bool) -> None:
    audit = read_answer(answer(FINE_ONE), 1, NOW) if checked else not_checked({}, 1, NOW)
    assert status_of(audit, contracts_kept=False) == FOUND


def test_the_lock_is_read_with_every_version_and_without_ourselves(tmp_path: Path) -> None:
    lock = tmp_path / "uv.lock"
    lock.write_text(
        """
        version = 1
        [[package]]
        name = "email-sender"
        version = "0.1.0"
        source = { virtual = "." }
        [[package]]
        name = "numpy"
        version = "2.5.1"
        source = { registry = "https://pypi.org/simple" }
        [[package]]
        name = "numpy"
        version = "2.4.0"
        source = { registry = "https://pypi.org/simple" }
        """
    )
    assert locked_packages(lock) == [("numpy", "2.4.0"), ("numpy", "2.5.1")]
