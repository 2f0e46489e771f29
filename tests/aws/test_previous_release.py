"""The code of the last release works on today's schema: after a failed deployment, or `make rollback`, it has to.

Its own tests of the stores run against it, with today's migrations in place of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from email_sender.adapters.postgres.migrate import FOLDER
from local.layout import ROOT

# Tests of what speaks to the database, whatever else a release had.
TESTS = ("tests/contract", "tests/functional/test_*outbox*.py", "tests/functional/test_*stores*.py",
         "tests/functional/test_*concurren*.py", "tests/functional/test_*inbound*.py",
         "tests/functional/test_*receiving*.py")  # fmt: skip
_RELEASE = re.compile(r"^## (\d+\.\d+\.\d+ \(.*\))$", re.MULTILINE)


def git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout


def release_commit() -> str:
    """Return the commit that added the newest release to CHANGELOG.md."""
    found = _RELEASE.search((ROOT / "CHANGELOG.md").read_text())
    assert found, "CHANGELOG.md has no release."
    try:
        commits = git("log", "--format=%H", f"-S## {found.group(1)}", "--", "CHANGELOG.md").decode().split()
    except (OSError, subprocess.CalledProcessError):
        commits = []
    if not commits:
        pytest.skip("The history of this checkout does not have the last release.")
    return commits[-1]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", release_commit()))) as archive:
        archive.extractall(folder, filter="data")
    migrations = folder / FOLDER.relative_to(ROOT)
    # Files of the release that changed since would not be applied again where it runs.
    changed = [file.name for file in migrations.glob("*.sql") if (FOLDER / file.name).read_bytes() != file.read_bytes()]
    assert changed == []
    shutil.rmtree(migrations)
    shutil.copytree(FOLDER, migrations)
    return folder


@pytest.mark.timeout(300)
def test_the_code_of_the_last_release_passes_its_tests_on_this_schema(release: Path, tmp_path: Path) -> None:
    tests = [str(path) for pattern in TESTS for path in sorted(release.glob(pattern))]
    paths = [".", "layers/common/python", *(str(folder) for folder in release.glob("functions/*"))]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_", "COV_"))
    } | {"PYTHONPATH": os.pathsep.join(paths)}
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'theirs'}", *tests],
        cwd=release, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stdout[-4000:] + completed.stderr[-1000:]
    (passed,) = re.findall(r"(\d+) passed", completed.stdout)
    assert int(passed) > 100
