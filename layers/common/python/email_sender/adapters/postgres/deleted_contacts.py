"""Deleted contacts whose points and files are to be deleted. Implements vectors.imports.deletions.DeletedContacts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.vectors.imports.deletions import DeletedContact

_SELECT = """
select d.contact_id, d.message_ids, d.deleted_at,
       array(select object_key from imports i
             where i.id = any(d.import_ids) and i.status in ('completed', 'failed')) as object_keys,
       exists (select from imports i
               where i.id = any(d.import_ids) and i.status = 'processing') as has_running_import
from deleted_contacts d
where d.cleaned_at is null
order by d.deleted_at limit %s
"""


class PostgresDeletedContacts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def to_clean(self, tenant_id: UUID, limit: int) -> Sequence[DeletedContact]:
        with self._database.tenant(tenant_id) as conn:
            return [DeletedContact(**row) for row in conn.execute(_SELECT, [limit]).fetchall()]

    def mark_cleaned(self, tenant_id: UUID, contact_id: UUID, at: datetime) -> None:
        with self._database.tenant(tenant_id) as conn:
            # The hash of the address stays; what was deleted is not named any more.
            conn.execute(
                "update deleted_contacts set cleaned_at = %s, message_ids = '{}', import_ids = '{}' "
                "where contact_id = %s",
                [at, contact_id],
            )
            conn.commit()
