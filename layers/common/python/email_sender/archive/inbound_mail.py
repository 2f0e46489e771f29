"""Receive single mails: archive them, record what they answer, and publish `message.received`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from email_sender.archive.answer_tags import provider_ids_of
from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.delivery_reports import DeliveryReport
from email_sender.archive.mail_kinds import MailKind
from email_sender.archive.mailbox_import import join_threads, leave_out_erased
from email_sender.archive.message_index import (
    MessageWriter,
    find_answer,
    possible_provider_ids,
    publish_answers,
)
from email_sender.archive.message_parser import ParsedMessage, TextCleaner, parse
from email_sender.archive.receipts import MailOwners, Receipt
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import (
    Answer,
    AnsweredEmail,
    ArchivedMessage,
    ArchiveUnit,
    ArchiveUnits,
    IncomingMessage,
    Uploads,
)

_MIN_REPEATED_WORDS = 6
# Delivering, reading and answering an email takes a person longer.
_SHORTEST_ANSWER = timedelta(seconds=5)
# The largest mail that SES accepts (docs.aws.amazon.com/ses, "Quotas").
_MAX_BYTES = 40 * 1024 * 1024


class MailDirectory(Protocol):
    """Finds the tenants that a received mail belongs to, and keeps a list of the mail that belongs to none."""

    def owners_of_mail(self, provider_ids: Sequence[str], recipients: Sequence[str]) -> MailOwners:
        """Return every tenant that one of the recipients belongs to.

        A recipient belongs to the tenant with this address, else to the only tenant with its domain. If no recipient
        belongs to anybody, the mail belongs to the tenant whose email it answers.
        """
        ...

    def add_unclaimed(
        self, key: str, version: str | None, recipients: Sequence[str], reason: str, at: datetime
    ) -> None:
        """List the object as mail of no tenant. Repeating it changes nothing."""


class DeliveryReports(Protocol):
    def apply(self, tenant_id: UUID, report: DeliveryReport, *, is_complaint: bool) -> None:
        """Apply a bounce or a complaint that came as mail to the email it is about. Repeating it changes nothing."""


class InboundMailService:
    def __init__(
        self,
        directory: MailDirectory,
        units: ArchiveUnits,
        uploads: Uploads,
        cleaner: TextCleaner,
        writer: MessageWriter,
        events: EventFactory,
        reports: DeliveryReports | None = None,
        accepts_uncertain: Callable[[], bool] = lambda: False,
    ) -> None:
        """`accepts_uncertain`: whether an answer that a program may have written counts at once."""
        self._directory, self._units, self._uploads = directory, units, uploads
        self._cleaner, self._writer, self._events, self._reports = cleaner, writer, events, reports
        self._accepts_uncertain = accepts_uncertain

    def receive(self, key: str, version: str | None, receipt: Receipt | None = None) -> Sequence[UUID]:
        """Archive the mail in this object for each of its tenants. Repeating it changes nothing.

        Returns the ids of the messages. If the mail belongs to no tenant, the object stays in the bucket and is listed
        for operators. Without a receipt, the recipients are those of the headers.

        The archive and its events are committed before the points are written. If the process dies in between, the
        queue delivers the object again.

        Raises:
            InvalidInput: the object is not a mail.
        """
        raw = b"".join(self._uploads.read(key, version, 0, _MAX_BYTES + 1))
        if len(raw) > _MAX_BYTES:
            raise InvalidInput("The mail is larger than 40 MB, the largest size that SES accepts.")
        parsed = parse(raw, self._cleaner)
        receipt = receipt or Receipt()
        recipients = [*receipt.recipients] or [recipient.email for recipient in parsed.recipients]
        owners = self._directory.owners_of_mail(_referenced_ids(parsed), recipients)
        if not owners.tenants:
            self._directory.add_unclaimed(key, version, recipients, owners.reason, self._events.now())
            return []
        archived = [
            self._archive(tenant_id, uuid5(tenant_id, f"received/{key}"), parsed, receipt)
            for tenant_id in owners.tenants
        ]
        message_ids = [message_id for message_id in archived if message_id is not None]
        if not message_ids:
            reason = "Its author was erased, and nothing of it was stored."
            self._directory.add_unclaimed(key, version, recipients, reason, self._events.now())
        return message_ids

    def _archive(self, tenant_id: UUID, import_id: UUID, parsed: ParsedMessage, receipt: Receipt) -> UUID | None:
        """Archive the mail for one tenant. Returns None for mail of a person whom the tenant erased."""
        failed_check = receipt.failed_check
        with self._units(tenant_id) as unit:
            own = OwnAddresses.of(unit.own_addresses())
            contact = None if failed_check else find_contact(parsed, own)
            message = IncomingMessage(0, parsed, contact, failed_check)
            # Whoever wrote it, also if a check of the mail failed.
            if leave_out_erased(unit, [IncomingMessage(0, parsed, find_contact(parsed, own))])[1]:
                return None
            (archived_message,) = unit.archive(import_id, [message])
            kind = parsed.kind
            answer = find_answer(message, archived_message, receipt.recipients)
            if (
                answer
                and kind is MailKind.PERSON
                and (_is_too_fast(unit, answer, parsed) or _repeats(unit, answer, parsed))
            ):
                kind = MailKind.UNCERTAIN
            if kind is MailKind.UNCERTAIN and self._accepts_uncertain():
                kind = MailKind.PERSON
            answered_emails = self._record_answer(unit, tenant_id, message, archived_message, answer, kind)
            unit.set_threads(join_threads(tenant_id, unit.links(import_id)))
            if archived_message.is_new and contact:
                self._publish(unit, tenant_id, archived_message, answered_emails, kind)
            unit.commit()
        if parsed.report and self._reports and not failed_check:
            self._reports.apply(tenant_id, parsed.report, is_complaint=parsed.kind is MailKind.COMPLAINT)
        self._writer.write(tenant_id, import_id, [message], [archived_message])
        return archived_message.message_id

    def _record_answer(
        self,
        unit: ArchiveUnit,
        tenant_id: UUID,
        message: IncomingMessage,
        archived_message: ArchivedMessage,
        answer: Answer | None,
        kind: MailKind,
    ) -> Sequence[AnsweredEmail]:
        certain = replace(answer, is_certain=kind is MailKind.PERSON) if answer else None
        answered_emails = unit.mark_answered([certain], self._events.now()) if certain else []
        if kind is not MailKind.PERSON and archived_message.is_new:
            unit.set_kind(archived_message.message_id, kind)
        is_fresh = not answered_emails and message.parsed.list_id is None and kind is MailKind.PERSON
        if is_fresh and archived_message.contact_id and archived_message.is_new:
            fresh = Answer((), archived_message.message_id, archived_message.contact_id)
            answered_emails = unit.mark_waits_answered(fresh, self._events.now())
        publish_answers(unit, tenant_id, answered_emails, self._events)
        return answered_emails

    def _publish(
        self,
        unit: ArchiveUnit,
        tenant_id: UUID,
        archived_message: ArchivedMessage,
        answered_emails: Sequence[AnsweredEmail],
        kind: MailKind,
    ) -> None:
        answered_email = answered_emails[0] if answered_emails else None
        data = {
            "message_id": str(archived_message.message_id),
            "contact_id": str(archived_message.contact_id),
            "answers_email_id": str(answered_email.email_id) if answered_email else None,
            "class": str(kind),
        }
        unit.emit(
            self._events.build(
                "message.received",
                tenant_id,
                archived_message.message_id,
                data,
                correlation_id=answered_email.run_id if answered_email else None,
                event_id=uuid5(archived_message.message_id, "received"),
            )
        )


def _is_too_fast(unit: ArchiveUnit, answer: Answer, parsed: ParsedMessage) -> bool:
    """Return whether a program may have written an unmarked answer: it came before anybody could read the email."""
    return parsed.sent_at is not None and unit.was_sent_within(answer, parsed.sent_at, _SHORTEST_ANSWER)


def _repeats(unit: ArchiveUnit, answer: Answer, parsed: ParsedMessage) -> bool:
    """Return whether a program may have written an unmarked answer: the contact sent the very same text before.

    People repeat "Yes, please", but not whole sentences.
    """
    is_long = len(parsed.text.split()) >= _MIN_REPEATED_WORDS
    return is_long and unit.repeats_earlier_message(answer, parsed.text)


def _referenced_ids(parsed: ParsedMessage) -> Sequence[str]:
    """Return the provider's ids of the emails that the message refers to; a bounce returns the headers of its email."""
    return [*possible_provider_ids(parsed), *provider_ids_of(parsed.report.message_ids if parsed.report else ())]
