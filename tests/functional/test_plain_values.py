"""What an older release left plain in PostgreSQL: it is read as it is, and the daily work on keys encrypts it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.files.wrapping_keys import FileWrappingKeys
from email_sender.adapters.postgres import key_rotation
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.key_rotation import PostgresKeyRotation
from email_sender.adapters.postgres.long_running_work import PostgresJobsIndex
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.stories import PostgresStories
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.contact_search import asked_terms
from email_sender.security.key_rotation import KeyRotation
from email_sender.workflows.model import StepRecord, StepStatus
from tests.database import Cluster

ALWAYS = repeat(True).__next__
SECRET = "ada@private.example"
EMAIL = new_id()
ERROR = {"name": "InvalidInput", "message": f"{SECRET} is no address."}


class Machine:
    def start_rotation(self, tenant_id: UUID, version: int) -> str:
        return f"{tenant_id}-{version}"


@dataclass
class Scenario:
    """A run with a step of each kind, and a contact with tags, as an older release stored them."""

    cluster: Cluster
    database: Database
    tenant: UUID
    vault: PostgresVault
    rotation: KeyRotation
    run: UUID
    contact: UUID
    found: list[UUID] = field(default_factory=list)
    """Whom a search found when the contents were read."""

    def contents(self) -> Any:
        """Return all that the platform reads of it."""
        with PostgresWorkflowUnits(self.database, None, self.vault)(self.tenant) as unit:
            run = unit.runs.get(self.run)
            steps = [(step.step, step.result, step.error) for step in unit.runs.steps(self.run)]
            answer = unit.runs.answer(self.run)
        with PostgresMessagingUnits(self.database, self.vault, None)(self.tenant) as messaging:
            contact = messaging.contacts.get(self.contact)
            found = [one.id for one in messaging.contacts.page(None, 10, asked_terms("x y", names_only=False))]
            selected = [
                list(messaging.contacts.select(None, tags, 10, suppressed=True)) for tags in (["vip"], ["vip", "x"])
            ]
        assert run is not None
        assert contact is not None
        job = PostgresJobsIndex(self.database, self.vault).find(self.tenant, self.run)
        story = [
            (entry.what, entry.details.get("error"))
            for entry in PostgresStories(self.database).of_run(self.tenant, self.run)
        ]
        self.found = found
        return run.inputs, run.error, steps, answer, contact.attributes, selected, job.error, story

    def stored(self) -> str:
        """Return all rows of the tenant as text."""
        tables = ("runs", "run_steps", "contacts")
        return str([self.cluster.query(f"select * from {table} where tenant_id = %s", self.tenant) for table in tables])


@pytest.fixture
def scenario(cluster: Cluster, app_role: Database, new_tenant: Callable[[], UUID], tmp_path: Path) -> Scenario:
    tenant, workflow, run, contact = new_tenant(), new_id(), new_id(), new_id()
    wrapper = TenantKeyWrapper(FileWrappingKeys(tmp_path), FileKeyWrapper(cluster.key_file))
    vault = PostgresVault(app_role, wrapper)
    keys = vault.keys_for(tenant)
    execute = cluster.execute
    execute("insert into workflows (id, tenant_id, name, definition) values (%s, %s, 'w', '{}')", workflow, tenant)
    execute(
        "insert into workflow_versions (tenant_id, workflow_id, version, definition, published_by) "
        "values (%s, %s, 1, '{}', 'ann')", tenant, workflow,
    )  # fmt: skip
    execute(
        "insert into runs (id, tenant_id, workflow_id, version, status, inputs, error, started_by, role, finished_at) "
        "values (%s, %s, %s, 1, 'failed', %s, %s, 'ann', 'user', now())",
        run, tenant, workflow, Jsonb({"to": SECRET}), Jsonb(ERROR),
    )  # fmt: skip
    for step, action, status, result, error in (
        ("answer", "webhook.answer", "succeeded", Jsonb({"status": 200, "body": SECRET}), None),
        ("send", "email.send", "succeeded", Jsonb({"email_id": str(EMAIL), "to": SECRET}), None),
        ("fail", "email.send", "failed", None, Jsonb(ERROR)),
        ("wait", "wait", "succeeded", None, None),
    ):
        execute(
            "insert into run_steps (tenant_id, run_id, step, action, status, result, error, started_at, finished_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, now(), now())",
            tenant, run, step, action, status, result, error,
        )  # fmt: skip
    execute(
        "insert into contacts (id, tenant_id, address_hash, address_enc, attributes) values (%s, %s, %s, %s, %s)",
        contact, tenant, keys.fingerprint("x@y.example"), keys.encrypt("x@y.example", "contacts.address"),
        Jsonb({"tags": ["vip", 1], "note": SECRET}),
    )  # fmt: skip
    store = PostgresKeyRotation(Units(app_role, None), vault, wrapper, EventFactory("security", now, new_id))
    rotation = KeyRotation(store, Machine(), timedelta(0), now)
    return Scenario(cluster, app_role, tenant, vault, rotation, run, contact)


def test_plain_values_are_encrypted_in_batches_and_read_the_same(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "_BATCH", 2)
    before = scenario.contents()
    assert SECRET in scenario.stored()
    assert before[0] == {"to": SECRET}
    assert before[5] == [[scenario.contact], []]
    # Time for one batch: the rest waits for the next day, and everything can be read meanwhile.
    times = iter([True, False])
    assert not scenario.rotation.encrypt_plain(scenario.tenant, lambda: next(times, False))
    assert scenario.contents() == before
    assert SECRET in scenario.stored()
    assert scenario.rotation.encrypt_plain(scenario.tenant, ALWAYS)
    assert SECRET not in scenario.stored()
    assert scenario.contents() == before
    assert scenario.found == [scenario.contact], "a contact of an older release is found by its words"
    (step,) = scenario.cluster.query(
        "select email_id from run_steps where run_id = %s and email_id is not null", scenario.run
    )
    assert step["email_id"] == EMAIL


def test_what_an_older_release_wrote_after_a_return_to_it_is_the_newer_value(scenario: Scenario) -> None:
    assert scenario.rotation.encrypt_plain(scenario.tenant, ALWAYS)
    execute = scenario.cluster.execute
    execute("update contacts set attributes = %s where id = %s", Jsonb({"note": "newer"}), scenario.contact)
    execute("update run_steps set result = %s where run_id = %s and step = 'send'", Jsonb({"x": 1}), scenario.run)
    before = scenario.contents()
    # The earlier release saw no attributes, and added one: the others stay.
    assert before[4] == {"tags": ["vip", 1], "note": "newer"}
    assert ("send", {"x": 1}, None) in before[2]
    assert scenario.rotation.encrypt_plain(scenario.tenant, ALWAYS)
    assert "newer" not in scenario.stored()
    assert scenario.contents()[:5] == before[:5]


def test_what_a_run_contains_is_never_plain(scenario: Scenario) -> None:
    assert scenario.rotation.encrypt_plain(scenario.tenant, ALWAYS)
    with PostgresWorkflowUnits(scenario.database, None, scenario.vault)(scenario.tenant) as unit:
        for status, result, error in (
            (StepStatus.SUCCEEDED, {"to": SECRET}, None),
            (StepStatus.FAILED, None, ERROR),
        ):
            unit.runs.record(scenario.run, StepRecord(f"new-{status}", -1, "a", status, now(), 1, result, error))
        unit.commit()
    assert SECRET not in scenario.stored()
    results = {step: (result, error) for step, result, error in scenario.contents()[2]}
    assert results["new-succeeded"] == ({"to": SECRET}, None)
    assert results["new-failed"] == (None, ERROR)


@pytest.mark.parametrize("text", ["a NUL \0", "half a pair \ud83d"])
def test_what_postgresql_cannot_store_as_json_is_refused_as_before(scenario: Scenario, text: str) -> None:
    with PostgresWorkflowUnits(scenario.database, None, scenario.vault)(scenario.tenant) as unit:
        step = StepRecord("s", -1, "a", StepStatus.SUCCEEDED, now(), 1, {"text": text})
        with pytest.raises(InvalidInput, match="cannot store"):
            unit.runs.record(scenario.run, step)
        # The escape itself is a text like others.
        unit.runs.record(scenario.run, StepRecord("s", -1, "a", StepStatus.SUCCEEDED, now(), 1, {"text": r"\u0000"}))


def test_a_unit_without_keys_reads_nothing_of_it(scenario: Scenario) -> None:
    assert scenario.rotation.encrypt_plain(scenario.tenant, ALWAYS)
    with (
        PostgresWorkflowUnits(scenario.database, None)(scenario.tenant) as unit,
        pytest.raises(LookupError, match="no keys"),
    ):
        unit.runs.get(scenario.run)
