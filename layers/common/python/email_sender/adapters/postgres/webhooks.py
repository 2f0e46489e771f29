"""Webhooks in PostgreSQL. Implements messaging.webhooks.WebhookUnit. URLs, secrets and bodies are encrypted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Database, Row
from email_sender.adapters.postgres.unit_of_work import Unit
from email_sender.messaging.webhooks import KEPT, DeliveryState, Webhook, WebhookDelivery, WebhookUnit
from email_sender.security.ports import TenantKeys, Vault

URL, SECRET, BODY = "webhooks.url", "webhooks.secret", "webhook_deliveries.body"
PREVIOUS_SECRET = "webhooks.previous_secret"  # noqa: S105  # the name of a column


class PostgresWebhookUnit(Unit):
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        super().__init__(conn, tenant_id, None)
        self._keys = keys

    def webhooks(self) -> Sequence[Webhook]:
        return [self._webhook(row) for row in self.conn.execute("select * from webhooks order by id").fetchall()]

    def get(self, webhook_id: UUID) -> Webhook | None:
        row = self.conn.execute("select * from webhooks where id = %s for update", [webhook_id]).fetchone()
        return self._webhook(row) if row else None

    def save(self, webhook: Webhook) -> None:
        secret, *previous = webhook.secrets
        self.conn.execute(
            """
            insert into webhooks (id, tenant_id, url_enc, types, secret_enc, previous_secret_enc, previous_ends,
                                  stopped_reason, created_by, created_at)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (id) do update set url_enc = excluded.url_enc, types = excluded.types,
                secret_enc = excluded.secret_enc, previous_secret_enc = excluded.previous_secret_enc,
                previous_ends = excluded.previous_ends, stopped_reason = excluded.stopped_reason
            """,
            [
                webhook.id,
                self.tenant_id,
                self._keys.encrypt(webhook.url, URL),
                list(webhook.types),
                self._keys.encrypt(secret, SECRET),
                self._keys.encrypt(previous[0], PREVIOUS_SECRET) if previous else None,
                webhook.previous_ends,
                webhook.stopped_reason,
                webhook.created_by,
                webhook.created_at,
            ],
        )

    def delete(self, webhook_id: UUID) -> bool:
        return self.conn.execute("delete from webhooks where id = %s", [webhook_id]).rowcount == 1

    def add_delivery(self, delivery: WebhookDelivery) -> bool:
        result = self.conn.execute(
            """
            insert into webhook_deliveries (id, tenant_id, webhook_id, event_id, event_type, body_enc, state,
                                            next_attempt_at, created_at)
            values (%s, %s, %s, %s, %s, %s, 'due', %s, %s)
            on conflict (id) do nothing
            """,
            [
                delivery.id,
                self.tenant_id,
                delivery.webhook_id,
                delivery.event_id,
                delivery.event_type,
                self._keys.encrypt(delivery.body, BODY),
                delivery.created_at,
                delivery.created_at,
            ],
        )
        return result.rowcount == 1

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[WebhookDelivery]:
        rows = self.conn.execute(
            """
            update webhook_deliveries set state = 'sending', attempts = attempts + 1, next_attempt_at = %(lease)s
            where id in (
                select d.id from webhook_deliveries d join webhooks w on w.id = d.webhook_id
                where d.state in ('due', 'sending') and d.next_attempt_at <= %(now)s and w.stopped_reason is null
                order by d.next_attempt_at limit %(limit)s for update of d skip locked
            )
            returning *
            """,
            {"now": now, "lease": lease_until, "limit": limit},
        ).fetchall()
        return [self._delivery(row) for row in sorted(rows, key=lambda row: (row["created_at"], row["id"]))]

    def settle(self, delivery: WebhookDelivery) -> None:
        # Whoever claimed it later has counted another attempt.
        self.conn.execute(
            """
            update webhook_deliveries set state = %s, next_attempt_at = coalesce(%s, next_attempt_at),
                delivered_at = %s, status = %s, error = %s
            where id = %s and state = 'sending' and attempts = %s
            """,
            [
                delivery.state,
                delivery.next_attempt_at,
                delivery.delivered_at,
                delivery.status,
                delivery.error,
                delivery.id,
                delivery.attempts,
            ],
        )

    def release(self, delivery_id: UUID, at: datetime) -> None:
        self.conn.execute(
            "update webhook_deliveries set state = 'due', next_attempt_at = %s, attempts = attempts - 1 "
            "where id = %s and state = 'sending'",
            [at, delivery_id],
        )

    def renew(self, webhook_id: UUID, delivery_ids: Sequence[UUID] | None, at: datetime) -> int:
        result = self.conn.execute(
            """
            update webhook_deliveries set state = 'due', attempts = 0, next_attempt_at = %(at)s, error = null
            where webhook_id = %(webhook)s
              and (case when %(ids)s::uuid[] is null then state = 'failed'
                        else id = any(%(ids)s) and state in ('failed', 'delivered') end)
            """,
            {"at": at, "webhook": webhook_id, "ids": None if delivery_ids is None else list(delivery_ids)},
        )
        return result.rowcount

    def deliveries(
        self, webhook_id: UUID, state: DeliveryState | None, before: UUID | None, limit: int
    ) -> Sequence[WebhookDelivery]:
        rows = self.conn.execute(
            """
            select id, webhook_id, event_id, event_type, created_at, state, attempts, next_attempt_at, delivered_at,
                   status, error
            from webhook_deliveries
            where webhook_id = %(webhook)s and (%(state)s::text is null or state = %(state)s)
              and (%(before)s::uuid is null
                   or (created_at, id) < (select created_at, id from webhook_deliveries where id = %(before)s))
            order by created_at desc, id desc limit %(limit)s
            """,
            {"webhook": webhook_id, "state": state, "before": before, "limit": limit},
        ).fetchall()
        return [self._delivery({**row, "body_enc": None}) for row in rows]

    def delete_older_than(self, before: datetime) -> int:
        return self.conn.execute("delete from webhook_deliveries where created_at < %s", [before]).rowcount

    def _webhook(self, row: Row) -> Webhook:
        secrets = [self._keys.decrypt(row["secret_enc"], SECRET)]
        if row["previous_secret_enc"] is not None:
            secrets.append(self._keys.decrypt(row["previous_secret_enc"], PREVIOUS_SECRET))
        return Webhook(
            id=row["id"],
            url=self._keys.decrypt(row["url_enc"], URL),
            types=tuple(row["types"]),
            secrets=tuple(secrets),
            created_by=row["created_by"],
            created_at=row["created_at"],
            previous_ends=row["previous_ends"],
            stopped_reason=row["stopped_reason"],
        )

    def _delivery(self, row: Row) -> WebhookDelivery:
        return WebhookDelivery(
            id=row["id"],
            webhook_id=row["webhook_id"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            body=self._keys.decrypt(row["body_enc"], BODY) if row["body_enc"] is not None else "",
            created_at=row["created_at"],
            state=DeliveryState(row["state"]),
            attempts=row["attempts"],
            next_attempt_at=row["next_attempt_at"],
            delivered_at=row["delivered_at"],
            status=row["status"],
            error=row["error"],
        )


def webhook_units(database: Database, vault: Vault) -> Callable[[UUID], AbstractContextManager[WebhookUnit]]:
    @contextmanager
    def open_unit(tenant_id: UUID) -> Iterator[PostgresWebhookUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = vault.keys_for(tenant_id)
        with database.tenant(tenant_id) as conn:
            yield PostgresWebhookUnit(conn, tenant_id, keys)

    return open_unit


def tenants_to_sweep(database: Database) -> Sequence[UUID]:
    """Return the tenants with deliveries that are due or too old. For the platform role."""
    with database.platform() as conn:
        rows = conn.execute(
            "select distinct tenant_id from webhook_deliveries "
            "where (state in ('due', 'sending') and next_attempt_at <= now()) or created_at < now() - %s",
            [KEPT],
        ).fetchall()
    return [row["tenant_id"] for row in rows]
