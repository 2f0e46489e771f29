"""Sending, exactly once.

The provider has no idempotency key, so the row is committed as `sending` before the call and settled after it:

    claim (commit) ── provider ── settle (commit)
                   A           B

Killed at A or at B the row is `sending` and its lease runs out; the next attempt cannot tell the two apart, calls it
`unknown` and never sends it again. The provider's own Send event, which carries our id, settles it; so can a person.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.coordination.events import Event
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.messaging import mime
from email_sender.messaging.model import Contact, Draft, Email, EmailStatus
from email_sender.messaging.ports import (
    MailProvider,
    MessagingUnit,
    MessagingUnits,
    SendRejected,
    SendThrottled,
    UnsubscribeLinks,
)
from email_sender.messaging.templates import content_hash
from email_sender.paging import Page
from email_sender.security.permissions import Permission, Role, allows

# Longer than one call of the provider can take with its timeouts; a live sender settles well before.
LEASE = timedelta(seconds=20)

_NOT_SETTLED = (EmailStatus.SENDING, EmailStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class SendOrder:
    """`role` is of the principal the run acts for; `lineage` are the runs it goes on from, the first of them first."""

    tenant_id: UUID
    run_id: UUID
    step: str
    draft_id: UUID
    role: Role
    lineage: Sequence[UUID] = ()

    @property
    def runs(self) -> Sequence[UUID]:
        """The newest first."""
        return (self.run_id, *reversed(self.lineage))


class SendService:
    def __init__(
        self,
        units: MessagingUnits,
        provider: MailProvider,
        links: UnsubscribeLinks,
        configuration_set: str,
        now: Now,
        new_id: NewId,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._units, self._provider, self._links = units, provider, links
        self._configuration_set, self._now, self._new_id, self._sleep = configuration_set, now, new_id, sleep

    def send(self, order: SendOrder) -> Email:
        """Send the draft, or say what became of it.

        Raises:
            Forbidden: the run's principal may not send, and nobody who may approved this draft as it is.
            RateLimited: the provider refused for now; nothing was sent.
            InvalidInput: the provider refused for good.
        """
        claimed, ours, raw, sender, recipient = self._claim(order)
        while not ours and claimed.status is EmailStatus.SENDING:
            # Another attempt is between claim and settlement, or died there: its lease tells which.
            remaining = (claimed.lease_until - self._now()).total_seconds()
            if remaining <= 0:
                return self._lost(order.tenant_id, claimed.id)
            self._sleep(min(remaining, 1.0))
            claimed, ours, raw, sender, recipient = self._claim(order)
        if not ours:
            return claimed
        try:
            provider_id = self._provider.send(raw, sender, recipient)
        except SendThrottled:
            self._settle(order.tenant_id, claimed.id, EmailStatus.QUEUED, error="throttled")
            raise RateLimited("The mail provider takes no more for now.") from None
        except SendRejected as error:
            self._settle(order.tenant_id, claimed.id, EmailStatus.REJECTED, error=str(error))
            raise InvalidInput(f"The mail provider refused the mail: {error}") from None
        except Unavailable:
            return self._settle(order.tenant_id, claimed.id, EmailStatus.UNKNOWN, error="no answer")
        return self._settle(order.tenant_id, claimed.id, EmailStatus.SENT, provider_id)

    def provider_said(
        self, tenant_id: UUID, email_id: UUID, status: EmailStatus, provider_id: str | None, detail: str | None
    ) -> None:
        """What the provider's own events say. Repeats and late ones change nothing."""
        self._settle(tenant_id, email_id, status, provider_id, detail)

    def decide(self, tenant_id: UUID, email_id: UUID, *, sent: bool) -> Email:
        """A person settles what nobody knows."""
        with self._units(tenant_id) as unit:
            email = unit.emails.get(email_id)
        if email is None:
            raise NotFound("There is no such email.")
        if email.status is not EmailStatus.UNKNOWN:
            raise Conflict(f"The email is {email.status}: only an unknown one is to be decided.")
        status = EmailStatus.SENT if sent else EmailStatus.REJECTED
        return self._settle(tenant_id, email_id, status, error=None if sent else "decided by a person: not sent")

    def page(self, tenant_id: UUID, before: UUID | None, limit: int) -> Page[Email]:
        with self._units(tenant_id) as unit:
            rows = unit.emails.page(before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def get(self, tenant_id: UUID, email_id: UUID) -> Email:
        with self._units(tenant_id) as unit:
            found = unit.emails.get(email_id)
        if found is None:
            raise NotFound("There is no such email.")
        return found

    def _claim(self, order: SendOrder) -> tuple[Email, bool, bytes, str, str]:
        now = self._now()
        with self._units(order.tenant_id) as unit:
            draft = unit.drafts.get(order.draft_id)
            if draft is None or draft.run_id not in order.runs:
                raise NotFound("There is no such draft in this run.")
            _authorise(unit, order, draft)
            contact = unit.contacts.get(draft.contact_id)
            if contact is None:
                raise NotFound("The contact is gone.")
            wanted = Email(
                id=self._new_id(),
                # A step sends to a contact once, in all of the runs.
                run_id=order.runs[-1],
                step=order.step,
                contact_id=contact.id,
                draft_id=draft.id,
                sha256=draft.sha256,
                status=EmailStatus.SENDING,
                lease_until=now + LEASE,
                created_at=now,
            )
            email, ours = unit.emails.claim(wanted)
            if not ours:
                return email, False, b"", "", ""
            if unit.suppressions.has(contact.address):
                unit.emails.settle(email.id, EmailStatus.SUPPRESSED, now, None, None)
                unit.emit(self._told(order.tenant_id, email, EmailStatus.SUPPRESSED))
                unit.commit()
                return replace(email, status=EmailStatus.SUPPRESSED), False, b"", "", ""
            sender = unit.mail_from()
            raw = self._raw(order.tenant_id, email, contact, draft, sender, now)
            unit.emit(self._told(order.tenant_id, email, EmailStatus.QUEUED))
            unit.commit()
        return email, True, raw, sender, contact.address

    def _raw(self, tenant_id: UUID, email: Email, contact: Contact, draft: Draft, sender: str, at: datetime) -> bytes:
        return mime.build(
            sender=sender,
            contact=contact,
            content=draft.content,
            unsubscribe_url=self._links.url(tenant_id, contact.id),
            email_id=email.id,
            tenant_id=tenant_id,
            configuration_set=self._configuration_set,
            at=at,
        )

    def _lost(self, tenant_id: UUID, email_id: UUID) -> Email:
        return self._settle(tenant_id, email_id, EmailStatus.UNKNOWN, error="the sender died before it could say")

    def _settle(
        self,
        tenant_id: UUID,
        email_id: UUID,
        status: EmailStatus,
        provider_id: str | None = None,
        error: str | None = None,
    ) -> Email:
        with self._units(tenant_id) as unit:
            email = unit.emails.get(email_id)
            if email is None:
                raise NotFound("There is no such email.")
            if not _may_become(email.status, status):
                return email
            now = self._now()
            unit.emails.settle(email.id, status, now, provider_id, error)
            if status is not EmailStatus.QUEUED:
                unit.emit(self._told(tenant_id, email, status))
            unit.commit()
        return replace(email, status=status, provider_message_id=provider_id or email.provider_message_id, error=error)

    def _told(self, tenant_id: UUID, email: Email, status: EmailStatus) -> Event:
        return Event(
            id=self._new_id(),
            type=f"email.{status}",
            area="messaging",
            tenant_id=tenant_id,
            aggregate_id=str(email.id),
            occurred_at=self._now(),
            correlation_id=str(email.run_id),
            data={"email_id": str(email.id), "run_id": str(email.run_id), "contact_id": str(email.contact_id)},
        )


def _may_become(status: EmailStatus, wanted: EmailStatus) -> bool:
    """Settlement only moves forward: a late Send event does not take back a delivery."""
    if wanted in (EmailStatus.SENT, EmailStatus.UNKNOWN, EmailStatus.REJECTED, EmailStatus.QUEUED):
        return status in _NOT_SETTLED and wanted is not status
    if wanted is EmailStatus.DELIVERED:
        return status in (*_NOT_SETTLED, EmailStatus.SENT)
    if wanted is EmailStatus.BOUNCED:
        return status in (*_NOT_SETTLED, EmailStatus.SENT, EmailStatus.DELIVERED)
    return status not in (EmailStatus.COMPLAINED, EmailStatus.SUPPRESSED, EmailStatus.REJECTED)


def _authorise(unit: MessagingUnit, order: SendOrder, draft: Draft) -> None:
    if content_hash(draft.contact_id, draft.content) != draft.sha256:
        raise Forbidden("The draft is not what was stored.")
    # The last run that asked is who was answered.
    asked = (unit.drafts.approvals_of(run, draft.id) for run in order.runs)
    approvals = next((found for found in asked if found), ())
    if any(each.status != "approved" for each in approvals):
        raise Forbidden("The draft was shown for approval and not approved.")
    if any(each.sha256 != draft.sha256 for each in approvals):
        raise Forbidden("The draft is not what was approved.")
    approved = any(each.role and allows(Role(each.role), Permission.MESSAGING_SEND) for each in approvals)
    if not approved and not allows(order.role, Permission.MESSAGING_SEND):
        raise Forbidden(
            "The run acts for somebody without messaging:send, and nobody who has it approved this draft in this run."
        )
