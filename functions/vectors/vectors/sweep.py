"""Every minute: imports and jobs that the engine lost."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.adapters.postgres.directory import Directory
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import DomainError
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from vectors.bootstrap import import_service, job_service


@cache
def _directory() -> Directory:
    return Directory(platform_database())


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    started = 0
    jobs = [(PLATFORM_TENANT, job_service().sweep)]
    imports = [(tenant_id, import_service().sweep) for tenant_id in _directory().tenants()]
    for tenant_id, sweep in (*jobs, *imports):
        try:
            started += sweep(tenant_id)
        except DomainError:
            # One tenant's trouble is not another's.
            logger.exception("a tenant's sweep failed", tenant_id=str(tenant_id))
    return {"started": started}
