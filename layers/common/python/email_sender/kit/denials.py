"""Tell a tenant that one of its people was refused something: an event, which is in the audit log too."""

from uuid import NAMESPACE_URL, UUID, uuid5

from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.clock import Clock
from email_sender.coordination.events import EventFactory
from email_sender.errors import DomainError
from email_sender.kit.telemetry import count_denial, logger
from email_sender.security.permissions import Permission, Role


class Denials:
    """Counts every denial, and reports one a minute for each person and permission to the tenant."""

    def __init__(self, units: Units, events: EventFactory, now: Clock) -> None:
        self._units, self._events, self._now = units, events, now

    def report(self, tenant_id: UUID, subject: str, role: Role, permission: Permission, route: str) -> None:
        """Emit `access.denied`. If that fails, the request is refused all the same, and the log says so."""
        minute = int(self._now().timestamp()) // 60
        event_id = uuid5(NAMESPACE_URL, f"denial/{tenant_id}/{subject}/{permission}/{minute}")
        data = {"subject": subject, "role": str(role), "permission": str(permission), "route": route}
        event = self._events.build("access.denied", tenant_id, subject, data, event_id=event_id)
        count_denial()
        logger.warning("access denied", extra={**data, "tenant_id": str(tenant_id)})
        try:
            with self._units(tenant_id) as unit:
                unit.emit_once(event)
                unit.commit()
        except DomainError:
            logger.exception("the denial could not be reported")
