"""Tests that a state of the AWS emulator that was not saved to its end is not loaded."""

import json
from pathlib import Path

import pytest

from local.aws.saved_state import drop_incomplete_state, marked


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def services(tmp_path: Path) -> Path:
    return tmp_path / "services"


def save(services: Path, *, killed_after: int = 2) -> None:
    def save_all(states: object) -> None:
        services.mkdir(exist_ok=True)
        for number, name in enumerate(("cloudformation", "lambda")):
            if number == killed_after:
                raise Killed
            (services / f"{name}.json").write_text(json.dumps({}))

    marked(save_all, services)({})


def test_a_complete_state_is_kept(services: Path) -> None:
    save(services)
    assert drop_incomplete_state(services) is None
    assert (services / "lambda.json").is_file()


def test_a_state_that_was_saved_only_partly_is_removed(services: Path) -> None:
    with pytest.raises(Killed):
        save(services, killed_after=1)
    assert drop_incomplete_state(services) == "Dropped the saved state: the emulator was killed while it saved it."
    assert not services.exists()


def test_a_complete_state_that_was_replaced_only_partly_is_removed(services: Path) -> None:
    save(services)
    with pytest.raises(Killed):
        save(services, killed_after=0)
    assert drop_incomplete_state(services) is not None


def test_a_missing_or_empty_state_is_ignored(services: Path) -> None:
    assert drop_incomplete_state(services) is None
    services.mkdir()
    assert drop_incomplete_state(services) is None
