"""Settings of an earlier start hold again where the emulator of AWS was killed and forgot them.

The audit log has them: the database is not emulated. On AWS, Parameter Store forgets nothing.
"""

import json
from collections.abc import Callable
from typing import Any

import psycopg

from email_sender.adapters.ssm import SsmSettings
from email_sender.coordination.configuring import OBJECT
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.kit.live_settings import parameter_name

BY = "the local cloud, which had forgotten them"


def keep(client: Callable[[str], Any], database_url: str, stage: str) -> None:
    store = SsmSettings(lambda: client("ssm"), parameter_name(stage))
    if store.latest() is not None:
        return
    with psycopg.connect(database_url) as conn:
        row = conn.execute(
            "select details -> 'settings' from email_sender.audit_log where tenant_id = %s and object = %s "
            "and details ? 'settings' order by sequence desc limit 1",
            [PLATFORM_TENANT, OBJECT],
        ).fetchone()
    if row is not None:
        store.put(json.dumps(row[0], separators=(",", ":"), sort_keys=True), BY, None)
