"""What runs and their steps contain: encrypted, changed by an erasure, or still plain as older code left it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.adapters.postgres.encrypted_json import (
    INPUTS,
    RESULT,
    RUN_ERROR,
    STEP_ERROR,
    decrypted,
    encrypted,
    id_or_none,
    term_hashes,
)
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
_RUNS = "select id, inputs, inputs_enc, error, error_enc from runs where tenant_id = %(tenant_id)s and ({}) {}"
_STEPS = """
select run_id, step, item, result, result_enc, error, error_enc from run_steps
where tenant_id = %(tenant_id)s and ({}) {}
"""
_BATCH = "limit %(limit)s for update skip locked"
_PLAIN_RUNS = _RUNS.format("inputs <> '{}' or error is not null", _BATCH)
_PLAIN_STEPS = _STEPS.format("result is not null or error is not null", _BATCH)
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


class RunContents:
    """All that runs of one tenant contain. Each statement names the tenant: a restore runs as the tables' owner."""

    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def has_plain(self) -> bool:
        return any(self._read(query, limit=1) for query in (_PLAIN_RUNS, _PLAIN_STEPS))

    def encrypt_plain(self, limit: int) -> int:
        """Encrypt some of what is still plain. Returns how many rows; 0: there are no more."""
        runs, steps = self._read(_PLAIN_RUNS, limit=limit), self._read(_PLAIN_STEPS, limit=limit)
        self._encrypt(runs, steps)
        return len(runs) + len(steps)

    def encrypt_plain_with(self, found: str) -> None:
        """Encrypt what is still plain and matches a regular expression, so that its terms have hashes."""
        self._encrypt(self._read(_PLAIN_RUNS_WITH, found=found), self._read(_PLAIN_STEPS_WITH, found=found))

    def change(self, terms: Sequence[bytes], changed: Callable[[object], Any]) -> Mapping[str, int]:
        """Change the contents that have one of the terms. Returns the number of rows that differ, by table."""
        counts = {"runs": 0, "run_steps": 0}
        for table, query, read, write in (
            ("runs", _RUNS_WITH, self._run, self._write_run),
            ("run_steps", _STEPS_WITH, self._step, self._write_step),
        ):
            for row in self._read(query, terms=list(terms)):
                before = read(row)
                after = [changed(value) for value in before]
                if after != before:
                    write(row, after)
                    counts[table] += 1
        return counts

    def _read(self, query: str, **parameters: object) -> Sequence[Row]:
        return self._conn.execute(query, {"tenant_id": self._tenant_id, **parameters}).fetchall()

    def _encrypt(self, runs: Sequence[Row], steps: Sequence[Row]) -> None:
        for row in runs:
            self._write_run(row, self._run(row))
        for row in steps:
            self._write_step(row, self._step(row))

    def _run(self, row: Row) -> list[Any]:
        return [decrypted(self._keys, row, "inputs", INPUTS), decrypted(self._keys, row, "error", RUN_ERROR)]

    def _step(self, row: Row) -> list[Any]:
        return [decrypted(self._keys, row, "result", RESULT), decrypted(self._keys, row, "error", STEP_ERROR)]

    def _write_run(self, row: Row, content: Sequence[Any]) -> None:
        columns = run_columns(self._keys, *content)
        self._conn.execute(_UPDATE_RUN, {**row, **columns, "tenant_id": self._tenant_id})

    def _write_step(self, row: Row, content: Sequence[Any]) -> None:
        columns = step_columns(self._keys, *content)
        self._conn.execute(_UPDATE_STEP, {**row, **columns, "tenant_id": self._tenant_id})
