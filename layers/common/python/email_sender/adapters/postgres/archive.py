"""The mail archive in PostgreSQL, encrypted with the tenant's keys. Implements vectors.imports.model.ArchiveUnit."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from uuid import UUID, uuid5

from psycopg import Connection, Cursor

from email_sender.adapters.postgres.contacts import ADDRESS, CONTENT, NAME
from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.encrypted_json import search_hashes
from email_sender.adapters.postgres.erasures import LOCK_SHARED
from email_sender.adapters.postgres.imports import PostgresImportUnit
from email_sender.archive.addresses import Address
from email_sender.archive.mail_kinds import MailKind
from email_sender.coordination.events import Bus
from email_sender.messaging.contact_search import terms_of
from email_sender.security.ports import TenantKeys, Vault
from email_sender.vectors.imports.model import Answer, AnsweredEmail, ArchivedMessage, IncomingMessage

# Sorted by hash, so that two chunks with common contacts lock them in the same order.
_UPSERT_CONTACTS = """
insert into contacts as c (id, tenant_id, address_hash, address_enc, name_enc, last_seen_at, search_hashes)
select id, tenant, hash, address, name, seen, terms::bigint[]
from unnest(%s::uuid[], %s::uuid[], %s::bytea[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::text[])
    as new (id, tenant, hash, address, name, seen, terms)
on conflict (tenant_id, address_hash) do update set
    -- Those of the name that stays.
    search_hashes = case when c.name_enc is null then excluded.search_hashes else c.search_hashes end,
    name_enc = coalesce(c.name_enc, excluded.name_enc),
    last_seen_at = greatest(c.last_seen_at, excluded.last_seen_at)
returning id, address_hash
"""
# A message whose import never joined its threads moves to the import that finds the message again.
_ADD_MESSAGE = """
with added as (
    insert into messages as m (id, tenant_id, import_id, message_hash, reference_hashes, contact_id, sent_at,
                               automatic, kind, kind_sign, verdict, content_enc, problems)
    values (%(id)s, %(tenant)s, %(import)s, %(hash)s, %(references)s, %(contact)s, %(sent_at)s, %(automatic)s, %(kind)s,
            %(kind_sign)s, %(verdict)s, %(content)s, %(problems)s)
    on conflict (tenant_id, message_hash) do update set import_id = excluded.import_id
        where m.thread_id is null and m.contact_id is not distinct from excluded.contact_id
    returning (m.xmax = 0) as is_new, m.contact_id
)
select is_new, contact_id from added
union all
select false, contact_id from messages
where tenant_id = %(tenant)s and message_hash = %(hash)s and not exists (select from added)
"""
# Only the contact of an email answers it. One email is answered once, by the first message.
_SET_REPLIED = """
update emails e set replied_at = %s, reply_id = a.message_id
from unnest(%s::text[], %s::uuid[], %s::uuid[], %s::uuid[]) as a (provider_message_id, email_id, message_id, contact_id)
where (e.provider_message_id = a.provider_message_id or e.id = a.email_id)
  and e.contact_id = a.contact_id and e.replied_at is null
returning e.id, e.run_id, e.contact_id, e.reply_id
"""
_SET_REPLIED_BY_OTHERS = """
update emails e set other_replied_at = %s, other_reply_id = a.message_id
from unnest(%s::text[], %s::uuid[], %s::uuid[], %s::uuid[]) as a (provider_message_id, email_id, message_id, contact_id)
where (e.provider_message_id = a.provider_message_id or e.id = a.email_id)
  and e.contact_id <> a.contact_id and e.other_replied_at is null
"""
_LINK_TO_EMAILS = """
update messages m set answers_email_id = e.id
from unnest(%s::text[], %s::uuid[], %s::uuid[], %s::uuid[]) as a (provider_message_id, email_id, message_id, contact_id)
join emails e on e.provider_message_id = a.provider_message_id or e.id = a.email_id
where m.id = a.message_id and (e.contact_id = a.contact_id or m.answers_email_id is null)
"""
_SET_WAITS_REPLIED = """
update emails e set replied_at = %(at)s, reply_id = %(message)s
where e.contact_id = %(contact)s and e.replied_at is null and e.id in (
    select subject from task_waits where kind = 'reply' and delivered_at is null)
returning e.id, e.run_id, e.contact_id, e.reply_id
"""
# The clock of the mail server rounds to seconds.
_SENT_SINCE = """
select exists (
    select from emails where (provider_message_id = any(%s::text[]) or id = any(%s::uuid[])) and contact_id = %s
    and date_trunc('second', sent_at) between %s and %s
) as was_sent
"""
_MAX_COMPARED_MESSAGES = 5


@dataclass(frozen=True, slots=True)
class _Stored:
    key: bytes
    is_new: bool
    contact_id: UUID | None


class PostgresArchiveUnit(PostgresImportUnit):
    """Imports with the archived mail."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, bus: Bus | None, keys: TenantKeys) -> None:
        super().__init__(conn, tenant_id, bus)
        self._keys = keys

    def erased(self, addresses: Sequence[str]) -> frozenset[str]:
        # Until this transaction ends, nobody can be erased (erasures.py): who is checked here is stored below.
        self.conn.execute(LOCK_SHARED, [str(self.tenant_id)])
        by_hash = {self._keys.fingerprint(address): address for address in set(addresses)}
        rows = self.conn.execute(
            "select address_hash from suppressions where reason = 'erased' and address_hash = any(%s)",
            [sorted(by_hash)],
        ).fetchall()
        return frozenset(by_hash[row["address_hash"]] for row in rows)

    def own_addresses(self) -> Sequence[str]:
        row = self.conn.execute("select mail_from, aliases from tenants where id = %s", [self.tenant_id]).fetchone()
        if row is None:
            return []
        sender = parseaddr(row["mail_from"] or "")[1]
        return [*([sender] if sender else []), *row["aliases"]]

    def archive(self, import_id: UUID, messages: Sequence[IncomingMessage]) -> Sequence[ArchivedMessage]:
        contacts = self._store_contacts(messages)
        contact_ids = [contacts.get(self._contact_hash(message)) for message in messages]
        stored = self._store(import_id, messages, contact_ids, [message.parsed.message_id for message in messages])
        # Another message of somebody else may have the same id: both are kept.
        others = [index for index, one in enumerate(stored) if one.contact_id != contact_ids[index]]
        renamed = self._store(
            import_id,
            [messages[index] for index in others],
            [contact_ids[index] for index in others],
            [f"{messages[index].parsed.message_id}\n{contact_ids[index]}" for index in others],
        )
        for index, one in zip(others, renamed, strict=True):
            stored[index] = one
        return [
            ArchivedMessage(uuid5(self.tenant_id, one.key.hex()), contact_id, one.is_new)
            for one, contact_id in zip(stored, contact_ids, strict=True)
        ]

    def mark_answered(self, answers: Sequence[Answer], at: datetime) -> Sequence[AnsweredEmail]:
        if not answers:
            return []
        self.conn.execute(_LINK_TO_EMAILS, _columns(answers))
        certain = [answer for answer in answers if answer.is_certain]
        self.conn.execute(_SET_REPLIED_BY_OTHERS, [at, *_columns(certain)])
        rows = self.conn.execute(_SET_REPLIED, [at, *_columns(certain)]).fetchall()
        return [_answered_email(row) for row in rows]

    def mark_waits_answered(self, answer: Answer, at: datetime) -> Sequence[AnsweredEmail]:
        parameters = {"at": at, "message": answer.message_id, "contact": answer.contact_id}
        return [_answered_email(row) for row in self.conn.execute(_SET_WAITS_REPLIED, parameters).fetchall()]

    def set_kind(self, message_id: UUID, kind: MailKind) -> None:
        self.conn.execute("update messages set kind = %s where id = %s", [kind, message_id])

    def was_sent_within(self, answer: Answer, written_at: datetime, limit: timedelta) -> bool:
        row = self.conn.execute(
            _SENT_SINCE,
            [list(answer.provider_ids), list(answer.email_ids), answer.contact_id, written_at - limit, written_at],
        ).fetchone()
        return bool(row and row["was_sent"])

    def repeats_earlier_message(self, answer: Answer, text: str) -> bool:
        rows = self.conn.execute(
            "select content_enc from messages where contact_id = %s and id <> %s order by created_at desc limit %s",
            [answer.contact_id, answer.message_id, _MAX_COMPARED_MESSAGES],
        ).fetchall()
        texts = [json.loads(self._keys.decrypt(row["content_enc"], CONTENT))["text"] for row in rows]
        return bool(text.strip()) and any(earlier.split() == text.split() for earlier in texts)

    def _store_contacts(self, messages: Sequence[IncomingMessage]) -> dict[bytes, UUID]:
        """Store the authors as contacts. Returns the contact ids by the hash of the address."""
        newest_by_author: dict[bytes, IncomingMessage] = {}
        for message in messages:
            key = self._contact_hash(message)
            if key and (
                key not in newest_by_author or _sent_timestamp(message) >= _sent_timestamp(newest_by_author[key])
            ):
                newest_by_author[key] = message
        if not newest_by_author:
            return {}
        keys = sorted(newest_by_author)
        contacts = [newest_by_author[key].contact for key in keys]
        rows = self.conn.execute(
            _UPSERT_CONTACTS,
            [
                [uuid5(self.tenant_id, f"contact/{key.hex()}") for key in keys],
                [self.tenant_id] * len(keys),
                keys,
                [self._keys.encrypt(contact.mailbox or contact.email, ADDRESS) for contact in contacts if contact],
                [self._keys.encrypt(contact.name, NAME) if contact.name else None for contact in contacts if contact],
                [newest_by_author[key].parsed.sent_at for key in keys],
                [self._search_hashes(contact) for contact in contacts if contact],
            ],
        ).fetchall()
        return {row["address_hash"]: row["id"] for row in rows}

    def _search_hashes(self, contact: Address) -> str:
        """Return a contact's search hashes as text of an array: unnest takes no arrays of arrays."""
        hashes = search_hashes(self._keys, terms_of(contact.name, contact.mailbox or contact.email))
        return f"{{{','.join(map(str, hashes))}}}"

    def _store(
        self,
        import_id: UUID,
        messages: Sequence[IncomingMessage],
        contact_ids: Sequence[UUID | None],
        message_ids: Sequence[str],
    ) -> list[_Stored]:
        keys = [self._keys.fingerprint(message_id) for message_id in message_ids]
        with self.conn.pipeline():
            cursors = [
                self._add_message(import_id, message, contact_id, key)
                for message, contact_id, key in zip(messages, contact_ids, keys, strict=True)
            ]
        rows = [cursor.fetchone() for cursor in cursors]
        return [
            _Stored(key, bool(row["is_new"]), row["contact_id"]) if row else self._stored_by_others(key)
            for key, row in zip(keys, rows, strict=True)
        ]

    def _stored_by_others(self, key: bytes) -> _Stored:
        """Return the message that another transaction stored while the statement waited for it."""
        row = self.conn.execute("select contact_id from messages where message_hash = %s", [key]).fetchone()
        return _Stored(key, False, row["contact_id"] if row else None)

    def _add_message(
        self, import_id: UUID, message: IncomingMessage, contact_id: UUID | None, key: bytes
    ) -> Cursor[Row]:
        parsed = message.parsed
        references = dict.fromkeys((*parsed.references, *([parsed.in_reply_to] if parsed.in_reply_to else [])))
        return self.conn.execute(
            _ADD_MESSAGE,
            {
                "id": uuid5(self.tenant_id, key.hex()),
                "tenant": self.tenant_id,
                "import": import_id,
                "hash": key,
                "references": [self._keys.fingerprint(reference) for reference in references],
                "contact": contact_id,
                "sent_at": parsed.sent_at,
                "automatic": parsed.kind not in (MailKind.PERSON, MailKind.UNCERTAIN),
                "kind": parsed.kind,
                "kind_sign": parsed.kind_sign,
                "verdict": message.verdict,
                "content": self._keys.encrypt(_content(message), CONTENT),
                "problems": list(parsed.problems),
            },
        )

    def _contact_hash(self, message: IncomingMessage) -> bytes:
        """Return the hash of the contact's address, or nothing if no contact wrote the message."""
        return self._keys.fingerprint(message.contact.email) if message.contact else b""


class PostgresArchiveUnits:
    def __init__(self, database: Database, vault: Vault, bus: Bus | None) -> None:
        self._database, self._vault, self._bus = database, vault, bus

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator[PostgresArchiveUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = self._vault.keys_for(tenant_id)
        with self._database.tenant(tenant_id) as conn:
            yield PostgresArchiveUnit(conn, tenant_id, self._bus, keys)


def _content(message: IncomingMessage) -> str:
    """Return all that a conversation shows of a message, as JSON."""
    parsed = message.parsed
    sender = [parsed.sender.name, parsed.sender.email] if parsed.sender else None
    content = {
        "message_id": parsed.message_id,
        "subject": parsed.subject,
        "text": parsed.text,
        "full_text": parsed.full_text,
        "from": sender,
        "to": [[recipient.name, recipient.email] for recipient in parsed.recipients],
        "attachments": list(parsed.attachment_names),
    }
    return json.dumps(content)


def _columns(answers: Sequence[Answer]) -> list[list[object]]:
    """Return one row for each email that an answer may answer, as columns."""
    rows: list[tuple[str | None, UUID | None, Answer]] = [
        (provider_id, None, answer) for answer in answers for provider_id in answer.provider_ids
    ]
    rows += [(None, email_id, answer) for answer in answers for email_id in answer.email_ids]
    return [
        [provider_id for provider_id, _, _ in rows],
        [email_id for _, email_id, _ in rows],
        [answer.message_id for _, _, answer in rows],
        [answer.contact_id for _, _, answer in rows],
    ]


def _answered_email(row: Row) -> AnsweredEmail:
    return AnsweredEmail(row["id"], row["run_id"], row["contact_id"], row["reply_id"])


def _sent_timestamp(message: IncomingMessage) -> float:
    return message.parsed.sent_at.timestamp() if message.parsed.sent_at else 0.0
