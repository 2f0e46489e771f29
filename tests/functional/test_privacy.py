"""Export and erasure of a person: an erased person is searched for in every column of every table."""

import json
from collections.abc import Callable
from threading import Thread
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.adapters.postgres.archive import PostgresArchiveUnits
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.adapters.postgres.run_content import RunContents
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.archive.mailbox_import import leave_out_erased
from email_sender.archive.message_parser import parse
from email_sender.errors import Conflict, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.messaging.contacts import ContactService
from email_sender.messaging.model import Content, Draft, Erasure, Suppression, SuppressionReason
from email_sender.messaging.privacy import PrivacyService
from email_sender.security.acting import acting_as
from email_sender.vectors.imports.model import Import, ImportStatus, IncomingMessage
from tests.database import Cluster

LINKS = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"x" * 32}), "https://a.example")
ADA = "ada.o'hara+x_y@example.org"
MAIL = f"""From: "Ada O'Hara" <{ADA}>
To: list@example.org
Message-ID: <1@example.org>
Date: Mon, 02 Sep 2002 10:00:00 +0000
Subject: The disk

It is full again. Regards, Ada
"""


class Scenario:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.tenant = cluster, cluster.new_tenant()
        self.database = database = cluster.database("app", size=1)
        self.items = new_id()
        self.vault = cluster.vault(database)
        self.units = PostgresMessagingUnits(database, self.vault, None)
        self.archive = PostgresArchiveUnits(database, self.vault, None)
        self.privacy = PrivacyService(self.units, now, new_id)
        self.contacts = ContactService(self.units, LINKS, now, new_id)
        self.contact = self._import(MAIL)[0]
        self.run = self._add_run()

    def _import(self, mail: str) -> list[UUID]:
        """Import one message as a mailbox import does. Returns the contacts' ids."""
        upload = Import(new_id(), ImportStatus.PROCESSING, "m.mbox", 1, "k", "ann", now())
        parsed = parse(mail.encode(), MailTextCleaner())
        with self.archive(self.tenant) as unit:
            unit.add(upload)
            messages, _ = leave_out_erased(unit, [IncomingMessage(0, parsed, parsed.author)])
            archived = unit.archive(upload.id, messages)
            unit.commit()
        return [message.contact_id for message in archived if message.contact_id]

    def import_again(self) -> list[UUID]:
        return self._import(MAIL.replace("<1@", "<2@"))

    def _add_run(self) -> UUID:
        run, other_run, workflow = new_id(), new_id(), new_id()
        execute = self.cluster.execute
        execute(
            "insert into workflows (id, tenant_id, name, definition) values (%s, %s, 'w', '{}')", workflow, self.tenant
        )
        execute(
            "insert into workflow_versions (tenant_id, workflow_id, version, definition, published_by) "
            "values (%s, %s, 1, '{}', 'ann')",
            self.tenant,
            workflow,
        )
        for one, inputs in ((run, {"to": ADA.upper(), "other": "bob@example.org"}), (other_run, {})):
            execute(
                "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role) "
                "values (%s, %s, %s, 1, 'succeeded', %s, 'ann', 'user')",
                one,
                self.tenant,
                workflow,
                Jsonb(inputs),
            )
        results = [
            {"people": [{"email": ADA, "name": "Ada O'Hara"}]},
            # Letters after a backslash belong to escapes in JSON.
            {"contact": str(self.contact), "text": 'Hello\nAda O\'Hara,\n"bye"\\'},
            {"people": [{"email": "bob@example.org", "name": "Ada O'Hara"}]},
            # Longer addresses, of others.
            {"others": [f"x{ADA}", f"{ADA}.uk", f"-{ADA}"]},
        ]
        for item, result in enumerate(results):
            execute(
                "insert into run_steps (tenant_id, run_id, step, item, action, status, result, started_at) "
                "values (%s, %s, 's', %s, 'a', 'succeeded', %s, now())",
                self.tenant,
                run,
                item,
                Jsonb(result),
            )
        keys = self.vault.keys_for(self.tenant)
        items = PostgresWorkflowUnits(self.database, None, self.vault)
        with items(self.tenant) as unit:
            unit.stored_items.add(self.items, run, "s", [*results, {"link": f"mailto:'{ADA}'?subject=The disk"}])
            unit.commit()
        # Of this run, of another one of the session, and of a session of somebody else.
        for number, (session, text) in enumerate([("a", "Hello"), ("a", f"I am {ADA}"), ("b", "Bye")]):
            execute(
                "insert into conversations values (%s, %s, %s, %s, 's', %s, now(), %s)",
                self.tenant,
                workflow,
                keys.fingerprint(session),
                run if number == 0 else other_run,
                number,
                keys.encrypt(text, "conversations.turns"),
            )
        with self.units(self.tenant) as unit:
            content = Content("Your disk", f"Hello {ADA}", None)
            unit.drafts.add(Draft(new_id(), run, "d", -1, self.contact, new_id(), 1, content, "x"))
            unit.commit()
        return run

    def encrypt_runs(self) -> None:
        """Encrypt what was added as code of an older release added it."""
        with self.units(self.tenant) as unit:
            RunContents(unit.conn, self.tenant, self.vault.keys_for(self.tenant)).encrypt_plain(100)
            unit.commit()

    def results(self) -> list[object]:
        with PostgresWorkflowUnits(self.database, None, self.vault)(self.tenant) as unit:
            return [step.result for step in sorted(unit.runs.steps(self.run), key=lambda step: step.item)]

    def stored(self) -> list[object]:
        with PostgresWorkflowUnits(self.database, None, self.vault)(self.tenant) as unit:
            return list(unit.stored_items.read([self.items], [self.run])[self.items])

    def audited(self) -> list[tuple[str, str, str]]:
        rows = self.cluster.query(
            "select subject, action, object from audit_log where tenant_id = %s order by sequence", self.tenant
        )
        return [(row["subject"], row["action"], row["object"]) for row in rows]

    def columns_with(self, text: str) -> list[str]:
        """Return the columns in which the tenant's rows have the text, also in columns with encrypted values."""
        found = []
        keys = self.vault.keys_for(self.tenant)
        columns = self.cluster.query(
            "select table_name as t from information_schema.columns "
            "where table_schema = 'email_sender' and column_name = 'tenant_id'"
        )
        for table in {column["t"] for column in columns}:
            for row in self.cluster.query(f'select * from "{table}" where tenant_id = %s', self.tenant):
                for name, value in row.items():
                    plain = str(value)
                    if isinstance(value, bytes) and name.endswith("_enc"):
                        plain = keys.decrypt(value, f"{table}.{name.removesuffix('_enc')}")
                    if text.lower() in plain.lower():
                        found.append(f"{table}.{name}")
        return found


@pytest.fixture
def older(cluster: Cluster) -> Scenario:
    """Runs as code of a release that did not encrypt them has left them."""
    return Scenario(cluster)


@pytest.fixture
def scenario(older: Scenario) -> Scenario:
    older.encrypt_runs()
    return older


def _erase_from_every_column(scenario: Scenario, ending: str) -> None:
    assert set(scenario.columns_with(ADA)) == {
        "contacts.address_enc",
        "messages.content_enc",
        "drafts.content_enc",
        "conversations.turns_enc",
        f"runs.inputs{ending}",
        f"run_steps.result{ending}",
        "stored_items.items_enc",
    }
    with acting_as("olga"):
        erasure = scenario.privacy.erase(scenario.tenant, scenario.contact)
    # In the longer addresses of others only.
    assert set(scenario.columns_with(ADA)) == {f"run_steps.result{ending}", "stored_items.items_enc"}
    sessions = scenario.cluster.query("select number from conversations where tenant_id = %s", scenario.tenant)
    assert sessions == [{"number": 2}], "somebody else's"
    assert erasure.counts == {
        "contacts": 1,
        "messages": 1,
        "drafts": 1,
        "emails": 0,
        "runs": 1,
        "run_steps": 2,
        "stored_items": 1,
    }
    assert scenario.results() == [
        {"people": [{"email": "[erased]", "name": "[erased]"}]},
        {"contact": str(scenario.contact), "text": 'Hello\n[erased],\n"bye"\\'},
        # Somebody else with the same name.
        {"people": [{"email": "bob@example.org", "name": "Ada O'Hara"}]},
        {"others": [f"x{ADA}", f"{ADA}.uk", f"-{ADA}"]},
    ]
    assert scenario.stored() == [*scenario.results(), {"link": "mailto:'[erased]'?subject=The disk"}]
    assert scenario.audited() == [("olga", "contact.erased", str(scenario.contact))]


def test_an_erased_person_is_in_no_column(scenario: Scenario) -> None:
    _erase_from_every_column(scenario, "_enc")


def test_an_erased_person_is_in_no_column_that_older_code_left_plain(older: Scenario) -> None:
    _erase_from_every_column(older, "")


def test_repeating_an_erasure_returns_its_receipt(scenario: Scenario) -> None:
    first = scenario.privacy.erase(scenario.tenant, scenario.contact)
    assert scenario.privacy.erase(scenario.tenant, scenario.contact) == first
    assert scenario.privacy.erasure(scenario.tenant, scenario.contact) == first
    assert len(scenario.audited()) == 1


def test_an_erased_person_is_never_imported_or_added_again(scenario: Scenario) -> None:
    scenario.privacy.erase(scenario.tenant, scenario.contact)
    assert scenario.import_again() == []
    with pytest.raises(Conflict, match="erased"):
        scenario.contacts.add(scenario.tenant, new_id(), ADA, None, {})
    with pytest.raises(Conflict, match="erased"):
        scenario.contacts.unsuppress(scenario.tenant, ADA)
    with scenario.units(scenario.tenant) as unit:
        suppression = unit.suppressions.find(ADA)
    assert suppression is not None
    assert (suppression.address, suppression.reason) == (None, SuppressionReason.ERASED)


def test_a_suppressed_address_is_forgotten_but_stays_suppressed(scenario: Scenario) -> None:
    scenario.contacts.suppress(scenario.tenant, ADA, SuppressionReason.MANUAL)
    scenario.privacy.erase(scenario.tenant, scenario.contact)
    assert set(scenario.columns_with(ADA)) == {"run_steps.result_enc", "stored_items.items_enc"}
    with scenario.units(scenario.tenant) as unit:
        assert isinstance(unit.suppressions.find(ADA), Suppression)


def test_a_deleted_contact_can_still_be_erased(scenario: Scenario) -> None:
    scenario.contacts.delete(scenario.tenant, scenario.contact)
    erasure = scenario.privacy.erase(scenario.tenant, scenario.contact)
    assert scenario.import_again() == []
    # Nobody knows the address any more, but its hash finds it in what runs contain. The name stays: it is not known.
    assert (erasure.counts["contacts"], erasure.counts["runs"], erasure.counts["run_steps"]) == (0, 1, 1)
    assert scenario.results()[0] == {"people": [{"email": "[erased]", "name": "Ada O'Hara"}]}
    assert set(scenario.columns_with(ADA)) == {"run_steps.result_enc", "stored_items.items_enc"}


def test_a_deleted_contact_is_found_in_what_older_code_left_plain(older: Scenario) -> None:
    older.contacts.delete(older.tenant, older.contact)
    assert older.privacy.erase(older.tenant, older.contact).counts["run_steps"] == 1
    assert set(older.columns_with(ADA)) == {"run_steps.result_enc", "stored_items.items_enc"}


def test_a_deleted_contact_of_an_open_run_is_erased_after_its_end(scenario: Scenario) -> None:
    scenario.contacts.delete(scenario.tenant, scenario.contact)
    scenario.cluster.execute("update runs set status = 'running' where id = %s", scenario.run)
    with pytest.raises(Conflict, match=str(scenario.run)):
        scenario.privacy.erase(scenario.tenant, scenario.contact)


def test_a_person_who_was_deleted_and_imported_again_is_erased_with_the_new_points(scenario: Scenario) -> None:
    scenario.contacts.delete(scenario.tenant, scenario.contact)
    execute, query = scenario.cluster.execute, scenario.cluster.query
    execute("update deleted_contacts set cleaned_at = now(), message_ids = '{}' where tenant_id = %s", scenario.tenant)
    assert scenario.import_again() == [scenario.contact]
    assert scenario.privacy.erase(scenario.tenant, scenario.contact).counts["messages"] == 1
    (row,) = query("select cleaned_at, message_ids from deleted_contacts where tenant_id = %s", scenario.tenant)
    assert (row["cleaned_at"], len(row["message_ids"])) == (None, 1)


def test_a_person_of_an_open_run_is_erased_after_its_end(scenario: Scenario) -> None:
    scenario.cluster.execute("update runs set status = 'waiting' where id = %s", scenario.run)
    with pytest.raises(Conflict, match=str(scenario.run)):
        scenario.privacy.erase(scenario.tenant, scenario.contact)
    scenario.cluster.execute("update runs set status = 'cancelled' where id = %s", scenario.run)
    assert scenario.privacy.erase(scenario.tenant, scenario.contact).counts["contacts"] == 1


def test_an_erasure_waits_for_an_import_that_has_looked(scenario: Scenario, cluster: Cluster) -> None:
    erased: list[Erasure] = []
    erasing = Thread(target=lambda: erased.append(scenario.privacy.erase(scenario.tenant, scenario.contact)))
    other = PostgresArchiveUnits(cluster.database("app"), scenario.vault, None)
    with other(scenario.tenant) as unit:
        assert unit.erased([ADA]) == frozenset()
        erasing.start()
        erasing.join(0.3)
        assert erasing.is_alive()
        unit.commit()
    erasing.join(20)
    assert len(erased) == 1
    assert scenario.import_again() == []


def test_another_tenant_can_neither_export_nor_erase(scenario: Scenario, new_tenant: Callable[[], UUID]) -> None:
    other = new_tenant()
    for act in (scenario.privacy.export, scenario.privacy.erase, scenario.privacy.erasure):
        with pytest.raises(NotFound):
            act(other, scenario.contact)
    assert "contacts.address_enc" in scenario.columns_with(ADA)


def test_an_export_has_everything_and_is_audited(scenario: Scenario) -> None:
    with acting_as("olga"):
        data = scenario.privacy.export(scenario.tenant, scenario.contact)
    assert (data.contact.address, data.is_complete, data.suppression) == (ADA, True, None)
    assert [message.text for message in data.messages] == ["It is full again. Regards, Ada"]
    assert [draft.content.text for draft in data.drafts] == [f"Hello {ADA}"]
    assert scenario.audited() == [("olga", "contact.exported", str(scenario.contact))]


def test_nothing_is_erased_if_the_process_dies_before_the_commit(scenario: Scenario, app_role: Database) -> None:
    before = json.dumps(scenario.results())
    with scenario.units(scenario.tenant) as unit:
        assert unit.erasures.erase(scenario.contact, "olga", now()) is not None
        # The transaction ends without a commit, as if the process had died here.
    assert "contacts.address_enc" in scenario.columns_with(ADA)
    assert json.dumps(scenario.results()) == before


def test_a_run_that_goes_on_with_the_items_of_an_earlier_one_works_with_the_person(scenario: Scenario) -> None:
    scenario.cluster.execute("update runs set inputs_enc = null, term_hashes = '{}' where id = %s", scenario.run)
    scenario.cluster.execute("delete from run_steps where run_id = %s", scenario.run)
    goes_on = new_id()
    scenario.cluster.execute(
        "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role, lineage) "
        "select %s, tenant_id, workflow_id, version, 'running', '{}', 'ann', 'user', array[id] from runs where id = %s",
        goes_on,
        scenario.run,
    )
    with pytest.raises(Conflict, match=str(goes_on)):
        scenario.privacy.erase(scenario.tenant, scenario.contact)
