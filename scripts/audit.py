"""Checks what uv.lock has against known vulnerabilities (pip-audit), and the imports between rooms (lint-imports).

python scripts/audit.py

Ends with 0 where everything was checked and nothing found, 1 where something was found, 3 where nothing was found but
not everything could be checked. What it came to is written to .local/audit.json.
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
# PyPI's own first, then OSV's, from where PyPI has it: one of the two may be closed to this machine.
SERVICES = ("pypi", "osv")
SOCKET_SECONDS = 15
WHOLE_SECONDS = 600

FINE, FOUND, NOT_CHECKED = 0, 1, 3


class NotAnswered(RuntimeError):
    """A vulnerability service gave no answer to be read; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known one, in a package that the lock has."""

    package: str
    version: str
    id: str
    fixed_in: Sequence[str]


@dataclass(frozen=True, slots=True)
class Audit:
    """`checked` is whether every one of `packages` was looked up; `reason` says why not, and is empty where it was."""

    checked: bool
    at: str
    reason: str
    vulnerabilities: Sequence[Vulnerability]
    packages: int


def locked_packages(lock: Path) -> list[tuple[str, str]]:
    """(name, version) of everything that the lock takes from an index: all groups, all platforms."""
    packages = tomllib.loads(lock.read_text())["package"]
    return sorted((each["name"], each["version"]) for each in packages if "registry" in each["source"])


def read_answer(answer: str, packages: int, now: datetime) -> Audit:
    """What pip-audit's JSON says.

    A package that the service does not know is left out there with a word, and the status is 0: here it is not checked.

    Raises:
        NotAnswered: it is not such JSON, or the service knows none of the packages.
    """
    try:
        dependencies: list[Mapping[str, Any]] = json.loads(answer)["dependencies"]
        vulnerabilities = [
            Vulnerability(each["name"], each["version"], found["id"], found["fix_versions"])
            for each in dependencies
            for found in each.get("vulns", ())
        ]
        looked_up = {each["name"] for each in dependencies if "vulns" in each}
        skipped = sorted(each["name"] for each in dependencies if "vulns" not in each)
    except (ValueError, KeyError, TypeError) as error:
        raise NotAnswered(f"pip-audit's answer is not as expected ({type(error).__name__})") from error
    if not looked_up:
        raise NotAnswered(
            f"it knows nothing of {', '.join(skipped[:3]) or 'any package'}, as a mirror of packages alone"
        )
    # Versions of one package for several platforms are dependencies of their own: none may be missing.
    missing = packages - len(dependencies) + len(skipped)
    reason = f"{missing} of {packages} packages were not looked up: {', '.join(skipped)}" if missing else ""
    return Audit(not missing, _at(now), reason, vulnerabilities, packages)


def not_checked(reasons: Mapping[str, str], packages: int, now: datetime) -> Audit:
    """The outcome where no service answered: `reasons` by service."""
    reason = "; ".join(f"{service}: {why}" for service, why in reasons.items())
    return Audit(False, _at(now), reason, [], packages)


def status_of(audit: Audit, *, contracts_kept: bool) -> int:
    """What the command ends with: what was found goes before what was not looked at."""
    if audit.vulnerabilities or not contracts_kept:
        return FOUND
    return FINE if audit.checked else NOT_CHECKED


def lines_of(audit: Audit) -> list[str]:
    """The outcome for a person."""
    lines = [
        f"{each.package} {each.version}: {each.id}, fixed in {', '.join(each.fixed_in) or 'no version yet'}"
        for each in audit.vulnerabilities
    ]
    if not audit.checked:
        lines.append(f"not checked: {audit.reason}")
    elif not lines:
        lines.append(f"no known vulnerability in {audit.packages} packages")
    return lines


def look_up(packages: Sequence[tuple[str, str]]) -> Audit:
    """Ask one service after the other until one answers."""
    reasons = {}
    for service in SERVICES:
        print(f"asking {service} about {len(packages)} packages …", flush=True)
        try:
            # One first: where even that is not known, the others need not be asked for one by one.
            read_answer(_pip_audit(service, packages[:1]), 1, datetime.now(UTC))
            return read_answer(_pip_audit(service, packages), len(packages), datetime.now(UTC))
        except NotAnswered as error:
            reasons[service] = str(error)
    return not_checked(reasons, len(packages), datetime.now(UTC))


def _pip_audit(service: str, packages: Sequence[tuple[str, str]]) -> str:
    """What pip-audit printed. Its status is 1 for what it found and for what went wrong: only its JSON tells."""
    # Several versions of a package, one a platform, are in one lock but may not be in one file of requirements.
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
            done = subprocess.run(command, capture_output=True, text=True, timeout=WHOLE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise NotAnswered(f"no answer within {WHOLE_SECONDS} s") from error
    if not done.stdout.strip():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise NotAnswered(said[-1].strip()[:300] if said else f"pip-audit ended with {done.returncode}")
    return done.stdout


def _at(now: datetime) -> str:
    return now.isoformat(timespec="seconds")


def main() -> int:
    audit = look_up(locked_packages(ROOT / "uv.lock"))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(asdict(audit), indent=2) + "\n")
    print("\n".join(lines_of(audit)), flush=True)
    contracts_kept = subprocess.run(["lint-imports"], cwd=ROOT).returncode == 0
    return status_of(audit, contracts_kept=contracts_kept)


if __name__ == "__main__":
    sys.exit(main())
