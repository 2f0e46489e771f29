"""The messaging stores under test: in memory and on PostgreSQL."""

import json
from typing import Protocol
from uuid import UUID

from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.contacts import CONTENT
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.messaging import PostgresMessagingUnits
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import Contact, DraftApproval, Message
from email_sender.messaging.ports import MessagingUnits
from tests.database import MAIL_FROM, Cluster
from tests.fakes.messaging import FakeMessagingUnits, State


class Backend(Protocol):
    """Stores under test, with methods to set up data that their ports cannot write."""

    @property
    def units(self) -> MessagingUnits: ...

    def create_tenant(self, mail_from: str | None = MAIL_FROM) -> UUID: ...

    def put_message(self, tenant: UUID, message: Message) -> None: ...

    def put_approval(self, tenant: UUID, run: UUID, draft: UUID, approved: DraftApproval) -> None: ...

    def event_types(self, tenant: UUID) -> list[str]: ...


class InMemoryBackend:
    def __init__(self) -> None:
        self._units = FakeMessagingUnits()

    @property
    def units(self) -> MessagingUnits:
        return self._units

    def create_tenant(self, mail_from: str | None = MAIL_FROM) -> UUID:
        tenant = new_id()
        self._units.states[tenant] = State(mail_from)
        return tenant

    def put_message(self, tenant: UUID, message: Message) -> None:
        self._units.states[tenant].messages[message.id] = message

    def put_approval(self, tenant: UUID, run: UUID, draft: UUID, approved: DraftApproval) -> None:
        self._units.states[tenant].approvals.append((run, draft, approved))

    def event_types(self, tenant: UUID) -> list[str]:
        return [event.type for event in self._units.events if event.tenant_id == tenant]


class PostgresBackend:
    def __init__(self, cluster: Cluster, database: Database) -> None:
        self._cluster, self._vault = cluster, cluster.vault(database)
        self._units = PostgresMessagingUnits(database, self._vault, None)

    @property
    def units(self) -> MessagingUnits:
        return self._units

    def create_tenant(self, mail_from: str | None = MAIL_FROM) -> UUID:
        return self._cluster.new_tenant(mail_from)

    def put_message(self, tenant: UUID, message: Message) -> None:
        content = json.dumps({"subject": message.subject, "text": message.text})
        self._cluster.execute(
            "insert into messages (id, tenant_id, import_id, message_hash, contact_id, sent_at, content_enc) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            message.id,
            tenant,
            new_id(),
            message.id.bytes,
            message.contact_id,
            message.sent_at,
            self._vault.keys_for(tenant).encrypt(content, CONTENT),
        )

    def put_approval(self, tenant: UUID, run: UUID, draft: UUID, approved: DraftApproval) -> None:
        workflow = new_id()
        with self._cluster.connect_as_owner() as conn:
            conn.execute(
                "insert into workflows (id, tenant_id, name, definition) values (%s, %s, %s, '{}')",
                [workflow, tenant, str(workflow)],
            )
            conn.execute(
                "insert into runs (id, tenant_id, workflow_id, version, status, inputs, started_by, role) "
                "values (%s, %s, %s, 1, 'running', '{}', 'ann', 'user') on conflict do nothing",
                [run, tenant, workflow],
            )
            conn.execute(
                "insert into approvals (id, tenant_id, run_id, step, title, drafts, task_token, status, decided_role, "
                "expires_at) values (%s, %s, %s, %s, 't', %s, 't', %s, %s, now())",
                [
                    new_id(),
                    tenant,
                    run,
                    str(workflow),
                    Jsonb([{"draft_id": str(draft), "sha256": approved.sha256}]),
                    approved.status,
                    approved.role,
                ],
            )

    def event_types(self, tenant: UUID) -> list[str]:
        rows = self._cluster.query("select type from outbox where tenant_id = %s order by sequence", tenant)
        return [row["type"] for row in rows]


def add_contact(units: MessagingUnits, tenant: UUID, address: str = "ann@example.org") -> Contact:
    contact = Contact(new_id(), address, "Ann", {"team": "blue"})
    with units(tenant) as unit:
        unit.contacts.add(contact)
        unit.commit()
    return contact
