"""Check uv.lock against known vulnerabilities (pip-audit), and the imports between packages (lint-imports).

python scripts/check_dependencies.py
python scripts/check_dependencies.py --report    # for `make check`: within two minutes; only broken contracts fail

Exits with 0 if everything was checked and nothing was found, 1 if something was found, and 3 if nothing was found but
not everything could be checked. Writes the result to .local/audit.json.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REPORT = ROOT / ".local/audit.json"
# PyPI's database first, then OSV, which is its source. This machine may not be able to reach one of the two.
SERVICES = ("pypi", "osv")
SOCKET_SECONDS = 15
WHOLE_SECONDS = 600
REPORT_SECONDS = 120

FINE, FOUND, NOT_CHECKED = 0, 1, 3


class LookupFailed(RuntimeError):
    """A vulnerability service returned no usable report. The message is the reason."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a locked package."""

    package: str
    version: str
    id: str
    fixed_in: Sequence[str]


@dataclass(frozen=True, slots=True)
class Audit:
    """The result. `checked` is whether all of the `packages` were looked up; if not, `reason` says why."""

    checked: bool
    at: str
    reason: str
    vulnerabilities: Sequence[Vulnerability]
    packages: int


def locked_packages(lock: Path) -> list[tuple[str, str]]:
    """Return (name, version) of every package that the lock takes from an index, for all groups and platforms."""
    packages = tomllib.loads(lock.read_text())["package"]
    return sorted((package["name"], package["version"]) for package in packages if "registry" in package["source"])


def parse_pip_audit(output: str, packages: int, now: datetime) -> Audit:
    """Parse the JSON report of pip-audit.

    pip-audit skips a package that the service does not know and still exits with 0. Here it counts as not checked.

    Raises:
        LookupFailed: the output is not a report, or the service knows none of the packages.
    """
    try:
        dependencies: list[Mapping[str, Any]] = json.loads(output)["dependencies"]
        vulnerabilities = [
            Vulnerability(dependency["name"], dependency["version"], vulnerability["id"], vulnerability["fix_versions"])
            for dependency in dependencies
            for vulnerability in dependency.get("vulns", ())
        ]
        looked_up = {dependency["name"] for dependency in dependencies if "vulns" in dependency}
        skipped = sorted(dependency["name"] for dependency in dependencies if "vulns" not in dependency)
    except (ValueError, KeyError, TypeError) as error:
        raise LookupFailed(f"pip-audit returned an unexpected report ({type(error).__name__})") from error
    if not looked_up:
        raise LookupFailed(
            f"the service has no data about {', '.join(skipped[:3]) or 'any package'}; it may be a plain package mirror"
        )
    # Each version of a package that has several (one per platform) is a dependency. None may be missing.
    missing_count = packages - len(dependencies) + len(skipped)
    reason = f"{missing_count} of {packages} packages were not looked up: {', '.join(skipped)}" if missing_count else ""
    return Audit(not missing_count, _at(now), reason, vulnerabilities, packages)


def unchecked_audit(reasons: Mapping[str, str], packages: int, now: datetime) -> Audit:
    """Return the result if no service answered. `reasons` has the reason of each service."""
    reason = "; ".join(f"{service}: {cause}" for service, cause in reasons.items())
    return Audit(False, _at(now), reason, [], packages)


def exit_status_of(audit: Audit, *, contracts_kept: bool) -> int:
    """Return the exit status. Something found takes precedence over something not checked."""
    if audit.vulnerabilities or not contracts_kept:
        return FOUND
    return FINE if audit.checked else NOT_CHECKED


def summary_lines(audit: Audit) -> list[str]:
    """Return the result as lines of text."""
    lines = [
        f"{vulnerability.package} {vulnerability.version}: {vulnerability.id}, "
        f"fixed in {', '.join(vulnerability.fixed_in) or 'no version yet'}"
        for vulnerability in audit.vulnerabilities
    ]
    if not audit.checked:
        lines.append(f"not checked: {audit.reason}")
    elif not lines:
        lines.append(f"no known vulnerability in {audit.packages} packages")
    return lines


def look_up(packages: Sequence[tuple[str, str]], seconds: int = WHOLE_SECONDS) -> Audit:
    """Query one service after the other until one returns a usable report."""
    reasons = {}
    for service in SERVICES:
        print(f"Checking {len(packages)} packages with {service} …", flush=True)
        try:
            # One package first: if the service does not know it, the rest need not be looked up.
            parse_pip_audit(_pip_audit(service, packages[:1], seconds), 1, datetime.now(UTC))
            return parse_pip_audit(_pip_audit(service, packages, seconds), len(packages), datetime.now(UTC))
        except LookupFailed as error:
            reasons[service] = str(error)
    return unchecked_audit(reasons, len(packages), datetime.now(UTC))


def _pip_audit(service: str, packages: Sequence[tuple[str, str]], seconds: int) -> str:
    """Return what pip-audit printed. Its status is 1 for a finding and for a failure, so only its JSON counts."""
    # The lock may have several versions of a package (one per platform); a requirements file may have only one.
    files: list[list[str]] = []
    for name, version in packages:
        for lines in files:
            if not any(line.startswith(f"{name}==") for line in lines):
                lines.append(f"{name}=={version}")
                break
        else:
            files.append([f"{name}=={version}"])
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json"]
        command += ["--progress-spinner", "off", "--timeout", str(SOCKET_SECONDS), "--vulnerability-service", service]
        for number, lines in enumerate(files):
            path = Path(folder, f"{number}.txt")
            path.write_text("\n".join(lines) + "\n")
            command += ["--requirement", str(path)]
        try:
            completed = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise LookupFailed(f"pip-audit did not finish within {seconds} s") from error
    if not completed.stdout.strip():
        error_lines = [line for line in completed.stderr.splitlines() if line.strip()]
        raise LookupFailed(
            error_lines[-1].strip()[:300] if error_lines else f"pip-audit ended with status {completed.returncode}"
        )
    return completed.stdout


def _at(now: datetime) -> str:
    return now.isoformat(timespec="seconds")


def main() -> int:
    global WHOLE_SECONDS  # of this process
    is_report = "--report" in sys.argv
    if is_report:
        WHOLE_SECONDS = 120
    audit = look_up(locked_packages(ROOT / "uv.lock"))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(asdict(audit), indent=2) + "\n")
    print("\n".join(summary_lines(audit)), flush=True)
    contracts_kept = subprocess.run(["lint-imports"], cwd=ROOT).returncode == 0
    if is_report:
        # A vulnerability that was found since the last commit is news, and not a fault of this one.
        return FINE if contracts_kept else FOUND
    return exit_status_of(audit, contracts_kept=contracts_kept)


if __name__ == "__main__":
    sys.exit(main())
