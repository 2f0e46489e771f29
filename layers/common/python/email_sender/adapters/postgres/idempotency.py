"""Idempotency keys in PostgreSQL. Implements kit.idempotency.IdempotencyStore."""

from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Conflict, InProgress, InvalidInput
from email_sender.security.ports import Vault

_LEASE = "30 seconds"
# Seconds. Four repetitions, as the clients make them, outlast the lease of a request that died.
_RETRY_AFTER = 8
_RETENTION = "24 hours"

_BEGIN = f"""
insert into idempotency as i (tenant_id, subject, route, key, body_hash, operation_id, lease_until)
values (%(tenant)s, %(subject)s, %(route)s, %(key)s, %(body_hash)s, %(operation)s, now() + interval '{_LEASE}')
on conflict (tenant_id, subject, route, key) do update set
    -- An expired key counts as new. Before that, only an expired lease with the same body is taken over.
    body_hash = excluded.body_hash,
    operation_id = case when i.created_at < now() - interval '{_RETENTION}' then excluded.operation_id
                        else i.operation_id end,
    lease_until = excluded.lease_until,
    status = null,
    response = null,
    created_at = case when i.created_at < now() - interval '{_RETENTION}' then now() else i.created_at end
where i.created_at < now() - interval '{_RETENTION}'
   or (i.status is null and i.lease_until < now() and i.body_hash = excluded.body_hash)
returning operation_id
"""  # noqa: S608  # constants above, no input
_READ = """
select body_hash, operation_id, status, response from idempotency
where tenant_id = %(tenant)s and subject = %(subject)s and route = %(route)s and key = %(key)s
"""
_KEY_CONDITION = "tenant_id = %s and subject = %s and route = %s and key = %s"


_ENCRYPTION_CONTEXT = "idempotency.response"


class PostgresIdempotency:
    """With a vault, responses are encrypted. Areas whose responses contain addresses pass one."""

    def __init__(self, database: Database, vault: Vault | None = None) -> None:
        self._database, self._vault = database, vault

    def begin(
        self, tenant_id: UUID, subject: str, route: str, key: str, body_hash: bytes, operation_id: UUID
    ) -> tuple[UUID, tuple[int, bytes] | None]:
        values = {
            "tenant": tenant_id,
            "subject": subject,
            "route": route,
            "key": key,
            "body_hash": body_hash,
            "operation": operation_id,
        }
        with self._database.tenant(tenant_id) as conn:
            lease = conn.execute(_BEGIN, values).fetchone()
            if lease is not None:
                conn.commit()
                return lease["operation_id"], None
            row = conn.execute(_READ, values).fetchone()
        if row is None:
            raise Conflict("The first request with this Idempotency-Key has just ended. Send the request again.")
        if row["body_hash"] != body_hash:
            raise InvalidInput("This Idempotency-Key was already used with a different request.")
        if row["status"] is None:
            message = "The first request with this Idempotency-Key is still in progress. Try again later."
            raise InProgress(message, _RETRY_AFTER)
        return row["operation_id"], (row["status"], self._decrypt(tenant_id, row["response"]))

    def finish(self, tenant_id: UUID, subject: str, route: str, key: str, status: int, body: bytes) -> None:
        stored_body = (
            self._vault.keys_for(tenant_id).encrypt(body.decode(), _ENCRYPTION_CONTEXT) if self._vault else body
        )
        with self._database.tenant(tenant_id) as conn:
            conn.execute(
                f"update idempotency set status = %s, response = %s where {_KEY_CONDITION}",  # noqa: S608
                [status, stored_body, tenant_id, subject, route, key],
            )
            conn.commit()

    def _decrypt(self, tenant_id: UUID, stored_body: bytes) -> bytes:
        return (
            self._vault.keys_for(tenant_id).decrypt(stored_body, _ENCRYPTION_CONTEXT).encode()
            if self._vault
            else stored_body
        )

    def forget(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(f"delete from idempotency where {_KEY_CONDITION}", [tenant_id, subject, route, key])  # noqa: S608
            conn.commit()

    def expire(self, tenant_id: UUID, subject: str, route: str, key: str) -> None:
        with self._database.tenant(tenant_id) as conn:
            conn.execute(
                f"update idempotency set lease_until = now() - interval '1 second' where {_KEY_CONDITION}",  # noqa: S608
                [tenant_id, subject, route, key],
            )
            conn.commit()
