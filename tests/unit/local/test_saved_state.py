"""Tests that an incompletely written state of the AWS emulator is not loaded."""

import json
from pathlib import Path

import pytest

from local.aws.saved_state import drop_incomplete_state

FIRST_DIGEST, SECOND_DIGEST = "a" * 64, "b" * 64


@pytest.fixture
def services(tmp_path: Path) -> Path:
    (tmp_path / "services/lambda-blobs").mkdir(parents=True)
    functions = {name: {"code_zip": {"code_blob_ref": name}} for name in (FIRST_DIGEST, SECOND_DIGEST)}
    (tmp_path / "services/lambda.json").write_text(json.dumps(functions))
    for name in (FIRST_DIGEST, SECOND_DIGEST):
        (tmp_path / f"services/lambda-blobs/{name}.zip").write_bytes(b"code")
    return tmp_path / "services"


def test_a_complete_state_is_kept(services: Path) -> None:
    assert drop_incomplete_state(services) is None
    assert (services / "lambda.json").is_file()


def test_a_state_with_missing_code_is_removed_completely(services: Path) -> None:
    (services / f"lambda-blobs/{SECOND_DIGEST}.zip").unlink()
    assert drop_incomplete_state(services) == ("Dropped the saved state: it lacks the code of 1 functions.")
    assert not services.exists()


def test_a_missing_state_is_ignored(tmp_path: Path) -> None:
    assert drop_incomplete_state(tmp_path / "services") is None
