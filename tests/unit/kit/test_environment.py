"""Tests that invalid environment settings stop the start and name the variable."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from email_sender.errors import InvalidInput
from email_sender.kit.environment import DatabaseSettings, Settings, VaultSettings
from email_sender.kit.resources import key_wrapper

GOOD = {"STAGE": "prod", "DATABASE_HOST": "db.internal"}


def test_a_variable_that_is_not_set_has_its_default() -> None:
    settings = DatabaseSettings.from_environment(GOOD)
    assert (settings.database_port, settings.database_user, settings.database_ssl) == (5432, "app", "verify-full")


@pytest.mark.parametrize("name", ["STAGE", "DATABASE_HOST"])
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_missing_or_empty_variable_is_named(name: str, value: str | None) -> None:
    environment = {key: good_value for key, good_value in GOOD.items() if key != name} | (
        {} if value is None else {name: value}
    )
    with pytest.raises(InvalidInput, match=name) as caught:
        DatabaseSettings.from_environment(environment)
    assert [problem.pointer for problem in caught.value.problems] == [name]


def test_every_invalid_variable_is_named_and_no_value_is_shown() -> None:
    with pytest.raises(InvalidInput) as caught:
        DatabaseSettings.from_environment({**GOOD, "DATABASE_PORT": "secret-1", "DATABASE_SSL": "secret-2"})
    assert {problem.pointer for problem in caught.value.problems} == {"DATABASE_PORT", "DATABASE_SSL"}
    assert "secret" not in caught.value.detail


def test_without_a_mapping_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "from-the-process")
    assert Settings.from_environment().stage == "from-the-process"


@pytest.mark.parametrize("value", ["", "kms:", "file:", "plain", "vault:x"])
def test_a_key_wrapper_other_than_kms_or_a_file_is_rejected(value: str) -> None:
    with pytest.raises(InvalidInput, match="KEY_WRAPPER"):
        VaultSettings.from_environment({"STAGE": "local", "KEY_WRAPPER": value})


def test_a_key_file_is_allowed_only_in_the_local_stage(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(os.urandom(32))
    environment = {"STAGE": "local", "KEY_WRAPPER": f"file:{file}"}
    wrapper = key_wrapper(VaultSettings.from_environment(environment))
    assert wrapper.unwrap(UUID(int=1), wrapper.wrap(UUID(int=1), b"key")) == b"key"
    # The wrapping keys of tenants are files beside the key.
    assert (tmp_path / "tenants" / str(UUID(int=1))).is_file()
    with pytest.raises(InvalidInput, match="KEY_WRAPPER"):
        key_wrapper(VaultSettings.from_environment({**environment, "STAGE": "dev"}))
