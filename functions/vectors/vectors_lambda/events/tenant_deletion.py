"""Every hour: delete the tenants whose grace period has ended, with all that they have."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.database import admit_suspended
from email_sender.kit.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    # Imported late, because the module loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.tenants import tenant_deletion

    deleted = 0
    with admit_suspended():
        for tenant_id in tenant_deletion().due():
            try:
                rows = tenant_deletion().delete(tenant_id)
            except Exception:
                # Of whatever kind: it stays due, and must not keep the others.
                logger.exception("a tenant could not be deleted", tenant_id=str(tenant_id))
                continue
            logger.info("tenant deleted", tenant_id=str(tenant_id), rows=rows)
            deleted += 1
    return {"deleted": deleted}
