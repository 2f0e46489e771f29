"""Every ten minutes: seal the audit log of each tenant, and record erasures beside the backups.

`{"verify": true}` verifies the logs instead, and returns the problems by tenant (`make audit-verify`).
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import audit_sealer, directory, erasure_log, erasure_records
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.system_clock import now
from email_sender.kit.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    tenant_ids = [PLATFORM_TENANT, *directory().tenants()]
    if event.get("verify"):
        problems = {str(tenant_id): list(audit_sealer().verify(tenant_id)) for tenant_id in tenant_ids}
        return {"verified": len(problems), "problems": {tenant: found for tenant, found in problems.items() if found}}
    sealed = recorded = 0
    for tenant_id in tenant_ids:
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
    return {"sealed": sealed, "recorded": recorded}
