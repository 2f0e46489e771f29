"""Notifications in PostgreSQL. Implements messaging.notifications.NotificationUnit.

Titles, texts, targets and secrets are encrypted with the tenant's key.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Database, Row
from email_sender.messaging.notifications import (
    Channel,
    ChannelKind,
    Delivery,
    DeliveryState,
    Level,
    Notification,
    NotificationUnit,
)
from email_sender.paging import Page
from email_sender.security.ports import TenantKeys, Vault

_CONTENT, _TARGET, _SECRET = "notifications.content", "notification_channels.target", "notification_channels.secret"


class PostgresNotificationUnit:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def channels(self) -> Sequence[Channel]:
        rows = self._conn.execute("select * from notification_channels order by id").fetchall()
        return [self._channel(row) for row in rows]

    def add_channel(self, channel: Channel) -> None:
        self._conn.execute(
            "insert into notification_channels (id, tenant_id, kind, name, min_level, target_enc, secret_enc) "
            "values (%s, %s, %s, %s, %s, %s, %s)",
            [
                channel.id, self._tenant_id, channel.kind, channel.name, channel.min_level,
                self._keys.encrypt(channel.target, _TARGET) if channel.target else None,
                self._keys.encrypt(channel.secret, _SECRET) if channel.secret else None,
            ],
        )  # fmt: skip

    def delete_channel(self, channel_id: UUID) -> bool:
        return self._conn.execute("delete from notification_channels where id = %s", [channel_id]).rowcount == 1

    def has_request(self, event_id: UUID) -> bool:
        row = self._conn.execute("select 1 from notification_requests where event_id = %s", [event_id]).fetchone()
        return row is not None

    def fingerprint(self, key: str) -> bytes:
        return self._keys.fingerprint(key)

    def find_open_for_update(self, key: bytes) -> Notification | None:
        # A new key has no row to lock, so this lock makes concurrent requests with the same key wait.
        self._conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"notify/{key.hex()}"])
        row = self._conn.execute(
            "select * from notifications where key_hash = %s and not closed for update", [key]
        ).fetchone()
        return self._notification(row) if row else None

    def save(self, notification: Notification) -> None:
        content = json.dumps([notification.title, notification.text])
        self._conn.execute(
            """
            insert into notifications (id, tenant_id, key_hash, level, content_enc, count, told, first_at, last_at,
                                       window_ends)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (id) do update set count = excluded.count, told = excluded.told, last_at = excluded.last_at,
                window_ends = excluded.window_ends
            """,
            [
                notification.id, self._tenant_id, notification.key, notification.level,
                self._keys.encrypt(content, _CONTENT),
                notification.count, notification.told, notification.first_at, notification.last_at,
                notification.window_ends,
            ],
        )  # fmt: skip

    def close(self, notification_id: UUID) -> None:
        self._conn.execute("update notifications set closed = true where id = %s", [notification_id])

    def record_request(self, event_id: UUID, notification_id: UUID, at: datetime) -> None:
        self._conn.execute(
            "insert into notification_requests (tenant_id, event_id, notification_id, at) values (%s, %s, %s, %s)",
            [self._tenant_id, event_id, notification_id, at],
        )

    def list_expired_for_update(self, now: datetime) -> Sequence[Notification]:
        rows = self._conn.execute(
            "select * from notifications where not closed and window_ends <= %s order by window_ends limit 100 "
            "for update skip locked",
            [now],
        ).fetchall()
        return [self._notification(row) for row in rows]

    def add_deliveries(self, deliveries: Iterable[Delivery], at: datetime) -> None:
        for delivery in deliveries:
            self._conn.execute(
                "insert into notification_deliveries (id, tenant_id, notification_id, channel_id, repeats, state, "
                "next_attempt_at) values (%s, %s, %s, %s, %s, 'due', %s) on conflict do nothing",
                [
                    delivery.id,
                    self._tenant_id,
                    delivery.notification.id,
                    delivery.channel.id if delivery.channel else None,
                    delivery.repeats,
                    at,
                ],
            )

    def claim(self, now: datetime, lease_until: datetime, limit: int) -> Sequence[Delivery]:
        rows = self._conn.execute(
            """
            update notification_deliveries d set state = 'sending', attempts = attempts + 1, next_attempt_at = %(lease)s
            where id in (
                select d.id from notification_deliveries d join notifications n on n.id = d.notification_id
                where d.state in ('due', 'sending') and d.next_attempt_at <= %(now)s
                order by array_position(array['info', 'warning', 'critical'], n.level) desc, d.next_attempt_at
                limit %(limit)s for update of d skip locked
            )
            returning d.id, d.notification_id, d.channel_id, d.repeats, d.attempts
            """,
            {"now": now, "lease": lease_until, "limit": limit},
        ).fetchall()
        notification_ids = [row["notification_id"] for row in rows]
        notification_rows = self._conn.execute(
            "select * from notifications where id = any(%s)", [notification_ids]
        ).fetchall()
        notifications = {row["id"]: self._notification(row) for row in notification_rows}
        channels = {channel.id: channel for channel in self.channels()}
        return [
            Delivery(
                row["id"], notifications[row["notification_id"]], channels.get(row["channel_id"]), row["repeats"],
                row["attempts"],
            )
            for row in rows
        ]  # fmt: skip

    def delivered_since(self, channel_id: UUID, since: datetime) -> int:
        row = self._conn.execute(
            "select count(*) as n from notification_deliveries where channel_id = %s and state = 'delivered' "
            "and delivered_at > %s",
            [channel_id, since],
        ).fetchone()
        return int(row["n"]) if row else 0

    def settle(self, delivery_id: UUID, state: DeliveryState, at: datetime, error: str | None) -> None:
        self._conn.execute(
            "update notification_deliveries set state = %(state)s, error = %(error)s, next_attempt_at = %(at)s, "
            "delivered_at = case when %(state)s = 'delivered' then %(at)s end where id = %(id)s and state = 'sending'",
            {"state": state.value, "error": error, "at": at, "id": delivery_id},
        )

    def postpone(self, delivery_id: UUID, until: datetime) -> None:
        self._conn.execute(
            "update notification_deliveries set state = 'due', next_attempt_at = %s, attempts = attempts - 1 "
            "where id = %s and state = 'sending'",
            [until, delivery_id],
        )

    def page(self, after: UUID | None, limit: int) -> Page[Notification]:
        rows = self._conn.execute(
            "select * from notifications where (%s::uuid is null or id < %s) order by id desc limit %s",
            [after, after, limit + 1],
        ).fetchall()
        next_cursor = str(rows[limit - 1]["id"]) if len(rows) > limit else None
        return Page([self._notification(row) for row in rows[:limit]], next_cursor)

    def delete_older_than(self, before: datetime) -> int:
        self._conn.execute("delete from notification_requests where at < %s", [before])
        return self._conn.execute("delete from notifications where closed and last_at < %s", [before]).rowcount

    def commit(self) -> None:
        self._conn.commit()

    def _channel(self, row: Row) -> Channel:
        return Channel(
            row["id"],
            ChannelKind(row["kind"]),
            row["name"],
            Level(row["min_level"]),
            self._keys.decrypt(row["target_enc"], _TARGET) if row["target_enc"] is not None else None,
            self._keys.decrypt(row["secret_enc"], _SECRET) if row["secret_enc"] is not None else None,
        )

    def _notification(self, row: Row) -> Notification:
        title, text = json.loads(self._keys.decrypt(row["content_enc"], _CONTENT))
        return Notification(
            row["id"], bytes(row["key_hash"]), Level(row["level"]), title, text, row["count"], row["told"],
            row["first_at"], row["last_at"], row["window_ends"],
        )  # fmt: skip


def notification_units(database: Database, vault: Vault) -> Callable[[UUID], AbstractContextManager[NotificationUnit]]:
    @contextmanager
    def open_unit(tenant_id: UUID) -> Iterator[PostgresNotificationUnit]:
        # Read the keys before the transaction begins: the vault uses the same pool, which has one connection.
        keys = vault.keys_for(tenant_id)
        with database.tenant(tenant_id) as conn:
            yield PostgresNotificationUnit(conn, tenant_id, keys)

    return open_unit
