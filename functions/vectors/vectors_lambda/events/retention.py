"""Every day: delete what is older than its tenant keeps it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.kit.tasks.platform_step import has_time_left
from email_sender.kit.telemetry import logger

# A batch takes seconds at most.
_LAST_MILLISECONDS = 60_000


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    # Imported late, because the module loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.retention import retention_enforcer, tenants

    deleted = 0
    for tenant_id in tenants():
        try:
            counts = retention_enforcer().enforce(tenant_id, has_time_left(context, _LAST_MILLISECONDS))
        except Exception:
            # Of whatever kind: the others must not keep their old data because of one tenant.
            logger.exception("old data of a tenant could not be deleted", tenant_id=str(tenant_id))
            continue
        if any(counts.values()):
            extra = {str(kind): count for kind, count in counts.items()}
            logger.info("old data deleted", extra={**extra, "tenant_id": str(tenant_id)})
        deleted += sum(counts.values())
    return {"deleted": deleted}
