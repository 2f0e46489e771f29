"""Contacts, messages and suppressions. Addresses and texts are encrypted; a keyed hash finds equal addresses."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.encrypted_json import (
    ATTRIBUTES,
    attributes_of,
    encrypted,
    search_hashes,
    tag_hashes,
)
from email_sender.archive.addresses import normalise_address
from email_sender.archive.mail_kinds import MailKind
from email_sender.errors import Conflict, InvalidInput
from email_sender.messaging.contact_search import terms_of
from email_sender.messaging.model import Contact, Message, Standing, Suppression, SuppressionReason
from email_sender.security.ports import TenantKeys

# Contexts of encryption: a ciphertext decrypts only in the column for which it was encrypted.
ADDRESS, NAME, CONTENT = "contacts.address", "contacts.name", "messages.content"
SUPPRESSED = "suppressions.address"

_SELECT = """
select c.id from contacts c
where (%(ids)s::uuid[] is null or c.id = any(%(ids)s))
  and (%(tags)s::jsonb is null or c.tag_hashes @> %(hashes)s or c.attributes -> 'tags' @> %(tags)s)
  and (%(suppressed)s or not exists (select from suppressions s where s.address_hash = c.address_hash))
order by c.id limit %(limit)s
"""

_STANDINGS = """
select c.id, s.reason, e.emails, e.last_email_at from contacts c
left join suppressions s on s.address_hash = c.address_hash
cross join lateral (
    select count(*) as emails, max(coalesce(sent_at, created_at)) as last_email_at from emails
    where contact_id = c.id and status not in ('queued', 'rejected', 'suppressed')
) e
where c.id = any(%s)
"""

REMEMBER_DELETED = """
insert into deleted_contacts (tenant_id, contact_id, address_hash, message_ids, import_ids)
select c.tenant_id, c.id, c.address_hash,
       array(select id from messages where contact_id = c.id),
       array(select distinct import_id from messages where contact_id = c.id)
from contacts c where c.id = %s
-- Deleted before, and imported again.
on conflict (tenant_id, contact_id) do update set
    message_ids = deleted_contacts.message_ids || excluded.message_ids,
    import_ids = deleted_contacts.import_ids || excluded.import_ids,
    deleted_at = excluded.deleted_at, cleaned_at = null
"""


# What older code left: attributes that are plain, and contacts that no search finds.
_OLDER = """
select * from contacts where attributes <> '{}' or search_hashes is null limit %s for update skip locked
"""


class PostgresContacts:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, contact: Contact) -> Contact:
        row = self._conn.execute(
            """
            insert into contacts
                (id, tenant_id, address_hash, address_enc, name_enc, search_hashes, attributes_enc, tag_hashes,
                 last_seen_at, created_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, coalesce(%s, now()))
            on conflict (tenant_id, address_hash) do nothing
            returning id
            """,
            [
                contact.id,
                self._tenant_id,
                self._keys.fingerprint(normalise_address(contact.address)),
                self._keys.encrypt(contact.address, ADDRESS),
                self._name(contact),
                self._search_hashes(contact),
                *self._attributes(contact),
                contact.last_seen_at,
                contact.created_at,
            ],
        ).fetchone()
        if row is None:
            raise Conflict("A contact with this address already exists.")
        return contact

    def get(self, contact_id: UUID) -> Contact | None:
        row = self._conn.execute("select * from contacts where id = %s", [contact_id]).fetchone()
        return self._contact(row) if row else None

    def page(self, after: UUID | None, limit: int, terms: Sequence[str] = ()) -> Sequence[Contact]:
        rows = self._conn.execute(
            "select * from contacts where id > %(after)s and (%(hashes)s::bigint[] = '{}' "
            "or search_hashes @> %(hashes)s) order by id limit %(limit)s",
            {"after": after or UUID(int=0), "hashes": search_hashes(self._keys, terms), "limit": limit},
        ).fetchall()
        return [self._contact(row) for row in rows]

    def select(
        self, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool
    ) -> Sequence[UUID]:
        rows = self._conn.execute(
            _SELECT,
            {
                "ids": None if ids is None else list(ids),
                "tags": Jsonb(list(tags)) if tags else None,
                "hashes": tag_hashes(self._keys, tags),
                "suppressed": suppressed,
                "limit": limit,
            },
        ).fetchall()
        return [row["id"] for row in rows]

    def find(self, address: str) -> Contact | None:
        row = self._conn.execute(
            "select * from contacts where address_hash = %s", [self._keys.fingerprint(normalise_address(address))]
        ).fetchone()
        return self._contact(row) if row else None

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Contact]:
        rows = self._conn.execute("select * from contacts where id = any(%s)", [list(ids)]).fetchall()
        by_id = {row["id"]: self._contact(row) for row in rows}
        return [by_id[contact_id] for contact_id in ids if contact_id in by_id]

    def standings(self, ids: Sequence[UUID]) -> Mapping[UUID, Standing]:
        rows = self._conn.execute(_STANDINGS, [list(ids)]).fetchall()
        return {
            row["id"]: Standing(
                SuppressionReason(row["reason"]) if row["reason"] else None, row["emails"], row["last_email_at"]
            )
            for row in rows
        }

    def update(self, contact: Contact) -> None:
        self._conn.execute(
            "update contacts set name_enc = %s, search_hashes = %s, attributes = '{}', attributes_enc = %s, "
            "tag_hashes = %s, updated_at = now() where id = %s",
            [self._name(contact), self._search_hashes(contact), *self._attributes(contact), contact.id],
        )

    def has_older(self) -> bool:
        """Return whether older code left contacts that `complete_older` changes."""
        return self._conn.execute(_OLDER, [1]).fetchone() is not None

    def complete_older(self, limit: int) -> int:
        """Encrypt attributes that are still plain, and make contacts searchable. Returns how many; 0: no more."""
        rows = self._conn.execute(_OLDER, [limit]).fetchall()
        for row in rows:
            self.update(self._contact(row))
        return len(rows)

    def delete(self, contact_id: UUID) -> bool:
        self._conn.execute(REMEMBER_DELETED, [contact_id])
        return self._conn.execute("delete from contacts where id = %s", [contact_id]).rowcount == 1

    def _search_hashes(self, contact: Contact) -> Sequence[int]:
        return search_hashes(self._keys, terms_of(contact.name, contact.address))

    def _attributes(self, contact: Contact) -> tuple[bytes | None, Sequence[bytes]]:
        attributes = dict(contact.attributes)
        # Most contacts have none: nothing is stored for them.
        ciphertext = encrypted(self._keys, attributes or None, ATTRIBUTES)
        return ciphertext, tag_hashes(self._keys, attributes.get("tags"))

    def _name(self, contact: Contact) -> bytes | None:
        return self._keys.encrypt(contact.name, NAME) if contact.name else None

    def _contact(self, row: Row) -> Contact:
        return Contact(
            id=row["id"],
            address=self._keys.decrypt(row["address_enc"], ADDRESS),
            name=self._keys.decrypt(row["name_enc"], NAME) if row["name_enc"] else None,
            attributes=attributes_of(self._keys, row),
            last_seen_at=row["last_seen_at"],
            created_at=row["created_at"],
        )


class PostgresMessages:
    def __init__(self, conn: Connection[Row], keys: TenantKeys) -> None:
        self._conn, self._keys = conn, keys

    def get_many(self, ids: Sequence[UUID]) -> Sequence[Message]:
        """Return the messages in the order of `ids`, without those that do not exist."""
        rows = self._conn.execute("select * from messages where id = any(%s)", [list(ids)]).fetchall()
        by_id = {row["id"]: self._message(row) for row in rows}
        return [by_id[message_id] for message_id in ids if message_id in by_id]

    def of_contact(self, contact_id: UUID, before: UUID | None, limit: int) -> Sequence[Message]:
        rows = self._conn.execute(
            "select * from messages where contact_id = %s and (%s::uuid is null or id < %s) order by id desc limit %s",
            [contact_id, before, before, limit],
        ).fetchall()
        return [self._message(row) for row in rows]

    def uncertain(self, before: UUID | None, limit: int) -> Sequence[Message]:
        rows = self._conn.execute(
            "select * from messages where kind = 'uncertain' and answers_email_id is not null "
            "and (%s::uuid is null or id < %s) order by id desc limit %s",
            [before, before, limit],
        ).fetchall()
        return [self._message(row) for row in rows]

    def set_kind(self, message_id: UUID, kind: MailKind) -> None:
        self._conn.execute("update messages set kind = %s, kind_sign = '' where id = %s", [kind, message_id])

    def _message(self, row: Row) -> Message:
        content: dict[str, Any] = json.loads(self._keys.decrypt(row["content_enc"], CONTENT))
        return Message(
            row["id"],
            row["contact_id"],
            row["thread_id"],
            row["sent_at"],
            content["subject"],
            content["text"],
            content.get("message_id"),
            MailKind(row["kind"]),
            row["kind_sign"],
            row["verdict"],
            row["answers_email_id"],
        )


class PostgresSuppressions:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def add(self, address: str, reason: SuppressionReason) -> None:
        self._conn.execute(
            "insert into suppressions (tenant_id, address_hash, address_enc, reason) values (%s, %s, %s, %s) "
            "on conflict do nothing",
            [
                self._tenant_id,
                self._keys.fingerprint(normalise_address(address)),
                self._keys.encrypt(address, SUPPRESSED),
                reason,
            ],
        )

    def add_for_deleted_contact(self, contact_id: UUID, reason: SuppressionReason) -> bool:
        result = self._conn.execute(
            "insert into suppressions (tenant_id, address_hash, reason) "
            "select tenant_id, address_hash, %s from deleted_contacts where contact_id = %s on conflict do nothing",
            [reason, contact_id],
        )
        return result.rowcount == 1

    def fingerprint(self, address: str) -> str:
        return self._keys.fingerprint(normalise_address(address)).hex()

    def find(self, address: str) -> Suppression | None:
        row = self._conn.execute(
            "select * from suppressions where address_hash = %s", [self._keys.fingerprint(normalise_address(address))]
        ).fetchone()
        return self._suppression(row) if row else None

    def add_temporary_bounce(self, address: str, email_id: UUID, at: datetime, since: datetime) -> int:
        fingerprint = self._keys.fingerprint(normalise_address(address))
        self._conn.execute(
            "insert into temporary_bounces (tenant_id, address_hash, email_id, at) values (%s, %s, %s, %s) "
            "on conflict do nothing",
            [self._tenant_id, fingerprint, email_id, at],
        )
        row = self._conn.execute(
            "select count(*) as count from temporary_bounces where address_hash = %s and at >= %s", [fingerprint, since]
        ).fetchone()
        return int(row["count"]) if row else 0

    def forget_temporary_bounces(self, email_id: UUID) -> None:
        self._conn.execute("delete from temporary_bounces where email_id = %s", [email_id])

    def page(self, after: str | None, limit: int) -> tuple[Sequence[Suppression], str | None]:
        rows = self._conn.execute(
            "select * from suppressions where address_hash > %s order by address_hash limit %s",
            [_parse_cursor(after), limit + 1],
        ).fetchall()
        items = [self._suppression(row) for row in rows[:limit]]
        next_cursor = urlsafe_b64encode(rows[limit - 1]["address_hash"]).decode() if len(rows) > limit else None
        return items, next_cursor

    def _suppression(self, row: Row) -> Suppression:
        address = self._keys.decrypt(row["address_enc"], SUPPRESSED) if row["address_enc"] else None
        return Suppression(address, SuppressionReason(row["reason"]), row["created_at"])

    def delete(self, address: str) -> bool:
        result = self._conn.execute(
            "delete from suppressions where address_hash = %s", [self._keys.fingerprint(normalise_address(address))]
        )
        return result.rowcount == 1


def _parse_cursor(after: str | None) -> bytes:
    try:
        return urlsafe_b64decode(after) if after else b""
    except ValueError:
        raise InvalidInput.at("query:cursor", "Invalid cursor. Use next_cursor of the previous page.") from None
