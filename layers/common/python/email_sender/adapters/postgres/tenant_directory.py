"""Find the tenant of an object, for callers that do not know the tenant yet. For the platform role."""

from collections.abc import Sequence
from uuid import UUID

from email_sender.adapters.postgres.database import Database

# The tenants whose sender address is one of the recipients, and those that sent one of the emails.
_TENANTS_OF_MAIL = """
    select id, bool_or(is_addressed) as is_addressed, bool_or(is_answered) as is_answered
    from (
        select id, true as is_addressed, false as is_answered from tenants
        where lower(coalesce(substring(mail_from from '<([^<>]+)>'), mail_from)) = any(%s)
        union all
        select tenant_id, false, true from emails where provider_message_id = any(%s)
    ) candidates
    group by id
"""


class TenantDirectory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tenants(self) -> Sequence[UUID]:
        with self._database.platform() as conn:
            rows = conn.execute("select id from tenants where kind = 'customer' order by id").fetchall()
        return [row["id"] for row in rows]

    def tenant_of_import(self, import_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from imports where id = %s", [import_id]).fetchone()
        return row["tenant_id"] if row else None

    def tenant_of_trigger(self, trigger_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from triggers where id = %s", [trigger_id]).fetchone()
        return row["tenant_id"] if row else None

    def tenant_of_mail(self, provider_ids: list[str], recipients: list[str]) -> UUID | None:
        """Find the tenant of an incoming mail. Implements archive.inbound_mail.MailDirectory.

        Recipients decide before references: a customer of one tenant may forward that tenant's mail to another tenant,
        and must not put it into the archive of the first.
        """
        addresses = [recipient.lower() for recipient in recipients]
        addresses += [_without_tag(address) for address in addresses]
        with self._database.platform() as conn:
            rows = conn.execute(_TENANTS_OF_MAIL, [addresses, provider_ids]).fetchall()
        addressed = {row["id"] for row in rows if row["is_addressed"]}
        answered = {row["id"] for row in rows if row["is_answered"]}
        candidates = addressed if len(addressed) == 1 else addressed & answered if addressed else answered
        return next(iter(candidates)) if len(candidates) == 1 else None

    def tenant_of_run(self, run_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from runs where id = %s", [run_id]).fetchone()
        return row["tenant_id"] if row else None


def _without_tag(address: str) -> str:
    """Return the address without a tag: `team+news@acme.example` reaches `team@acme.example`."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part.partition('+')[0] or local_part}@{domain}"
