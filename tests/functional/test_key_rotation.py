"""Rotation of tenants' keys on PostgreSQL."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.files.wrapping_keys import FileWrappingKeys
from email_sender.adapters.postgres import key_rotation
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.key_rotation import COLUMNS, PostgresKeyRotation
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper
from email_sender.coordination.events import EventFactory
from email_sender.errors import KeyDestroyed, NotFound, Unavailable
from email_sender.kit.system_clock import new_id, now
from email_sender.security.key_rotation import KeyRotation, KeyService
from tests.database import Cluster

ALWAYS = repeat(True).__next__
LIFETIME = timedelta(days=90)


@dataclass
class Machine:
    started: list[tuple[UUID, int]] = field(default_factory=list)

    def start_rotation(self, tenant_id: UUID, version: int) -> str:
        self.started.append((tenant_id, version))
        return f"{tenant_id}-{version}"


@dataclass
class Scenario:
    cluster: Cluster
    tenant: UUID
    wrapper: TenantKeyWrapper
    vault: PostgresVault
    store: PostgresKeyRotation
    machine: Machine
    database: Database
    at: datetime = field(default_factory=now)

    @property
    def rotation(self) -> KeyRotation:
        return KeyRotation(self.store, self.machine, timedelta(0), lambda: self.at)

    def add_contacts(self, count: int) -> None:
        keys = self.vault.keys_for(self.tenant)
        for number in range(count):
            address = f"p{number}-{new_id().hex}@example.org"
            self.cluster.execute(
                "insert into contacts (id, tenant_id, address_hash, address_enc, name_enc, attributes) "
                "values (%s, %s, %s, %s, %s, %s)",
                new_id(), self.tenant, keys.fingerprint(address), keys.encrypt(address, "contacts.address"),
                keys.encrypt("Ada", "contacts.name") if number % 2 else None, Jsonb({}),
            )  # fmt: skip

    def versions_in_use(self) -> set[int]:
        return {
            row["version"]
            for column in COLUMNS
            for row in self.cluster.query(
                f"select get_byte({column.column}, 4) as version from {column.table} "  # constants
                f"where tenant_id = %s and {column.column} is not null",
                self.tenant,
            )
        }

    def addresses(self) -> list[str]:
        keys = self.vault.load(self.tenant)
        rows = self.cluster.query("select address_enc from contacts where tenant_id = %s order by id", self.tenant)
        return [keys.decrypt(bytes(row["address_enc"]), "contacts.address") for row in rows]

    def rotate(self) -> None:
        version = self.store.versions(self.tenant)[-1].version + 1
        assert self.rotation.begin(self.tenant, version) < timedelta(seconds=5)
        assert self.rotation.encrypt(self.tenant, version, ALWAYS)
        self.rotation.finish(self.tenant, version)


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID], tmp_path: Path) -> Scenario:
    wrapper = TenantKeyWrapper(FileWrappingKeys(tmp_path), FileKeyWrapper(cluster.key_file))
    vault = PostgresVault(app_role, wrapper)
    store = PostgresKeyRotation(Units(app_role, None), vault, wrapper, EventFactory("security", now, new_id))
    return Scenario(cluster, new_tenant(), wrapper, vault, store, Machine(), app_role)


def test_every_column_with_ciphertexts_is_encrypted_anew(cluster: Cluster) -> None:
    columns = cluster.query(
        "select table_name, column_name from information_schema.columns where table_schema = 'email_sender' "
        "and data_type = 'bytea' and (column_name like '%%_enc' or column_name = 'response')"
    )
    assert {(row["table_name"], row["column_name"]) for row in columns} == {(c.table, c.column) for c in COLUMNS}


def test_a_rotation_encrypts_every_value_anew_in_batches(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "_BATCH", 4)
    scenario.add_contacts(11)
    before = scenario.addresses()
    assert scenario.versions_in_use() == {1}
    scenario.rotate()
    assert scenario.versions_in_use() == {2}
    assert scenario.addresses() == before
    events = scenario.cluster.query("select detail from outbox where tenant_id = %s", scenario.tenant)
    assert [(event["detail"]["type"], event["detail"]["data"]) for event in events] == [("key.rotated", {"version": 2})]


def test_every_encrypted_column_can_be_written_by_functions(scenario: Scenario) -> None:
    # The statements of all columns run as the role of functions; without rows they would pass in silence.
    for column in COLUMNS:
        rights = scenario.cluster.query(
            "select has_column_privilege('app', %s, %s, 'update') as may", f"email_sender.{column.table}", column.column
        )
        assert rights[0]["may"], column
    scenario.vault.keys_for(scenario.tenant)
    scenario.rotate()


def test_an_interrupted_rotation_continues_where_it_was(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_rotation, "_BATCH", 4)
    scenario.add_contacts(11)
    before = scenario.addresses()
    scenario.rotation.begin(scenario.tenant, 2)
    times = iter([True, False])
    assert not scenario.rotation.encrypt(scenario.tenant, 2, lambda: next(times))
    # Some values have the new key and some the old one: all can be read, also by who begins anew.
    assert scenario.versions_in_use() == {1, 2}
    assert scenario.addresses() == before
    scenario.rotation.begin(scenario.tenant, 2)
    assert scenario.rotation.encrypt(scenario.tenant, 2, ALWAYS)
    scenario.rotation.finish(scenario.tenant, 2)
    scenario.rotation.finish(scenario.tenant, 2)
    assert scenario.versions_in_use() == {2}
    assert scenario.addresses() == before
    assert len(scenario.cluster.query("select 1 from outbox where tenant_id = %s", scenario.tenant)) == 1


def test_a_new_key_encrypts_only_after_every_function_knows_it(scenario: Scenario) -> None:
    scenario.add_contacts(1)
    rotation = KeyRotation(scenario.store, scenario.machine, timedelta(minutes=20), now)
    assert timedelta(minutes=19) < rotation.begin(scenario.tenant, 2) <= timedelta(minutes=20)
    scenario.vault.load(scenario.tenant)
    scenario.add_contacts(1)
    with pytest.raises(Unavailable):
        rotation.encrypt(scenario.tenant, 2, ALWAYS)
    assert scenario.versions_in_use() == {1}


def test_a_function_that_remembers_the_old_key_reads_and_writes_meanwhile(
    scenario: Scenario, app_role: Database
) -> None:
    scenario.add_contacts(1)
    other_function = PostgresVault(app_role, scenario.wrapper)
    remembered = other_function.keys_for(scenario.tenant)
    scenario.rotate()
    value = remembered.encrypt("late", "contacts.name")
    assert scenario.vault.load(scenario.tenant).decrypt(value, "contacts.name") == "late"


def test_an_old_key_is_removed_a_day_later_once_nothing_needs_it(scenario: Scenario) -> None:
    scenario.add_contacts(3)
    scenario.rotate()
    # Written by a function that remembered the old key.
    activate = "update data_keys set active_at = %s where tenant_id = %s and version = 2"
    scenario.cluster.execute(activate, now() + LIFETIME, scenario.tenant)
    scenario.vault.load(scenario.tenant)
    scenario.add_contacts(1)
    scenario.cluster.execute(activate, now(), scenario.tenant)
    assert scenario.versions_in_use() == {1, 2}
    assert scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS) == []
    assert scenario.store.remove_unused(scenario.tenant) == []
    scenario.at += timedelta(days=2)
    assert scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS) == [1]
    assert scenario.versions_in_use() == {2}
    assert len(scenario.addresses()) == 4
    assert scenario.machine.started == []
    # A state machine that comes late does not bring the old key back.
    with pytest.raises(NotFound):
        scenario.rotation.begin(scenario.tenant, 1)


def test_a_key_is_rotated_when_it_is_due_and_an_interrupted_rotation_is_continued(scenario: Scenario) -> None:
    assert scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS) == []
    assert scenario.machine.started == []
    scenario.add_contacts(1)
    scenario.at += timedelta(days=91)
    scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS)
    assert scenario.machine.started == [(scenario.tenant, 2)]
    scenario.store.add(scenario.tenant, 2, timedelta(0))
    scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS)
    assert scenario.machine.started == [(scenario.tenant, 2)] * 2


def test_a_request_is_audited_and_continues_a_rotation_that_has_not_finished(scenario: Scenario) -> None:
    scenario.add_contacts(1)
    service = KeyService(scenario.store, scenario.machine, lambda: datetime.now(UTC))
    assert service.rotate(scenario.tenant) == 2
    scenario.store.add(scenario.tenant, 2, timedelta(0))
    assert service.rotate(scenario.tenant) == 2
    assert scenario.machine.started == [(scenario.tenant, 2)] * 2
    entries = scenario.cluster.query("select action, object from audit_log where tenant_id = %s", scenario.tenant)
    assert [(entry["action"], entry["object"]) for entry in entries] == [("key.rotation_requested", "2")] * 2


def test_answers_that_were_stored_without_encryption_stay_as_they_are(scenario: Scenario) -> None:
    scenario.vault.keys_for(scenario.tenant)
    for key, response in (("plain", b'{"id": 1}'), ("empty", b"")):
        scenario.cluster.execute(
            "insert into idempotency (tenant_id, subject, route, key, body_hash, operation_id, lease_until, response) "
            "values (%s, 's', 'r', %s, '', %s, now(), %s)",
            scenario.tenant, key, new_id(), response,
        )  # fmt: skip
    scenario.rotate()
    rows = scenario.cluster.query("select response from idempotency where tenant_id = %s", scenario.tenant)
    assert {bytes(row["response"]) for row in rows} == {b'{"id": 1}', b""}


def test_a_function_that_does_not_know_the_new_key_yet_fails_once(scenario: Scenario, app_role: Database) -> None:
    scenario.add_contacts(1)
    other_function = PostgresVault(app_role, scenario.wrapper)
    other_function.keys_for(scenario.tenant)
    scenario.rotate()
    value = scenario.vault.load(scenario.tenant).encrypt("Ada", "contacts.name")
    with pytest.raises(Unavailable, match="Try again"):
        other_function.keys_for(scenario.tenant).decrypt(value, "contacts.name")
    assert other_function.keys_for(scenario.tenant).decrypt(value, "contacts.name") == "Ada"


def test_keys_that_an_earlier_version_wrapped_are_wrapped_again(scenario: Scenario, tmp_path: Path) -> None:
    scenario.vault = PostgresVault(scenario.database, FileKeyWrapper(scenario.cluster.key_file))
    scenario.add_contacts(2)
    before = scenario.addresses()
    wrapper = scenario.wrapper
    scenario.vault, events = PostgresVault(scenario.database, wrapper), EventFactory("security", now, new_id)
    scenario.store = PostgresKeyRotation(Units(scenario.database, None), scenario.vault, wrapper, events)
    assert scenario.addresses() == before
    scenario.rotation.tend(scenario.tenant, LIFETIME, ALWAYS)
    rows = scenario.cluster.query("select wrapped from data_keys where tenant_id = %s", scenario.tenant)
    assert [wrapper.is_current(bytes(row["wrapped"])) for row in rows] == [True, True]
    assert scenario.addresses() == before
    assert scenario.store.rewrap(scenario.tenant) == 0
    # From now on, the destroyed key makes all of it unreadable.
    FileWrappingKeys(tmp_path).destroy(scenario.tenant)
    wrapper = TenantKeyWrapper(FileWrappingKeys(tmp_path), FileKeyWrapper(scenario.cluster.key_file))
    with pytest.raises(KeyDestroyed):
        PostgresVault(scenario.database, wrapper).keys_for(scenario.tenant)
