"""What runs and their steps contain, encrypted. Older code left it plain: it is encrypted in batches, each day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.contacts import ADDRESS, NAME
from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.encrypted_json import (
    ATTRIBUTES,
    INPUTS,
    RESULT,
    RUN_ERROR,
    STEP_ERROR,
    attributes_of,
    decrypted,
    encrypted,
    id_or_none,
    search_hashes,
    tag_hashes,
    term_hashes,
)
from email_sender.messaging.contact_search import terms_of
from email_sender.security.ports import TenantKeys

_UPDATE_RUN = """
update runs set inputs = '{}', error = null, inputs_enc = %(inputs_enc)s, error_enc = %(error_enc)s,
                error_name = %(error_name)s, term_hashes = %(term_hashes)s
where tenant_id = %(tenant_id)s and id = %(id)s
"""
_UPDATE_STEP = """
update run_steps set result = null, error = null, result_enc = %(result_enc)s, error_enc = %(error_enc)s,
                     error_name = %(error_name)s, email_id = %(email_id)s, term_hashes = %(term_hashes)s
where tenant_id = %(tenant_id)s and run_id = %(run_id)s and step = %(step)s and item = %(item)s
"""
_UPDATE_CONTACT = """
update contacts set attributes = '{}', attributes_enc = %(attributes_enc)s, tag_hashes = %(tag_hashes)s
where tenant_id = %(tenant_id)s and id = %(id)s
"""
_UPDATE_SEARCH = """
update contacts set search_hashes = %(search_hashes)s where tenant_id = %(tenant_id)s and id = %(id)s
"""
_RUNS = "select id, inputs, inputs_enc, error, error_enc from runs where tenant_id = %(tenant_id)s and ({}) {}"
_STEPS = """
select run_id, step, item, result, result_enc, error, error_enc from run_steps
where tenant_id = %(tenant_id)s and ({}) {}
"""
_BATCH = "limit %(limit)s for update skip locked"
_PLAIN_RUNS = _RUNS.format("inputs <> '{}' or error is not null", _BATCH)
_PLAIN_STEPS = _STEPS.format("result is not null or error is not null", _BATCH)
_PLAIN_CONTACTS = """
select id, attributes, attributes_enc from contacts where tenant_id = %(tenant_id)s and attributes <> '{}'
limit %(limit)s for update skip locked
"""
_UNSEARCHABLE_CONTACTS = """
select id, name_enc, address_enc from contacts where tenant_id = %(tenant_id)s and search_hashes is null
limit %(limit)s for update skip locked
"""
_PLAIN_RUNS_WITH = _RUNS.format("inputs::text ~* %(found)s or error::text ~* %(found)s", "for update")
_PLAIN_STEPS_WITH = _STEPS.format("result::text ~* %(found)s or error::text ~* %(found)s", "for update")
_RUNS_WITH = _RUNS.format("term_hashes && %(terms)s", "for update")
_STEPS_WITH = _STEPS.format("term_hashes && %(terms)s", "for update")


def run_columns(keys: TenantKeys, inputs: object, error: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns of `runs` that hold what a run contains."""
    return {
        "inputs_enc": encrypted(keys, inputs, INPUTS),
        "error_enc": encrypted(keys, error, RUN_ERROR),
        "error_name": error.get("name") if error else None,
        "term_hashes": term_hashes(keys, inputs, error),
    }


def step_columns(keys: TenantKeys, result: object, error: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns of `run_steps` that hold what a step contains."""
    return {
        "result_enc": encrypted(keys, result, RESULT),
        "error_enc": encrypted(keys, error, STEP_ERROR),
        "error_name": error.get("name") if error else None,
        "email_id": id_or_none(result.get("email_id")) if isinstance(result, Mapping) else None,
        "term_hashes": term_hashes(keys, result, error),
    }


def has_plain(conn: Connection[Row], tenant_id: UUID) -> bool:
    """Return whether older code left something plain, or contacts that no search finds."""
    parameters = {"tenant_id": tenant_id, "limit": 1}
    queries = (_PLAIN_RUNS, _PLAIN_STEPS, _PLAIN_CONTACTS, _UNSEARCHABLE_CONTACTS)
    return any(conn.execute(query, parameters).fetchone() for query in queries)


class RunContents:
    """All that runs of one tenant contain. Each statement names the tenant: a restore runs as the tables' owner."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def encrypt_plain(self, limit: int) -> int:
        """Encrypt some of what older code left plain, also in contacts, and make contacts searchable.

        Returns how many rows were changed; 0: there are no more.
        """
        parameters = {"tenant_id": self._tenant_id, "limit": limit}
        runs = self._conn.execute(_PLAIN_RUNS, parameters).fetchall()
        steps = self._conn.execute(_PLAIN_STEPS, parameters).fetchall()
        contacts = self._conn.execute(_PLAIN_CONTACTS, parameters).fetchall()
        unsearchable = self._conn.execute(_UNSEARCHABLE_CONTACTS, parameters).fetchall()
        self._encrypt(runs, steps)
        for contact in unsearchable:
            name = self._keys.decrypt(contact["name_enc"], NAME) if contact["name_enc"] else None
            terms = terms_of(name, self._keys.decrypt(contact["address_enc"], ADDRESS))
            self._update(_UPDATE_SEARCH, contact, {"search_hashes": search_hashes(self._keys, terms)})
        for contact in contacts:
            attributes = attributes_of(self._keys, contact)
            ciphertext = encrypted(self._keys, attributes, ATTRIBUTES)
            hashes = tag_hashes(self._keys, attributes.get("tags"))
            self._update(_UPDATE_CONTACT, contact, {"attributes_enc": ciphertext, "tag_hashes": hashes})
        return len(runs) + len(steps) + len(contacts) + len(unsearchable)

    def encrypt_plain_with(self, found: str) -> None:
        """Encrypt what is still plain and matches a regular expression, so that its terms have hashes."""
        parameters = {"tenant_id": self._tenant_id, "found": found}
        runs = self._conn.execute(_PLAIN_RUNS_WITH, parameters).fetchall()
        self._encrypt(runs, self._conn.execute(_PLAIN_STEPS_WITH, parameters).fetchall())

    def change(self, terms: Sequence[bytes], changed: Callable[[object], Any]) -> Mapping[str, int]:
        """Change the contents that have one of the terms. Returns the number of rows that differ, by table."""
        parameters = {"tenant_id": self._tenant_id, "terms": list(terms)}
        counts = {"runs": 0, "run_steps": 0}
        for row in self._conn.execute(_RUNS_WITH, parameters).fetchall():
            before = self._run(row)
            after = [changed(value) for value in before]
            if after != before:
                self._update(_UPDATE_RUN, row, run_columns(self._keys, *after))
                counts["runs"] += 1
        for row in self._conn.execute(_STEPS_WITH, parameters).fetchall():
            before = self._step(row)
            after = [changed(value) for value in before]
            if after != before:
                self._update(_UPDATE_STEP, row, step_columns(self._keys, *after))
                counts["run_steps"] += 1
        return counts

    def _encrypt(self, runs: Sequence[Row], steps: Sequence[Row]) -> None:
        for row in runs:
            self._update(_UPDATE_RUN, row, run_columns(self._keys, *self._run(row)))
        for row in steps:
            self._update(_UPDATE_STEP, row, step_columns(self._keys, *self._step(row)))

    def _run(self, row: Row) -> list[Any]:
        return [decrypted(self._keys, row, "inputs", INPUTS), decrypted(self._keys, row, "error", RUN_ERROR)]

    def _step(self, row: Row) -> list[Any]:
        return [decrypted(self._keys, row, "result", RESULT), decrypted(self._keys, row, "error", STEP_ERROR)]

    def _update(self, statement: str, row: Row, columns: Mapping[str, Any]) -> None:
        self._conn.execute(statement, {**row, **columns, "tenant_id": self._tenant_id})
