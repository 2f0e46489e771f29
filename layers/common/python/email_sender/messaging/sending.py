"""Send each email exactly once.

The provider has no idempotency key, so the row is committed as `sending` before the call and settled after it:

    claim (commit) ── provider ── settle (commit)
                   A           B

If the process dies at A or at B, the row stays `sending` until its lease expires. The next attempt cannot tell the two
apart, marks the email `unknown` and never sends it again. The provider's own Send event, which carries the email's id,
settles it; a person can also settle it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.coordination.events import Event, EventFactory
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, RateLimited, Unavailable
from email_sender.messaging import outgoing_mail
from email_sender.messaging.email_status import can_change
from email_sender.messaging.model import (
    Contact,
    Draft,
    DraftApproval,
    Email,
    EmailFilter,
    EmailStatus,
    Suppression,
    SuppressionReason,
)
from email_sender.messaging.ports import (
    MailProvider,
    MessagingUnit,
    MessagingUnits,
    SendRejected,
    SendThrottled,
    UnsubscribeLinks,
)
from email_sender.messaging.reasons import LEFT_OUT
from email_sender.messaging.templates import content_hash
from email_sender.paging import Page
from email_sender.security.permissions import Permission, Role, allows
from email_sender.security.quotas import QuotaKind

# Longer than one call to the provider can take with its timeouts; a live sender settles well before.
LEASE = timedelta(seconds=20)
_GUARDED_TIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SendOrder:
    """A request of a run to send a draft.

    `role` is the role of the principal that the run acts for. `lineage` lists the runs that it continues, oldest
    first.
    """

    tenant_id: UUID
    run_id: UUID
    step: str
    draft_id: UUID
    role: Role
    lineage: Sequence[UUID] = ()

    @property
    def runs(self) -> Sequence[UUID]:
        """This run and its lineage, newest first."""
        return (self.run_id, *reversed(self.lineage))


@dataclass(frozen=True, slots=True)
class _RawMail:
    raw: bytes
    sender: str
    recipient: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """The email of an order. `mail` is set if this attempt claimed it and must send it."""

    email: Email
    mail: _RawMail | None


class SendService:
    """Sends drafts and settles emails."""

    def __init__(
        self,
        units: MessagingUnits,
        provider: MailProvider,
        links: UnsubscribeLinks,
        configuration_set: str,
        now: Clock,
        new_id: IdFactory,
        sleep: Callable[[float], None] = time.sleep,
        *,
        message_id_domain: str = "email.amazonses.com",
        max_automatic: Callable[[], int] = lambda: 10,
    ) -> None:
        """`message_id_domain`: SES gives each mail the Message-ID `<its id>@<this domain>`.

        `max_automatic`: how many emails a contact gets from workflows within an hour if no person approves them.
        """
        self._message_id_domain, self._max_automatic = message_id_domain, max_automatic
        self._units, self._provider, self._links = units, provider, links
        self._configuration_set, self._now, self._new_id, self._sleep = configuration_set, now, new_id, sleep
        self._events = EventFactory("messaging", now, new_id)

    def send(self, order: SendOrder) -> Email:
        """Send the draft, or return the email of an earlier attempt.

        Raises:
            Forbidden: the run's principal may not send, and nobody who may send approved this draft as it is.
            RateLimited: the provider refused the email temporarily, or the tenant may send no more today; nothing was
                sent.
            InvalidInput: the provider refused the email permanently.
        """
        claim = self._claim(order)
        while claim.mail is None and claim.email.status is EmailStatus.SENDING:
            # Another attempt is between claim and settlement, or died there. Its lease tells which.
            remaining = (claim.email.lease_until - self._now()).total_seconds()
            if remaining <= 0:
                return self._mark_unknown(order.tenant_id, claim.email.id)
            self._sleep(min(remaining, 1.0))
            claim = self._claim(order)
        email, mail = claim.email, claim.mail
        if mail is None:
            return email
        try:
            provider_id = self._provider.send(mail.raw, mail.sender, mail.recipient)
        except SendThrottled as error:
            self._settle(order.tenant_id, email.id, EmailStatus.QUEUED, error=f"not sent yet: {error}")
            raise RateLimited(f"The mail provider does not accept the email now: {error}. Try again later.") from None
        except SendRejected as error:
            self._settle(order.tenant_id, email.id, EmailStatus.REJECTED, error=str(error))
            raise InvalidInput(f"The mail provider rejected the mail: {error}.") from None
        except Unavailable:
            return self._settle(order.tenant_id, email.id, EmailStatus.UNKNOWN, error="the provider did not answer")
        return self._settle(order.tenant_id, email.id, EmailStatus.SENT, provider_id)

    def settle_unknown(self, tenant_id: UUID, email_id: UUID, *, was_sent: bool) -> Email:
        """Settle an email that is `unknown`, as a person decided."""
        with self._units(tenant_id) as unit:
            email = unit.emails.get(email_id)
        if email is None:
            raise NotFound("Email not found.")
        if email.status is not EmailStatus.UNKNOWN:
            raise Conflict(f"The email is {email.status}. Only an unknown email can be settled.")
        status = EmailStatus.SENT if was_sent else EmailStatus.REJECTED
        return self._settle(tenant_id, email_id, status, error=None if was_sent else "settled by a person: not sent")

    def page(self, tenant_id: UUID, email_filter: EmailFilter, before: UUID | None, limit: int) -> Page[Email]:
        with self._units(tenant_id) as unit:
            rows = unit.emails.page(email_filter, before, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def get(self, tenant_id: UUID, email_id: UUID) -> Email:
        with self._units(tenant_id) as unit:
            email = unit.emails.get(email_id)
        if email is None:
            raise NotFound("Email not found.")
        return email

    def _claim(self, order: SendOrder) -> "_Claim":
        now = self._now()
        with self._units(order.tenant_id) as unit:
            draft = unit.drafts.get(order.draft_id)
            if draft is None or draft.run_id not in order.runs:
                raise NotFound("Draft not found in this run.")
            is_automatic = not _authorise(unit, order, draft)
            contact = unit.contacts.get(draft.contact_id)
            if contact is None:
                raise NotFound("The contact no longer exists.")
            new_email = Email(
                id=self._new_id(),
                # A step sends to a contact once across all runs of the lineage.
                run_id=order.runs[-1],
                step=order.step,
                contact_id=contact.id,
                draft_id=draft.id,
                sha256=draft.sha256,
                status=EmailStatus.SENDING,
                lease_until=now + LEASE,
                created_at=now,
            )
            email, may_send = unit.emails.claim(new_email)
            if not may_send:
                return _Claim(email, None)
            if _is_left_out(unit, order, draft):
                return self._reject(unit, order, email, LEFT_OUT)
            suppression = unit.suppressions.find(contact.address)
            if suppression is not None:
                reason = _describe(suppression)
                unit.emails.settle(email.id, EmailStatus.SUPPRESSED, now, None, reason)
                unit.emit(self._build_event(order.tenant_id, email, EmailStatus.SUPPRESSED))
                unit.commit()
                return _Claim(replace(email, status=EmailStatus.SUPPRESSED, error=reason), None)
            sender = unit.mail_from()
            if is_automatic and unit.emails.count_since(contact.id, now - _GUARDED_TIME) > self._max_automatic():
                return self._stop_loop(unit, order, email)
            raw = self._build_raw_mail(unit, order, email, contact, draft, is_automatic=is_automatic)
            if email.id == new_email.id:
                # An email that the provider throttled was counted at its first attempt.
                unit.spend(QuotaKind.EMAILS)
            unit.emit(self._build_event(order.tenant_id, email, EmailStatus.QUEUED))
            unit.commit()
        recipient = outgoing_mail.ascii_address(contact.address)
        return _Claim(email, _RawMail(raw, outgoing_mail.sender_address(sender), recipient))

    def _build_raw_mail(
        self,
        unit: MessagingUnit,
        order: SendOrder,
        email: Email,
        contact: Contact,
        draft: Draft,
        *,
        is_automatic: bool,
    ) -> bytes:
        envelope = outgoing_mail.Envelope(
            sender=unit.mail_from(),
            unsubscribe_url=self._links.url(order.tenant_id, contact.id),
            email_id=email.id,
            tenant_id=order.tenant_id,
            configuration_set=self._configuration_set,
            at=self._now(),
            references=self._conversation(unit, draft),
            is_automatic=is_automatic,
        )
        return outgoing_mail.build(envelope, contact, draft.content)

    def _conversation(self, unit: MessagingUnit, draft: Draft) -> Sequence[str]:
        """Return the Message-IDs of the email that the draft follows, and of the contact's message after it."""
        earlier = unit.emails.get(draft.follows) if draft.follows else None
        references = []
        if earlier is not None and earlier.provider_message_id is not None:
            provider_id = earlier.provider_message_id
            references.append(provider_id if "@" in provider_id else f"{provider_id}@{self._message_id_domain}")
        last = draft.answers or (earlier.reply_id if earlier and references else None)
        messages = unit.messages.get_many([last] if last else [])
        return [*references, *(message.message_id for message in messages if message.message_id)]

    def _stop_loop(self, unit: MessagingUnit, order: SendOrder, email: Email) -> "_Claim":
        """Reject an automatic email: two programs that answer each other would never end."""
        reason = f"not sent: this contact got {self._max_automatic()} emails within the last hour (loop guard)"
        return self._reject(unit, order, email, reason)

    def _reject(self, unit: MessagingUnit, order: SendOrder, email: Email, reason: str) -> "_Claim":
        unit.emails.settle(email.id, EmailStatus.REJECTED, self._now(), None, reason)
        unit.emit(self._build_event(order.tenant_id, email, EmailStatus.REJECTED))
        unit.commit()
        return _Claim(replace(email, status=EmailStatus.REJECTED, error=reason), None)

    def _mark_unknown(self, tenant_id: UUID, email_id: UUID) -> Email:
        return self._settle(tenant_id, email_id, EmailStatus.UNKNOWN, error="the sender stopped unexpectedly")

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
                raise NotFound("Email not found.")
            if not can_change(email, status):
                return email
            now = self._now()
            unit.emails.settle(email.id, status, now, provider_id, error)
            if status is not EmailStatus.QUEUED:
                unit.emit(self._build_event(tenant_id, email, status))
            unit.commit()
        return replace(email, status=status, provider_message_id=provider_id or email.provider_message_id, error=error)

    def _build_event(self, tenant_id: UUID, email: Email, status: EmailStatus) -> Event:
        data = {"email_id": str(email.id), "run_id": str(email.run_id), "contact_id": str(email.contact_id)}
        return self._events.build(f"email.{status}", tenant_id, email.id, data, correlation_id=email.run_id)


def _approvals_of(unit: MessagingUnit, order: SendOrder, draft: Draft) -> Sequence[DraftApproval]:
    """Return the approvals of the newest run that has any: they are decisive."""
    approvals_by_run = (unit.drafts.approvals_of(run, draft.id) for run in order.runs)
    return next((approvals for approvals in approvals_by_run if approvals), ())


def _is_left_out(unit: MessagingUnit, order: SendOrder, draft: Draft) -> bool:
    return any(approval.left_out for approval in _approvals_of(unit, order, draft))


def _authorise(unit: MessagingUnit, order: SendOrder, draft: Draft) -> bool:
    """Check that the order may send the draft. Returns whether a person approved it."""
    if any(message.contact_id != draft.contact_id for message in unit.messages.get_many(draft.evidence)):
        raise Forbidden("The draft quotes a message that its contact did not write.")
    if content_hash(draft.contact_id, draft.content) != draft.sha256:
        raise Forbidden("The draft does not match its stored hash.")
    approvals = _approvals_of(unit, order, draft)
    if any(approval.status != "approved" for approval in approvals):
        raise Forbidden("The draft was submitted for approval and is not approved.")
    if any(approval.sha256 != draft.sha256 for approval in approvals):
        raise Forbidden("The draft has changed since it was approved.")
    has_sender_approval = any(
        approval.role and allows(Role(approval.role), Permission.MESSAGING_SEND) for approval in approvals
    )
    if not has_sender_approval and not allows(order.role, Permission.MESSAGING_SEND):
        raise Forbidden(
            "The run's principal does not have the permission messaging:send, and no approver with this permission "
            "approved this draft in this run."
        )
    return bool(approvals)


def _describe(suppression: Suppression) -> str:
    """Return why the address gets no email, such as "suppressed: unsubscribed on 2026-11-28"."""
    date = f" on {suppression.created_at.date().isoformat()}" if suppression.created_at else ""
    reason = "added by hand" if suppression.reason is SuppressionReason.MANUAL else suppression.reason
    return f"suppressed: {reason}{date}"
