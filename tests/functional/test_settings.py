"""Settings on PostgreSQL and Parameter Store: concurrent operators, a kill in between, and manual writes."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws
from psycopg.errors import InsufficientPrivilege

from email_sender.adapters.aws.ssm import SsmSettings
from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.adapters.postgres.settings_versions import settings_units
from email_sender.coordination.configuration import AUDIT_OBJECT, Configuration
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import Conflict, Unavailable
from email_sender.kit.live_settings import SettingsReader
from email_sender.kit.platform_settings import with_defaults
from tests.database import Cluster


class SettingsScenario:
    """An operator's services. `url` is the endpoint of a Parameter Store; None means moto's."""

    def __init__(self, cluster: Cluster, url: str | None) -> None:
        self.client: Any = boto3.client("ssm", region_name="us-east-1", endpoint_url=url)
        self.name = f"/email-sender/{uuid4().hex}/settings"
        self.store = SsmSettings(lambda: self.client, self.name)
        self.units = settings_units(cluster.database("platform", size=8))
        self.config = Configuration(self.store, self.units, with_defaults)
        self._log = PostgresAudit(cluster.database("app"))
        # Entries of earlier tests belong to other parameters and are older than all entries of this one.
        self._before = {entry["sequence"] for entry in self._entries()}

    def _entries(self) -> list[dict[str, Any]]:
        entries = self._log.page(PLATFORM_TENANT, None, 200).items
        return [dict(entry) for entry in entries if entry["object"] == AUDIT_OBJECT]

    def audit_entries(self) -> list[tuple[int, str, str]]:
        entries = [entry for entry in reversed(self._entries()) if entry["sequence"] not in self._before]
        return [(entry["details"]["version"], entry["subject"], entry["action"]) for entry in entries]

    def is_audit_log_intact(self) -> bool:
        return self._log.broken_at(PLATFORM_TENANT) is None

    def change(self, limit: int, expected: int, subject: str = "olga") -> int:
        return self.config.change({"notifications": {"max_an_hour": limit}}, expected, subject).version

    def write_manually(self, text: str) -> None:
        self.client.put_parameter(Name=self.name, Value=text, Type="String", Overwrite=True)


@pytest.fixture
def scenario(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SettingsScenario]:
    """Use moto, or the Parameter Store at SSM_URL if that is set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    url = os.environ.get("SSM_URL")
    if url:
        yield SettingsScenario(cluster, url)
        return
    with mock_aws():
        yield SettingsScenario(cluster, None)


def test_nothing_is_stored_before_the_first_change(scenario: SettingsScenario) -> None:
    assert scenario.store.latest() is None
    assert scenario.store.history() == []
    assert (scenario.config.current().version, scenario.config.current().settings) == (0, with_defaults({}))


def test_a_version_records_its_author_time_and_changes(scenario: SettingsScenario) -> None:
    assert scenario.change(7, 0, "olga") == 1
    assert scenario.change(8, 1, "Ötto \"'\\ π " + "x" * 600) == 2
    assert scenario.config.roll_back(1, "olga").version == 3
    versions = scenario.config.history(None, 10).items
    assert [(version.version, version.by[:7], version.restored_version, version.changed) for version in versions] == [
        (3, "olga", 1, ["/notifications/max_an_hour"]),
        (2, "Ötto \"'", None, ["/notifications/max_an_hour"]),
        (1, "olga", None, ["/notifications/max_an_hour"]),
    ]
    assert versions[2].at < versions[0].at
    assert [entry[0] for entry in scenario.audit_entries()] == [1, 2, 3]
    assert scenario.is_audit_log_intact()


def test_a_manual_change_is_audited_without_one_of_our_subjects(scenario: SettingsScenario) -> None:
    """A parameter keeps its description until another is set, so the description is not trusted for a new value."""
    scenario.change(7, 0, "olga")
    scenario.write_manually('{"notifications": {"max_an_hour": 9}}')
    scenario.write_manually("no json at all")
    assert scenario.config.audit_pending_versions() == 2
    first, second, third = scenario.audit_entries()
    assert first == (1, "olga", "config.change")
    assert (second[0], third[0]) == (2, 3)
    assert "olga" not in second[1] + third[1]
    assert scenario.config.current().problems[0].message == "The stored settings are not valid JSON."
    assert [version.valid for version in scenario.config.history(None, 10).items] == [False, True, True]
    assert scenario.config.roll_back(2, "olga").settings["notifications"]["max_an_hour"] == 9


def test_concurrent_operators_take_turns_and_overwrite_nothing(scenario: SettingsScenario) -> None:
    """Each operator reads, changes, and starts again after a conflict: every change becomes a version of its own."""
    changes: list[tuple[int, str]] = []
    unexpected_errors: list[Exception] = []

    def operate(subject: str, number: int) -> None:
        for step in range(5):
            while True:
                try:
                    version = scenario.change(100 + number * 10 + step, scenario.config.current().version, subject)
                except Conflict:
                    continue
                except Exception as error:  # every unexpected error is reported below
                    unexpected_errors.append(error)
                    return
                changes.append((version, subject))
                break

    threads = [threading.Thread(target=operate, args=(f"op{number}", number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unexpected_errors == []
    assert sorted(version for version, _ in changes) == list(range(1, 21))
    assert [entry[:2] for entry in scenario.audit_entries()] == sorted(changes)
    assert [version.version for version in scenario.store.history()] == list(range(1, 21))
    assert scenario.is_audit_log_intact()


def test_one_of_two_concurrent_changes_of_a_version_is_refused(scenario: SettingsScenario) -> None:
    scenario.change(1, 0)
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def operate(subject: str, limit: int) -> None:
        barrier.wait()
        try:
            outcomes.append(f"version {scenario.change(limit, 1, subject)}")
        except Conflict as error:
            outcomes.append(error.detail)

    threads = [threading.Thread(target=operate, args=(f"op{limit}", limit)) for limit in (11, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["The settings are at version 2, not 1. Read them again.", "version 2"]


class Killed(BaseException):
    pass


def test_a_kill_after_the_version_is_stored_leaves_an_audit_entry_to_settle(
    scenario: SettingsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.change(7, 0)
    real_put = scenario.store.put

    def put_and_die(*arguments: Any) -> None:
        real_put(*arguments)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(scenario.store, "put", put_and_die)
        with pytest.raises(Killed):
            scenario.change(8, 1, "otto")
    assert [entry[0] for entry in scenario.audit_entries()] == [1]
    assert scenario.config.current().settings["notifications"]["max_an_hour"] == 8
    assert scenario.config.audit_pending_versions() == 1
    assert scenario.audit_entries()[1] == (2, "otto", "config.change")
    # The operator got no response and repeats the change: the same version, with one audit entry.
    assert scenario.change(8, 1, "otto") == 2
    assert scenario.config.audit_pending_versions() == 0
    assert len(scenario.audit_entries()) == 2


def test_a_kill_before_the_version_is_stored_leaves_nothing(
    scenario: SettingsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(scenario.store, "put", die)
        with pytest.raises(Killed):
            scenario.change(8, 0)
    assert (scenario.config.current().version, scenario.audit_entries()) == (0, [])
    assert scenario.change(8, 0) == 1


def test_a_lock_held_too_long_is_not_waited_for(
    scenario: SettingsScenario, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("email_sender.adapters.postgres.settings_versions._LOCK_TIMEOUT", "300ms")
    with settings_units(cluster.database("platform"))():
        started_at = time.monotonic()
        with pytest.raises(Unavailable):
            scenario.change(8, 0)
        assert time.monotonic() - started_at < 10
    assert scenario.change(8, 0) == 1


def test_an_execution_environment_keeps_valid_settings_while_the_store_fails(scenario: SettingsScenario) -> None:
    now = [0.0]
    read = SettingsReader(scenario.store.latest, clock=lambda: now[0])
    scenario.change(7, 0)
    assert read().notifications.max_an_hour == 7
    scenario.write_manually('{"notifications": {"max_an_hour": -1}}')
    now[0] += 60
    assert read().notifications.max_an_hour == 7
    scenario.client = boto3.client("ssm", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        scenario.store.latest()


def test_the_tenant_role_cannot_write_an_operators_audit_entry(cluster: Cluster) -> None:
    with pytest.raises(InsufficientPrivilege), cluster.database("app").tenant(cluster.new_tenant()) as conn:
        conn.execute(
            "insert into audit_log (tenant_id, at, subject, action, object, details) "
            "values (%s, now(), 's', 'a', 'o', '{}')",
            [PLATFORM_TENANT],
        )
