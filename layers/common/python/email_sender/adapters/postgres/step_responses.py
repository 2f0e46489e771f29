"""Responses to the requests of a running step in PostgreSQL. Implements workflows.ports.StepResponses."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from email_sender.adapters.postgres.database import Row
from email_sender.security.ports import TenantKeys

_CONTEXT = "step_responses.response"


class PostgresStepResponses:
    def __init__(self, conn: Connection[Row], tenant_id: UUID, keys: TenantKeys) -> None:
        self._conn, self._tenant_id, self._keys = conn, tenant_id, keys

    def read(self, run_id: UUID, step: str) -> tuple[datetime | None, Mapping[int, Mapping[str, Any]]]:
        rows = self._conn.execute(
            "select number, asked_at, response_enc from step_responses where run_id = %s and step = %s", [run_id, step]
        ).fetchall()
        responses = {
            row["number"]: json.loads(self._keys.decrypt(bytes(row["response_enc"]), _CONTEXT)) for row in rows
        }
        return rows[0]["asked_at"] if rows else None, responses

    def add(self, run_id: UUID, step: str, number: int, asked_at: datetime, response: Mapping[str, Any]) -> None:
        self._conn.execute(
            "insert into step_responses (tenant_id, run_id, step, number, asked_at, response_enc) "
            "values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                self._tenant_id,
                run_id,
                step,
                number,
                asked_at,
                self._keys.encrypt(json.dumps(response), _CONTEXT),
            ],
        )

    def remove(self, run_id: UUID) -> None:
        self._conn.execute("delete from step_responses where run_id = %s", [run_id])
