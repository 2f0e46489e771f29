"""Mail in PostgreSQL: contacts, messages, templates, drafts, emails, suppressions."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.consents import PostgresConsents
from email_sender.adapters.postgres.contacts import PostgresContacts, PostgresMessages, PostgresSuppressions
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.emails import PostgresDrafts, PostgresEmails
from email_sender.adapters.postgres.erasures import PostgresErasures
from email_sender.adapters.postgres.templates import PostgresTemplates
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.coordination.events import Bus
from email_sender.errors import Conflict
from email_sender.security.ports import TenantKeys, Vault


class PostgresMessagingUnit(Unit):
    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None, keys: TenantKeys) -> None:
        super().__init__(conn, tenant_id, bus)
        self.contacts = PostgresContacts(self.conn, self.tenant_id, keys)
        self.messages = PostgresMessages(self.conn, keys)
        self.templates = PostgresTemplates(self.conn, self.tenant_id)
        self.drafts = PostgresDrafts(self.conn, self.tenant_id, keys)
        self.emails = PostgresEmails(self.conn, self.tenant_id)
        self.suppressions = PostgresSuppressions(self.conn, self.tenant_id, keys)
        self.consents = PostgresConsents(self.conn, self.tenant_id, keys)
        self.erasures = PostgresErasures(self.conn, self.tenant_id, keys)

    def mail_from(self) -> str:
        row = self.conn.execute("select mail_from from tenants where id = %s", [self.tenant_id]).fetchone()
        if row is None or not row["mail_from"]:
            raise Conflict("The tenant does not have a sender address yet.")
        return str(row["mail_from"])


class PostgresMessagingUnits:
    def __init__(self, database: Database, vault: Vault, bus: Bus | None) -> None:
        self._database, self._vault, self._bus = database, vault, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresMessagingUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            yield PostgresMessagingUnit(conn, tenant_id, self._bus, keys)
