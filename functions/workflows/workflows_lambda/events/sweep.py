"""Finish interrupted work every minute: runs, approvals, waits and triggers that a process left half done."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.tenant_directory import TenantDirectory
from email_sender.errors import DomainError
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from workflows_lambda.bootstrap import approval_service, run_service, trigger_service, wait_service


@cache
def _directory() -> TenantDirectory:
    return TenantDirectory(platform_database())


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    changed = 0
    for tenant_id in _directory().tenants():
        try:
            changed += run_service().sweep(tenant_id) + approval_service().sweep(tenant_id)
            changed += trigger_service().apply_pending_changes(tenant_id) + wait_service().settle(tenant_id)
        except DomainError:
            # An error of one tenant must not stop the sweep of the others.
            logger.exception("The sweep of a tenant failed", tenant_id=str(tenant_id))
    return {"changed": changed}
