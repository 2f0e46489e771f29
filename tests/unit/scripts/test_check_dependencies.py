"""Tests for the report of `make audit`: a package that was not looked up never counts as safe."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scripts.check_dependencies import (
    FINE,
    FOUND,
    NOT_CHECKED,
    LookupFailed,
    exit_status_of,
    locked_packages,
    parse_pip_audit,
    summary_lines,
    unchecked_audit,
)

NOW = datetime(2026, 11, 21, 12, 30, 15, 999, tzinfo=UTC)
SAFE_PACKAGE = {"name": "jinja2", "version": "3.1.6", "vulns": []}
VULNERABLE_PACKAGE = {
    "name": "jinja2",
    "version": "3.1.4",
    "vulns": [{"id": "PYSEC-2024-1", "fix_versions": ["3.1.5", "3.2"], "aliases": [], "description": "…"}],
}
SKIPPED_PACKAGE = {"name": "tryaii", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def pip_audit_output(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_an_audit_without_vulnerabilities_passes() -> None:
    audit = parse_pip_audit(pip_audit_output(SAFE_PACKAGE, {**SAFE_PACKAGE, "name": "boto3"}), 2, NOW)
    assert (audit.checked, audit.reason, audit.vulnerabilities, audit.packages) == (True, "", [], 2)
    assert audit.at == "2026-11-21T12:30:15+00:00"
    assert exit_status_of(audit, contracts_kept=True) == FINE
    assert summary_lines(audit) == ["no known vulnerability in 2 packages"]


def test_a_vulnerability_is_listed_with_the_versions_that_fix_it() -> None:
    audit = parse_pip_audit(pip_audit_output(VULNERABLE_PACKAGE), 1, NOW)
    assert audit.checked
    assert exit_status_of(audit, contracts_kept=True) == FOUND
    assert summary_lines(audit) == ["jinja2 3.1.4: PYSEC-2024-1, fixed in 3.1.5, 3.2"]


def test_a_vulnerability_without_a_fix_is_listed_as_unfixed() -> None:
    unfixed = {**VULNERABLE_PACKAGE, "vulns": [{"id": "PYSEC-2024-1", "fix_versions": []}]}
    assert summary_lines(parse_pip_audit(pip_audit_output(unfixed), 1, NOW)) == [
        "jinja2 3.1.4: PYSEC-2024-1, fixed in no version yet"
    ]


def test_a_package_unknown_to_the_service_counts_as_not_checked() -> None:
    audit = parse_pip_audit(pip_audit_output(SAFE_PACKAGE, SKIPPED_PACKAGE), 2, NOW)
    assert not audit.checked
    assert audit.reason == "1 of 2 packages were not looked up: tryaii"
    assert exit_status_of(audit, contracts_kept=True) == NOT_CHECKED


def test_a_package_missing_from_the_output_counts_as_not_checked() -> None:
    audit = parse_pip_audit(pip_audit_output(SAFE_PACKAGE), 3, NOW)
    assert not audit.checked
    assert audit.reason.startswith("2 of 3 packages were not looked up")


def test_a_vulnerability_takes_precedence_over_an_unchecked_package() -> None:
    audit = parse_pip_audit(pip_audit_output(VULNERABLE_PACKAGE, SKIPPED_PACKAGE), 2, NOW)
    assert exit_status_of(audit, contracts_kept=True) == FOUND
    assert [line.split(":")[0] for line in summary_lines(audit)] == ["jinja2 3.1.4", "not checked"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No known vulnerabilities found",
        "[]",
        "{}",
        '{"dependencies": [{"version": "1"}]}',
        pip_audit_output(SKIPPED_PACKAGE),
        pip_audit_output(),
    ],
)
def test_unusable_output_is_rejected(text: str) -> None:
    with pytest.raises(LookupFailed):
        parse_pip_audit(text, 1, NOW)


def test_when_no_service_responds_the_report_lists_every_reason() -> None:
    audit = unchecked_audit({"pypi": "it knows none", "osv": "no such host"}, 172, NOW)
    assert (audit.checked, audit.packages, audit.vulnerabilities) == (False, 172, [])
    assert summary_lines(audit) == ["not checked: pypi: it knows none; osv: no such host"]
    assert exit_status_of(audit, contracts_kept=True) == NOT_CHECKED


@pytest.mark.parametrize("checked", [True, False])
def test_a_broken_import_contract_fails_the_audit(checked: bool) -> None:
    audit = parse_pip_audit(pip_audit_output(SAFE_PACKAGE), 1, NOW) if checked else unchecked_audit({}, 1, NOW)
    assert exit_status_of(audit, contracts_kept=False) == FOUND


def test_locked_packages_lists_every_version_except_the_project_itself(tmp_path: Path) -> None:
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
