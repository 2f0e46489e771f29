"""Events told again, to chosen consumers alone: from what is stored, by the rules that first told them.

Every consumer does once what an event asks for, by the event's id: told again, it does what it missed and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.auditing import AuditEntry
from email_sender.coordination.events import StoredEvent
from email_sender.errors import Conflict, InvalidInput
from email_sender.paging import Page

# Of events; each may match several rules, and the caller waits.
PAGE = 100


@dataclass(frozen=True, slots=True)
class Range:
    """Events of `start` ≤ occurred_at < `end`, of these types and this tenant where they are given."""

    start: datetime
    end: datetime
    types: Sequence[str] = ()
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """By whom, and how. `force` lets consumers have it that may send mail."""

    subject: str
    at: datetime
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """`messages`: by consumer, how many it was (or would be) given."""

    events: int
    messages: Mapping[str, int] = field(default_factory=dict)
    next_cursor: str | None = None


class EventHistory(Protocol):
    def between(self, wanted: Range, cursor: str | None, limit: int) -> Page[StoredEvent]:
        """The oldest first."""

    def accounts_of(self, events: Sequence[StoredEvent]) -> Mapping[UUID, str]:
        """From which account other systems' events came, where their source is registered."""


class Consumers(Protocol):
    def names(self) -> Sequence[str]: ...

    def may_send_mail(self, name: str) -> bool: ...

    def messages(self, name: str, envelopes: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """What its queue would hold of these events, by its own rules. Raises Unavailable."""

    def send(self, name: str, messages: Sequence[str]) -> None:
        """Raises Unavailable."""


class Replay:
    def __init__(
        self,
        history: EventHistory,
        consumers: Consumers,
        audit: Callable[[AuditEntry], None],
        account: str,
        region: str,
    ) -> None:
        """`account` and `region` are our own bus's."""
        self._history, self._consumers, self._audit = history, consumers, audit
        self._account, self._region = account, region

    def __call__(self, wanted: Range, names: Sequence[str], cursor: str | None, asked: Asked) -> Told:
        """One page. A cursor that is used again tells the same again.

        Raises:
            InvalidInput: a range that is none, a consumer that is none.
            Conflict: one that may send mail, without `force`.
            Unavailable: some may have been told; the audit log says that it was asked for.
        """
        self._check(wanted, names, force=asked.force)
        page = self._history.between(wanted, cursor, PAGE)
        accounts = self._history.accounts_of(page.items)
        envelopes = [self._envelope(each, accounts.get(each.id, self._account)) for each in page.items]
        told = {name: self._consumers.messages(name, envelopes) for name in names}
        counts = {name: len(each) for name, each in told.items()}
        if not asked.dry_run:
            self._audit(_entry(wanted, cursor, asked, len(page.items), counts))
            for name, messages in told.items():
                self._consumers.send(name, messages)
        return Told(len(page.items), counts, page.next_cursor)

    def _check(self, wanted: Range, names: Sequence[str], *, force: bool) -> None:
        if wanted.start >= wanted.end:
            raise InvalidInput.at("/from", "The range ends before it begins.")
        known = self._consumers.names()
        if unknown := sorted(set(names) - set(known)):
            named = ", ".join(unknown)
            raise InvalidInput.at("/consumers", f"There is no consumer {named}. There are: {', '.join(known)}.")
        if (senders := sorted(name for name in names if self._consumers.may_send_mail(name))) and not force:
            raise Conflict(f"{', '.join(senders)} may send mail: ask with force=true if that is meant.")

    def _envelope(self, event: StoredEvent, account: str) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(event.id),
            "detail-type": event.type,
            "source": event.source,
            "account": account,
            "time": event.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [],
            "detail": {**event.payload, "replayed": True},
        }


def _entry(wanted: Range, cursor: str | None, asked: Asked, events: int, messages: Mapping[str, int]) -> AuditEntry:
    details = {
        "from": wanted.start.isoformat(),
        "to": wanted.end.isoformat(),
        "types": list(wanted.types),
        "of_tenant": str(wanted.tenant_id) if wanted.tenant_id else None,
        "cursor": cursor,
        "force": asked.force,
        "events": events,
        "messages": dict(messages),
    }
    return AuditEntry(asked.at, asked.subject, "events.replay", "events", details)
