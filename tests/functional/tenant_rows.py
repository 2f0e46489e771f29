"""A row of a tenant in every table."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from email_sender.kit.system_clock import new_id


def fill_tables(connect: Callable[[], Connection[Any]], tenant: UUID) -> None:
    """Insert one row into every table. References point to rows of the same tenant."""
    now, random_bytes = datetime.now(UTC), os.urandom(32)
    contact, thread, template, draft, workflow, run, upload, job, notification, channel, webhook = (
        new_id() for _ in range(11)
    )
    email = new_id()
    rows: dict[str, dict[str, Any]] = {
        "data_keys": {"purpose": "content", "version": 1, "wrapped": random_bytes},
        "idempotency": {
            "subject": "s",
            "route": "r",
            "key": "k",
            "body_hash": random_bytes,
            "operation_id": new_id(),
            "lease_until": now,
        },
        "outbox": {"id": new_id(), "source": "email_sender.x", "type": "x", "detail": Jsonb({})},
        "events": {"id": new_id(), "type": "x", "payload": Jsonb({}), "source": "x", "occurred_at": now},
        "audit_log": {"at": now, "subject": "s", "action": "a", "object": "o", "details": Jsonb({})},
        "event_sources": {"account": str(tenant), "source": "crm"},
        "contacts": {"id": contact, "address_hash": random_bytes, "address_enc": random_bytes},
        "threads": {"id": thread},
        "messages": {
            "id": new_id(),
            "import_id": upload,
            "message_hash": random_bytes,
            "contact_id": contact,
            "thread_id": thread,
            "content_enc": random_bytes,
        },
        "templates": {"id": template, "name": "t", "version": 1},
        "template_versions": {
            "template_id": template,
            "version": 1,
            "subject": "s",
            "body_text": "b",
            "variables": Jsonb([]),
            "created_by": "ann",
        },
        "drafts": {
            "id": draft,
            "run_id": run,
            "step": "d",
            "item": -1,
            "contact_id": contact,
            "template_id": template,
            "template_version": 1,
            "content_enc": random_bytes,
            "sha256": "x",
        },
        "emails": {
            "id": email,
            "run_id": run,
            "step": "s",
            "contact_id": contact,
            "draft_id": draft,
            "sha256": "x",
            "status": "sent",
            "lease_until": now,
        },
        "email_reports": {"email_id": email, "kind": "delayed", "at": now},
        "temporary_bounces": {"address_hash": random_bytes, "email_id": email, "at": now},
        "deleted_contacts": {"contact_id": new_id(), "address_hash": random_bytes, "message_ids": [], "import_ids": []},
        "erasures": {
            "contact_id": new_id(),
            "address_hash": random_bytes,
            "erased_by": "ann",
            "erased_at": now,
            "counts": Jsonb({}),
        },
        "audit_seals": {"sequence": 1, "hash": random_bytes, "mac": random_bytes, "sealed_at": now},
        "suppressions": {"address_hash": random_bytes, "address_enc": random_bytes, "reason": "manual"},
        "workflows": {"id": workflow, "name": "w", "definition": Jsonb({})},
        "workflow_versions": {"workflow_id": workflow, "version": 1, "definition": Jsonb({}), "published_by": "ann"},
        "runs": {
            "id": run,
            "workflow_id": workflow,
            "version": 1,
            "status": "succeeded",
            "inputs": Jsonb({}),
            "started_by": "ann",
            "role": "user",
        },
        "run_steps": {"run_id": run, "step": "s", "action": "a", "status": "succeeded", "started_at": now},
        "approvals": {
            "id": new_id(),
            "run_id": run,
            "step": "a",
            "title": "t",
            "drafts": Jsonb([]),
            "task_token": "t",
            "expires_at": now,
        },
        "task_waits": {
            "run_id": run,
            "step": "w",
            "item": -1,
            "kind": "run",
            "subject": run,
            "task_token": "t",
            "asked_at": now,
            "expires_at": now,
        },
        "conversations": {
            "workflow_id": workflow,
            "session_hash": random_bytes,
            "run_id": run,
            "step": "s",
            "number": 0,
            "said_at": now,
            "turns_enc": random_bytes,
        },
        "seen_values": {
            "workflow_id": workflow,
            "scope": "n",
            "value_hash": random_bytes,
            "run_id": run,
            "step": "s",
            "place": 0,
        },
        "reached_values": {"workflow_id": workflow, "scope": "n", "value": 1.0},
        "reached_before": {"run_id": run, "step": "s", "scope": "n", "place": 0, "value": None},
        "stored_items": {
            "id": new_id(),
            "number": 0,
            "run_id": run,
            "step": "s",
            "first": 0,
            "count": 1,
            "term_hashes": [random_bytes],
            "items_enc": random_bytes,
        },
        "step_responses": {"run_id": run, "step": "s", "number": 0, "asked_at": now, "response_enc": random_bytes},
        "triggers": {
            "id": new_id(),
            "workflow_id": workflow,
            "kind": "webhook",
            "definition": Jsonb({}),
            "state": "active",
            "started_by": "ann",
            "role": "user",
        },
        "imports": {
            "id": upload,
            "kind": "mailbox",
            "status": "completed",
            "file_name": "f",
            "size_bytes": 1,
            "object_key": "k",
            "created_by": "ann",
        },
        "import_chunks": {
            "import_id": upload,
            "ordinal": 0,
            "messages": 1,
            "stored": 1,
            "duplicates": 0,
            "failed": 0,
        },
        "import_errors": {"import_id": upload, "ordinal": 0, "reason": "r"},
        "vector_writes": {"collection": "c"},
        "vector_changes": {"collection": "c", "point": new_id()},
        "vector_jobs": {
            "id": job,
            "kind": "migration",
            "status": "completed",
            "collection": "c",
            "source": Jsonb({}),
            "target": Jsonb({}),
            "created_by": "ann",
            "created_at": now,
        },
        "vector_job_parts": {"job_id": job, "phase": "copy", "ordinal": 0},
        "webhooks": {
            "id": webhook,
            "url_enc": random_bytes,
            "types": ["*"],
            "secret_enc": random_bytes,
            "created_by": "ann",
        },
        "webhook_deliveries": {
            "id": new_id(),
            "webhook_id": webhook,
            "event_id": new_id(),
            "event_type": "x",
            "body_enc": random_bytes,
            "state": "due",
            "next_attempt_at": now,
            "created_at": now,
        },
        "notification_channels": {"id": channel, "kind": "log", "name": "n", "min_level": "info"},
        "notifications": {
            "id": notification,
            "key_hash": random_bytes,
            "level": "info",
            "content_enc": random_bytes,
            "count": 1,
            "told": 1,
            "first_at": now,
            "last_at": now,
            "window_ends": now,
        },
        "notification_requests": {"event_id": new_id(), "notification_id": notification, "at": now},
        "notification_deliveries": {
            "id": new_id(),
            "notification_id": notification,
            "channel_id": channel,
            "repeats": 1,
            "state": "delivered",
            "next_attempt_at": now,
        },
        "audit_exports": {"sequence": 1},
        "retention": {"kind": "runs", "days": 1},
        "consents": {"id": new_id(), "contact_id": contact, "purpose": "news", "source": "form", "given_at": now},
        "tenant_quotas": {"kind": "runs", "allowed": 1},
        "quota_use": {"kind": "runs", "day": now.date(), "used": 1},
        "embeddings": {"model": "m", "text_hash": random_bytes, "vector": random_bytes, "expires_at": now},
    }
    with connect() as conn:
        for table, values in rows.items():
            names = sql.SQL(", ").join(map(sql.Identifier, ["tenant_id", *values]))
            placeholders = sql.SQL(", ").join([sql.Placeholder()] * (len(values) + 1))
            insert = sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table), names, placeholders)
            conn.execute(insert, [tenant, *values.values()])
        conn.execute(
            "insert into served_collections (name, stored_as, size, distance, lexical) "
            "values ('c', 'c-1', 8, 'Cosine', false) on conflict do nothing"
        )
        backup = UUID(int=1)
        conn.execute(
            "insert into backups (id, started_at, location) values (%s, now(), 's3://b/f') on conflict do nothing",
            [backup],
        )
        conn.execute(
            "insert into unclaimed_mail (id, object_key, recipients, reason, received_at) "
            "values (%s, 'ses/m', '{}', 'r', now()) on conflict do nothing",
            [backup],
        )
        conn.execute(
            "insert into metric_totals (name, labels, count, sum) values ('t', '{}', 1, 1) on conflict do nothing"
        )
        conn.execute("insert into metric_batches (id) values ('b') on conflict do nothing")
        conn.execute(
            "insert into backup_objects (backup_id, collection, part, after, position, key, points, checksum, bytes, "
            "sha256) values (%s, 'c', 0, '', 'p', 'k', 1, 1, 1, 'x') on conflict do nothing",
            [backup],
        )
