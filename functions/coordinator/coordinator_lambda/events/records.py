"""Every ten minutes: seal the audit log of each tenant, export it for a SIEM, and record erasures beside the backups.

`{"verify": true}` verifies the logs instead, and returns the problems by tenant (`make audit-verify`).
"""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import directory
from coordinator_lambda.bootstrap_security import audit_sealer, erasure_log, erasure_records, finding_exporter
from email_sender.adapters.postgres.database import admit_suspended
from email_sender.errors import DomainError
from email_sender.kit.system_clock import now
from email_sender.kit.tasks.platform_step import has_time_left
from email_sender.kit.telemetry import logger

# An export of a thousand entries takes a second at most.
_LAST_MILLISECONDS = 30_000


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # Suspended tenants too: their logs and their erased people stay protected.
    with admit_suspended():
        return _verify() if event.get("verify") else _write(has_time_left(context, _LAST_MILLISECONDS))


def _verify() -> dict[str, Any]:
    tenant_ids = directory().all_tenants()
    problems: dict[str, list[str]] = {}
    for tenant_id in tenant_ids:
        try:
            found = list(audit_sealer().verify(tenant_id))
        except DomainError as error:
            found = [f"The log could not be verified: {error.detail}"]
        if found:
            problems[str(tenant_id)] = found
    return {"verified": len(tenant_ids), "problems": problems}


def _write(is_time_left: Callable[[], bool]) -> dict[str, Any]:
    sealed = recorded = 0
    for tenant_id in directory().all_tenants():
        try:
            sealed += audit_sealer().seal(tenant_id)
            for erasure in erasure_log().unrecorded(tenant_id):
                # Put before it is marked: if the process dies in between, the same object is written again.
                erasure_records().put(erasure)
                erasure_log().mark_recorded(erasure, now())
                recorded += 1
        except DomainError:
            # An error of one tenant must not leave the others without seals.
            logger.exception("records of a tenant could not be written", tenant_id=str(tenant_id))
    return {"sealed": sealed, "recorded": recorded, "exported": _export(is_time_left)}


def _export(is_time_left: Callable[[], bool]) -> int:
    """Export for a SIEM, after what nobody must lose. What there is no time for is exported ten minutes later."""
    exporter, exported = finding_exporter(), 0
    if exporter is None:
        return 0
    for tenant_id in directory().all_tenants():
        try:
            exported += exporter.export(tenant_id, is_time_left)
        except DomainError:
            logger.exception("findings of a tenant could not be exported", tenant_id=str(tenant_id))
    return exported
