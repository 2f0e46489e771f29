"""Erase a person from what runs contain: inputs, results, errors, stored items, and what agents remember."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.run_content import RunContents
from email_sender.adapters.postgres.stored_items import CONTEXT as ITEMS
from email_sender.errors import Conflict
from email_sender.security.ports import TenantKeys
from email_sender.workflows.stored_items import terms_in

# A shorter name is a word that other people's results contain too.
_MIN_NAME = 5
_REPLACEMENT = "[erased]"
# Whether the run `r` works with the person.
_IS_ABOUT = """
r.term_hashes && %(terms)s or exists (
    select from run_steps s where s.run_id = r.id and s.term_hashes && %(terms)s
) or exists (
    select from stored_items i where i.run_id = any(r.id || r.lineage) and i.term_hashes && %(terms)s)
"""
_OPEN_RUN = f"""
select r.id from runs r where r.tenant_id = %(tenant)s and r.status in ('pending', 'running', 'waiting')
and ({_IS_ABOUT})
limit 1
"""  # noqa: S608  # constants
# What agents remember of the sessions of such runs, as a whole: it is encrypted.
_FORGET_SESSIONS = f"""
delete from conversations c where c.tenant_id = %(tenant)s and (c.workflow_id, c.session_hash) in (
    select said.workflow_id, said.session_hash from conversations said join runs r on r.id = said.run_id
    where said.tenant_id = %(tenant)s and ({_IS_ABOUT}))
"""  # noqa: S608  # constants
_FIND_ITEMS = """
select id, number, items_enc from stored_items where tenant_id = %(tenant)s and term_hashes && %(terms)s
"""
_CHANGE_ITEMS = """
update stored_items set items_enc = %s, term_hashes = %s where tenant_id = %s and id = %s and number = %s
"""


@dataclass(frozen=True, slots=True)
class Person:
    """A contact, or a contact that was deleted before: then only the hash of its address is known."""

    contact_id: UUID
    address_hash: bytes
    address: str | None = None
    name: str = ""


class RunErasure:
    """Erases one person from the runs of a tenant, in the caller's transaction."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys, person: Person) -> None:
        self._conn, self._tenant_id, self._keys, self._person = conn, tenant_id, keys, person
        self._contents = RunContents(conn, tenant_id, keys)
        self._terms = [person.address_hash, keys.fingerprint(str(person.contact_id))]
        self._parameters = {"tenant": tenant_id, "terms": self._terms}

    def check_that_no_run_is_open(self) -> None:
        """Raises Conflict: a run that has not ended works with the person."""
        self._encrypt_plain()
        open_run = self._conn.execute(_OPEN_RUN, self._parameters).fetchone()
        if open_run is not None:
            raise Conflict(f"The run {open_run['id']} works with this person. Cancel it or wait until it ends.")

    def erase(self) -> Mapping[str, int]:
        """Replace the address, and the name beside it. Returns the number of changed rows by table."""
        self._encrypt_plain()
        self._conn.execute(_FORGET_SESSIONS, self._parameters)
        return {**self._contents.change(self._terms, self._redacted), "stored_items": self._redact_items()}

    def _encrypt_plain(self) -> None:
        """Encrypt what older code left plain, so that hashes find the person in it. Without an address: all mail."""
        address = self._person.address
        self._contents.encrypt_plain_with(self._found(address) if address else f"@|{self._person.contact_id}")

    def _redact_items(self) -> int:
        changed = 0
        for row in self._conn.execute(_FIND_ITEMS, self._parameters).fetchall():
            before = json.loads(self._keys.decrypt(row["items_enc"], ITEMS))
            items = [self._redacted(item) for item in before]
            if items == before:
                continue
            text = json.dumps(items, ensure_ascii=False)
            hashes = [self._keys.fingerprint(term) for term in terms_in(text)]
            place = [self._tenant_id, row["id"], row["number"]]
            self._conn.execute(_CHANGE_ITEMS, [self._keys.encrypt(text, ITEMS), hashes, *place])
            changed += 1
        return changed

    def _redacted(self, value: object) -> Any:
        """Return the value without the person. A name without the address stays: it may be somebody else's."""
        text = json.dumps(value, ensure_ascii=False)
        address = self._person.address or self._address_in(text)
        if not re.search(self._found(address), text, re.IGNORECASE):
            return value
        texts = [address or "", self._person.name if len(self._person.name) >= _MIN_NAME else ""]
        pattern = "|".join(_whole(text) for text in texts if text)
        return json.loads(re.sub(pattern, _REPLACEMENT, text, flags=re.IGNORECASE)) if pattern else value

    def _address_in(self, text: str) -> str | None:
        """Return the address in the text whose hash is the person's."""
        hashes = ((term, self._keys.fingerprint(term)) for term in terms_in(text) if "@" in term)
        return next((term for term, found in hashes if found == self._person.address_hash), None)

    def _found(self, address: str | None) -> str:
        """Return the regular expression of a text that is about the person."""
        return "|".join([*([_whole(address)] if address else []), str(self._person.contact_id)])


def _whole(text: str) -> str:
    """Return a regular expression for this text inside JSON, and not for a part of a longer address.

    PostgreSQL and Python read it in the same way. A letter after a backslash belongs to an escape of JSON, such as \\n,
    and not to a word.
    """
    escaped = re.sub(r"([^\w\s])", r"\\\1", json.dumps(text, ensure_ascii=False)[1:-1])
    return rf"(?:(?<![\w.+\\-])|(?<=\\[bfnrt])){escaped}(?![\w-]|\.\w)"
