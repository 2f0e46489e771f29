"""Restore the platform's settings after the AWS emulator was killed and lost them.

They are read from the audit log, because the database is not emulated. On AWS, Parameter Store keeps them.
"""

import json
from collections.abc import Callable
from typing import Any

import psycopg

from email_sender.adapters.aws.ssm import SsmSettings
from email_sender.coordination.configuration import AUDIT_OBJECT
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.live_settings import parameter_name

RESTORED_BY = "the local cloud (restored)"


def restore_settings(client: Callable[[str], Any], database_url: str, stage: str) -> None:
    """Store the last settings of the audit log in Parameter Store if it has none."""
    store = SsmSettings(lambda: client("ssm"), parameter_name(stage))
    if store.latest() is not None:
        return
    with psycopg.connect(database_url) as conn:
        row = conn.execute(
            "select details -> 'settings' from email_sender.audit_log where tenant_id = %s and object = %s "
            "and details ? 'settings' order by sequence desc limit 1",
            [PLATFORM_TENANT, AUDIT_OBJECT],
        ).fetchone()
    if row is not None:
        store.put(json.dumps(row[0], separators=(",", ":"), sort_keys=True), RESTORED_BY, None)
