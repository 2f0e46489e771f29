"""Lambda on a schedule, each minute: restart imports and jobs whose state machine execution was lost, and delete the
points and files of deleted contacts."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from vectors_lambda.bootstrap.core import contact_cleaner, import_service, job_service


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    started_count = cleaned_count = 0
    jobs = [(PLATFORM_TENANT, job_service().sweep)]
    tenant_ids = _directory().tenants()
    imports = [(tenant_id, import_service().sweep) for tenant_id in tenant_ids]
    for tenant_id, sweep in (*jobs, *imports):
        try:
            started_count += sweep(tenant_id)
        except DomainError:
            # An error of one tenant must not stop the sweep of the others.
            logger.exception("sweep of a tenant failed", tenant_id=str(tenant_id))
    for tenant_id in tenant_ids:
        try:
            cleaned_count += contact_cleaner().sweep(tenant_id)
        except DomainError:
            logger.exception("cleaning up after deleted contacts failed", tenant_id=str(tenant_id))
    return {"started": started_count, "cleaned": cleaned_count}
