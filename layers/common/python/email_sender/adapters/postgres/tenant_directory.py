"""Find the tenant of an object, for callers that do not know the tenant yet. For the platform role."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.unclaimed_mail import PostgresUnclaimedMail
from email_sender.archive.addresses import without_tag
from email_sender.archive.receipts import MailOwners

# Every tenant with its addresses and domains; there are few. Then those that sent one of the emails.
_TENANT_ADDRESSES = """
    select id, array(select lower(address) from unnest(
        aliases || coalesce(substring(mail_from from '<([^<>]+)>'), mail_from)) address
        where address is not null) as addresses
    from tenants
    where kind = 'customer' and (mail_from is not null or aliases <> '{}')
"""
_TENANTS_OF_EMAILS = "select distinct tenant_id from emails where provider_message_id = any(%s)"
# Domains of mail providers: their addresses say nothing about who else belongs to the domain.
_SHARED_DOMAINS = frozenset((
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "icloud.com",
    "me.com", "aol.com", "gmx.de", "gmx.net", "web.de", "t-online.de", "proton.me", "protonmail.com", "mail.ru",
    "yandex.ru", "qq.com", "163.com", "126.com", "orange.fr", "free.fr", "laposte.net", "libero.it", "seznam.cz",
))  # fmt: skip


class TenantDirectory:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tenants(self) -> Sequence[UUID]:
        """Return the tenants that are not suspended."""
        with self._database.platform() as conn:
            rows = conn.execute(
                "select id from tenants where kind = 'customer' and suspended_at is null order by id"
            ).fetchall()
        return [row["id"] for row in rows]

    def all_tenants(self) -> Sequence[UUID]:
        """Return every tenant, also the suspended ones and that of the operators."""
        with self._database.platform() as conn:
            rows = conn.execute("select id from tenants where deleted_at is null order by id").fetchall()
        return [row["id"] for row in rows]

    def tenant_of_import(self, import_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from imports where id = %s", [import_id]).fetchone()
        return row["tenant_id"] if row else None

    def tenant_of_trigger(self, trigger_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from triggers where id = %s", [trigger_id]).fetchone()
        return row["tenant_id"] if row else None

    def owners_of_mail(self, provider_ids: Sequence[str], recipients: Sequence[str]) -> MailOwners:
        """Find the tenants of a received mail. Implements archive.inbound_mail.MailDirectory.

        Recipients decide before references: a customer of one tenant may forward that tenant's mail to another tenant,
        and must not put it into the archive of the first.
        """
        with self._database.platform() as conn:
            rows = conn.execute(_TENANT_ADDRESSES).fetchall()
            answered = {row["tenant_id"] for row in conn.execute(_TENANTS_OF_EMAILS, [list(provider_ids)]).fetchall()}
        return find_owners({row["id"]: row["addresses"] for row in rows}, answered, recipients)

    def add_unclaimed(
        self, key: str, version: str | None, recipients: Sequence[str], reason: str, at: datetime
    ) -> None:
        PostgresUnclaimedMail(self._database).add(key, version, recipients, reason, at)

    def tenant_of_run(self, run_id: UUID) -> UUID | None:
        with self._database.platform() as conn:
            row = conn.execute("select tenant_id from runs where id = %s", [run_id]).fetchone()
        return row["tenant_id"] if row else None


def find_owners(
    addresses_by_tenant: Mapping[UUID, Sequence[str]], answered: Set[UUID], recipients: Sequence[str]
) -> MailOwners:
    """Return the tenants that the recipients belong to. `answered` are those whose email the mail answers."""
    owners: dict[UUID, None] = {}
    reason = (
        "The mail has no recipient." if not recipients else "No tenant has one of the recipients' addresses or domains."
    )
    for find in (_tenants_with_address, _tenants_with_domain):
        for recipient in recipients:
            candidates = find(addresses_by_tenant, recipient.lower())
            chosen = candidates if len(candidates) == 1 else candidates & answered
            if len(chosen) == 1:
                owners.update(dict.fromkeys(chosen))
            elif candidates:
                reason = f"Several tenants have the recipient {recipient} or its domain."
        if owners:
            return MailOwners(sorted(owners))
    if len(answered) == 1 and not reason.startswith("Several"):
        return MailOwners(list(answered))
    return MailOwners([], reason)


def _tenants_with_address(addresses_by_tenant: Mapping[UUID, Sequence[str]], recipient: str) -> set[UUID]:
    wanted = {recipient, without_tag(recipient)}
    return {tenant for tenant, addresses in addresses_by_tenant.items() if wanted & set(addresses)}


def _tenants_with_domain(addresses_by_tenant: Mapping[UUID, Sequence[str]], recipient: str) -> set[UUID]:
    domain = recipient.rpartition("@")[2]
    if domain in _SHARED_DOMAINS:
        return set()
    return {
        tenant
        for tenant, addresses in addresses_by_tenant.items()
        if any(address.rpartition("@")[2] == domain for address in addresses)
    }
