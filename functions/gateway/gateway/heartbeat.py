"""Every minute: which parts of the platform answer, as the series email_sender_manager_status."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.coordination.health import State
from email_sender.kit.telemetry import logger, manager_status
from gateway.bootstrap import health_service

# A manager is as well as what it stands on; the gateway itself answers, or this would not run.
_STANDS_ON = {"central-coordinator": "postgresql", "vectorization": "qdrant"}


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    found = health_service().check().dependencies
    manager_status("api-gateway", active=True)
    for manager, dependency in _STANDS_ON.items():
        manager_status(manager, active=found[dependency] is State.UP)
    return {name: str(state) for name, state in found.items()}
