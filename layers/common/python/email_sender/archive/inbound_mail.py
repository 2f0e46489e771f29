"""Receive single mails: archive them like imported messages, and publish `message.received`."""

from typing import Protocol
from uuid import UUID, uuid5

from email_sender.archive.mailbox_import import join_threads
from email_sender.archive.message_index import MessageWriter, possible_provider_ids, record_replies
from email_sender.archive.message_parser import ParsedMessage, TextCleaner, parse
from email_sender.coordination.events import EventFactory
from email_sender.errors import InvalidInput
from email_sender.vectors.imports.model import ArchiveUnits, IncomingMessage, Uploads

# The largest mail that SES accepts (docs.aws.amazon.com/ses, "Quotas").
_MAX_BYTES = 40 * 1024 * 1024


class MailDirectory(Protocol):
    """Finds the tenant that a received mail belongs to."""

    def tenant_of_mail(self, provider_ids: list[str], recipients: list[str]) -> UUID | None:
        """Return the only tenant that sends from one of the recipients.

        If there are several, return the one of them whose email the message answers. If there is none, as for blind
        copies and aliases, return the tenant whose email the message answers. Return None if that is not one tenant.
        """


class InboundMailService:
    def __init__(
        self,
        directory: MailDirectory,
        units: ArchiveUnits,
        uploads: Uploads,
        cleaner: TextCleaner,
        writer: MessageWriter,
        events: EventFactory,
    ) -> None:
        self._directory, self._units, self._uploads = directory, units, uploads
        self._cleaner, self._writer, self._events = cleaner, writer, events

    def receive(self, key: str, version: str | None) -> UUID | None:
        """Archive the mail in this object. Repeating it changes nothing.

        Returns the id of the message. If the mail belongs to no tenant, the object stays in the bucket; returns None.

        The archive and its events are committed before the points are written. If the process dies in between, the
        queue delivers the object again.

        Raises:
            InvalidInput: the object is not a mail.
        """
        raw = b"".join(self._uploads.read(key, version, 0, _MAX_BYTES + 1))
        if len(raw) > _MAX_BYTES:
            raise InvalidInput("The mail is larger than 40 MB, the largest size that SES accepts.")
        parsed = parse(raw, self._cleaner)
        recipients = [recipient.email for recipient in parsed.recipients]
        tenant_id = self._directory.tenant_of_mail(possible_provider_ids(parsed), recipients)
        if tenant_id is None:
            return None
        return self._archive(tenant_id, uuid5(tenant_id, f"received/{key}"), parsed)

    def _archive(self, tenant_id: UUID, import_id: UUID, parsed: ParsedMessage) -> UUID:
        messages = [IncomingMessage(0, parsed)]
        with self._units(tenant_id) as unit:
            archived_messages = unit.archive(import_id, messages)
            (archived_message,) = archived_messages
            answered_emails = record_replies(unit, tenant_id, messages, archived_messages, self._events)
            unit.set_threads(join_threads(tenant_id, unit.links(import_id)))
            if archived_message.is_new and not parsed.is_automatic:
                answered_email = answered_emails[0] if answered_emails else None
                data = {
                    "message_id": str(archived_message.message_id),
                    "contact_id": str(archived_message.contact_id) if archived_message.contact_id else None,
                    "answers_email_id": str(answered_email.email_id) if answered_email else None,
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
            unit.commit()
        self._writer.write(tenant_id, import_id, messages, archived_messages)
        return archived_message.message_id
