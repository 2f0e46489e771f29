"""Every minute and after a deployment: look at every manager, finish stops and starts, say how each is.

Whoever may invoke this function may also stop and start by it, when nobody can sign in:
`{"start": "security-manager"}`.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator.bootstrap import announce_ready, configuration, lifecycle, observer, platform
from email_sender.adapters.postgres.managers import clock_rang
from email_sender.coordination.registry import MANAGERS, Kind
from email_sender.errors import DomainError
from email_sender.kit.telemetry import logger, manager_status

_BY_HAND = "invoked by hand"
_DEPLOYED_BY = "aws.cloudformation"
_CORE = frozenset(each.name for each in MANAGERS if each.kind is Kind.CORE)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    if "start" in event:
        lifecycle().start(str(event["start"]), _BY_HAND, cascade=True)
    elif "stop" in event:
        lifecycle().stop(str(event["stop"]), _BY_HAND, cascade=True)
    else:
        if event.get("source") != _DEPLOYED_BY:
            clock_rang(platform())
        lifecycle().settle()
        _reconcile()
        _tell_settings()
    states = observer().observe()
    if all(each.status.active for each in states if each.name in _CORE):
        announce_ready()
    for each in states:
        manager_status(each.name, active=each.status.active)
    return {each.name: each.status.value for each in states}


def _reconcile() -> None:
    try:
        if corrected := lifecycle().reconcile():
            logger.warning("queues and clocks were not as they are wanted", managers=corrected)
    except DomainError:
        # A manager that is degraded for it says so; the next minute tries again.
        logger.exception("queues and clocks may not be as they are wanted")


def _tell_settings() -> None:
    """Changes whose process died before the audit log had them, and those that were written past us."""
    try:
        if told := configuration().settle():
            logger.info("changes of settings told", count=told)
    except DomainError:
        # The next minute tells them; what is seen of the managers does not wait for it.
        logger.exception("changes of settings are not told yet")
