"""Look up long-running work by its id: runs, imports, exports and migrations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.encrypted_json import RUN_ERROR, decrypted
from email_sender.errors import NotFound
from email_sender.security.ports import Vault

_FIND = """
select 'run' as kind, id, status, error ->> 'message' as error, error_enc, created_at, started_at, finished_at
from runs where id = %(id)s
union all
select kind || ' import', id, status, error, null, created_at, started_at, finished_at from imports where id = %(id)s
union all
select 'vectors ' || kind, id, status, error, null, created_at, created_at, finished_at
from vector_jobs where id = %(id)s
limit 1
"""


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job of any kind.

    `kind`: run, mailbox import, vectors import, vectors export or vectors migration. `status` is a status of that kind.
    """

    kind: str
    id: UUID
    status: str
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class PostgresJobsIndex:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database, self._vault = database, vault

    def find(self, tenant_id: UUID, job_id: UUID) -> JobSummary:
        """Return the job.

        Raises:
            NotFound: the tenant has no job with this id.
        """
        with self._database.tenant(tenant_id) as conn:
            row: dict[str, Any] | None = conn.execute(_FIND, {"id": job_id}).fetchone()
        if row is None:
            raise NotFound("Job not found.")
        # The error of a run is encrypted, and has a name beside its message.
        if row["error"] is None and row["error_enc"] is not None:
            keys = self._vault.keys_for(tenant_id)
            row["error"] = decrypted(keys, row, "error", RUN_ERROR).get("message")
        del row["error_enc"]
        return JobSummary(**row)
