"""Replays stored events to selected consumers, and only to them, by the consumers' own event rules.

Consumers recognise an event by its id: a replay makes them do only the work that they missed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.audit import AuditEntry
from email_sender.coordination.events import StoredEvent
from email_sender.errors import Conflict, InvalidInput
from email_sender.paging import Page

# Events in a page. Each event may match several rules, and the caller waits for the response.
PAGE = 100


@dataclass(frozen=True, slots=True)
class EventRange:
    """Events with `start` ≤ occurred_at < `end`; `types` and `tenant_id` restrict them further if they are set."""

    start: datetime
    end: datetime
    types: Sequence[str] = ()
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Who requests the replay, and how. `force` allows consumers that may send mail."""

    subject: str
    at: datetime
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`messages` counts by consumer the messages that were sent or, in a dry run, would be sent."""

    events: int
    messages: Mapping[str, int] = field(default_factory=dict)
    next_cursor: str | None = None


class EventHistory(Protocol):
    def page(self, event_range: EventRange, cursor: str | None, limit: int) -> Page[StoredEvent]:
        """Return a page of the events in the range, oldest first."""

    def accounts_of(self, events: Sequence[StoredEvent]) -> Mapping[UUID, str]:
        """Return the AWS account of each event that comes from another system's registered source."""


class Consumers(Protocol):
    def names(self) -> Sequence[str]: ...

    def may_send_mail(self, name: str) -> bool: ...

    def messages(self, name: str, envelopes: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Return the messages that the consumer's queue gets for these events by its rules. Raises Unavailable."""

    def send(self, name: str, messages: Sequence[str]) -> None:
        """Send the messages to the consumer's queue. Raises Unavailable."""


class Replay:
    def __init__(
        self,
        history: EventHistory,
        consumers: Consumers,
        audit: Callable[[AuditEntry], None],
        account: str,
        region: str,
    ) -> None:
        """`account` and `region` are those of the platform's bus."""
        self._history, self._consumers, self._audit = history, consumers, audit
        self._account, self._region = account, region

    def __call__(
        self, event_range: EventRange, consumer_names: Sequence[str], cursor: str | None, options: ReplayOptions
    ) -> ReplayResult:
        """Replay one page. The same cursor replays the same page again.

        Raises:
            InvalidInput: the range is empty, or a consumer does not exist.
            Conflict: a consumer may send mail, and `force` is not set.
            Unavailable: some messages may have been sent; the audit log has the request.
        """
        self._validate(event_range, consumer_names, force=options.force)
        page = self._history.page(event_range, cursor, PAGE)
        accounts = self._history.accounts_of(page.items)
        envelopes = [self._envelope(event, accounts.get(event.id, self._account)) for event in page.items]
        messages_by_consumer = {name: self._consumers.messages(name, envelopes) for name in consumer_names}
        counts = {name: len(consumer_messages) for name, consumer_messages in messages_by_consumer.items()}
        if not options.dry_run:
            self._audit(_build_audit_entry(event_range, cursor, options, len(page.items), counts))
            for name, messages in messages_by_consumer.items():
                self._consumers.send(name, messages)
        return ReplayResult(len(page.items), counts, page.next_cursor)

    def _validate(self, event_range: EventRange, consumer_names: Sequence[str], *, force: bool) -> None:
        if event_range.start >= event_range.end:
            raise InvalidInput.at("/from", "The range must start before it ends.")
        known_consumers = self._consumers.names()
        if unknown := sorted(set(consumer_names) - set(known_consumers)):
            unknown_names = ", ".join(unknown)
            raise InvalidInput.at(
                "/consumers", f"Unknown consumers: {unknown_names}. Known consumers: {', '.join(known_consumers)}."
            )
        if (senders := sorted(name for name in consumer_names if self._consumers.may_send_mail(name))) and not force:
            raise Conflict(f"{', '.join(senders)} may send mail. Use force=true if that is intended.")

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


def _build_audit_entry(
    event_range: EventRange, cursor: str | None, options: ReplayOptions, events: int, messages: Mapping[str, int]
) -> AuditEntry:
    details = {
        "from": event_range.start.isoformat(),
        "to": event_range.end.isoformat(),
        "types": list(event_range.types),
        "of_tenant": str(event_range.tenant_id) if event_range.tenant_id else None,
        "cursor": cursor,
        "force": options.force,
        "events": events,
        "messages": dict(messages),
    }
    return AuditEntry(options.at, options.subject, "events.replay", "events", details)
