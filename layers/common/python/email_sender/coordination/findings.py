"""The audit log for a SIEM: entries as Detection Findings of the Open Cybersecurity Schema Framework (OCSF 1.5).

https://schema.ocsf.io/1.5.0/classes/detection_finding
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.coordination.audit import AuditEntry

_CLASS, _CATEGORY, _CREATE = 2004, 2, 1
_INFORMATIONAL, _LOW, _MEDIUM = 1, 2, 3
# What somebody should look at; everything else is for the record.
_SEVERITIES = {
    "access.denied": _MEDIUM,
    "tenant.deletion_scheduled": _MEDIUM,
    "tenant.deleted": _MEDIUM,
    "tenant.suspended": _MEDIUM,
    "member.second_factor_reset": _MEDIUM,
    "member.role": _LOW,
    "member.invite": _LOW,
    "member.remove": _LOW,
    "contact.exported": _LOW,
    "contact.erased": _LOW,
    "webhook.secret": _LOW,
    "webhook.created": _LOW,
    "webhook.secret_changed": _LOW,
    "key.rotation_requested": _LOW,
    "retention.changed": _LOW,
    "tenant.quota_changed": _LOW,
}
_BATCH = 1_000

type Numbered = tuple[int, AuditEntry]


class ExportedLog(Protocol):
    def unexported(self, tenant_id: UUID, limit: int) -> Sequence[Numbered]:
        """Return the entries that were not exported yet, oldest first, with their numbers."""
        ...

    def mark_exported(self, tenant_id: UUID, sequence: int) -> None:
        """Record that entries up to this one were exported."""


# Stores lines of JSON as one object. (tenant, first number, last number, lines)
type PutFindings = Callable[[UUID, int, int, Sequence[dict[str, Any]]], None]


class FindingExporter:
    """An object is stored before its entries are marked: if the process dies in between, it is stored again."""

    def __init__(self, log: ExportedLog, put: PutFindings, version: str, now: Clock) -> None:
        self._log, self._put, self._version, self._now = log, put, version, now

    def export(self, tenant_id: UUID, is_time_left: Callable[[], bool] = lambda: True) -> int:
        """Export what is new in a tenant's log, while there is time. Returns how many entries."""
        count = 0
        while is_time_left() and (entries := self._log.unexported(tenant_id, _BATCH)):
            first, last = entries[0][0], entries[-1][0]
            findings = [finding(tenant_id, sequence, entry, self._version) for sequence, entry in entries]
            self._put(tenant_id, first, last, findings)
            self._log.mark_exported(tenant_id, last)
            count += len(entries)
        return count


def finding(tenant_id: UUID, sequence: int, entry: AuditEntry, version: str) -> dict[str, Any]:
    """Return an audit entry as an OCSF Detection Finding. `time` is in milliseconds of Unix time."""
    # The log names an invited person by address. Findings outlive people, and leave it out.
    object_name = "[address]" if "@" in entry.object else entry.object
    at = int(entry.at.timestamp() * 1000)
    uid = f"{tenant_id}/{sequence}"
    return {
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "activity_id": _CREATE,
        "activity_name": "Create",
        "type_uid": _CLASS * 100 + _CREATE,
        "severity_id": _SEVERITIES.get(entry.action, _INFORMATIONAL),
        "status_id": 1,
        "time": at,
        "message": f"{entry.subject}: {entry.action} {object_name}",
        "metadata": {
            "version": "1.5.0",
            "product": {"name": "Email Sender", "vendor_name": "Email Sender", "version": version},
            "uid": uid,
            "event_code": entry.action,
            "tenant_uid": str(tenant_id),
            "sequence": sequence,
            "log_name": "audit_log",
        },
        "finding_info": {"uid": uid, "title": entry.action, "created_time": at, "types": [entry.action]},
        "evidences": [{"actor": {"user": {"uid": entry.subject}}}],
        "unmapped": {"object": object_name, "details": dict(entry.details)},
    }
