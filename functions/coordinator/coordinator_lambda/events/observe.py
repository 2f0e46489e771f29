"""Every minute and after a deployment: checks every manager, finishes stops and starts, and publishes each status.

Whoever may invoke this function may also stop and start managers with it, even if nobody can sign in:
`{"start": "security-manager"}`.
"""

from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import configuration, lifecycle, observer, platform, publish_ready_event
from coordinator_lambda.manager_checks import GAUGES
from email_sender.adapters.postgres.managers import record_clock_tick
from email_sender.coordination.lifecycle import State, Status
from email_sender.coordination.registry import MANAGERS, Kind
from email_sender.errors import DomainError
from email_sender.kit.telemetry import logger, record_gauge, record_manager_status

_MANUAL_INVOCATION = "invoked manually"
_CLOUDFORMATION = "aws.cloudformation"
_COORDINATOR = "central-coordinator"
_CORE = frozenset(manager.name for manager in MANAGERS if manager.kind is Kind.CORE)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    # A request that is refused, such as for an unknown manager, says nothing about the platform.
    if "start" in event:
        lifecycle().start(str(event["start"]), _MANUAL_INVOCATION, cascade=True)
    elif "stop" in event:
        lifecycle().stop(str(event["stop"]), _MANUAL_INVOCATION, cascade=True)
    try:
        if not event.keys() & {"start", "stop"}:
            _tidy(by_clock=event.get("source") != _CLOUDFORMATION)
        return _observe()
    except Exception:
        # Without the database no state is stored, but the alarm ManagerDown must know within minutes.
        record_manager_status(_COORDINATOR, active=False)
        raise


def _tidy(*, by_clock: bool) -> None:
    if by_clock:
        record_clock_tick(platform())
    lifecycle().apply_desired_states()
    _reconcile()
    _audit_settings()


def _observe() -> dict[str, str]:
    states = observer().observe()
    if all(state.status.is_active for state in states if state.name in _CORE):
        publish_ready_event()
    _record_metrics(states)
    return {state.name: state.status.value for state in states}


def _record_metrics(states: Sequence[State]) -> None:
    for state in states:
        # A part that is not configured, such as tracing that is off, is not down.
        if state.status is not Status.NOT_CONFIGURED:
            record_manager_status(state.name, active=state.status.is_active)
        for figure, metric in GAUGES.items():
            if state.figures.get(figure) is not None:
                record_gauge(metric, float(state.figures[figure]))


def _reconcile() -> None:
    try:
        if corrected := lifecycle().reconcile():
            logger.warning("queues and schedules corrected to the desired state", managers=corrected)
    except DomainError:
        # The manager is then reported as degraded, and the next minute tries again.
        logger.exception("queues and schedules not corrected to the desired state")


def _audit_settings() -> None:
    """Audit the changes whose process died before the audit, and those that were written directly to the store."""
    try:
        if count := configuration().audit_pending_versions():
            logger.info("settings versions audited", count=count)
    except DomainError:
        # The next minute tries again. Observing the managers must not wait for the audit.
        logger.exception("settings versions not audited yet")
