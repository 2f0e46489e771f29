"""A state of the emulator that was not written to its end is not loaded."""

import json
from pathlib import Path

import pytest

from local.aws.kept_state import drop_what_is_not_whole

ONE, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def services(tmp_path: Path) -> Path:
    (tmp_path / "services/lambda-blobs").mkdir(parents=True)
    functions = {name: {"code_zip": {"code_blob_ref": name}} for name in (ONE, OTHER)}
    (tmp_path / "services/lambda.json").write_text(json.dumps(functions))
    for name in (ONE, OTHER):
        (tmp_path / f"services/lambda-blobs/{name}.zip").write_bytes(b"code")
    return tmp_path / "services"


def test_a_whole_state_stays(services: Path) -> None:
    assert drop_what_is_not_whole(services) is None
    assert (services / "lambda.json").is_file()


def test_a_state_whose_code_is_missing_goes_as_a_whole(services: Path) -> None:
    (services / f"lambda-blobs/{OTHER}.zip").unlink()
    assert drop_what_is_not_whole(services) == (
        "the state of the last stop lacked the code of 1 functions and was dropped"
    )
    assert not services.exists()


def test_where_there_is_none_nothing_is_done(tmp_path: Path) -> None:
    assert drop_what_is_not_whole(tmp_path / "services") is None
