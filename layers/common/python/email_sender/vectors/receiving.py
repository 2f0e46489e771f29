"""Mail that comes in one by one: kept in the archive like an imported one, and told of."""

from typing import Protocol
from uuid import UUID, uuid5

from email_sender.ambient import Now
from email_sender.coordination.events import Event
from email_sender.errors import InvalidInput
from email_sender.messaging.mail_message import ParsedMessage, TextCleaner, parse
from email_sender.vectors.import_model import Archived, ArchiveUnits, Uploads
from email_sender.vectors.import_work import join_threads
from email_sender.vectors.messages import MessageWriter, note_replies, provider_ids

# SES takes mail of 40 MB at most (docs.aws.amazon.com/ses, "Quotas").
_MAX_BYTES = 40 * 1024 * 1024


class MailDirectory(Protocol):
    def tenant_of_mail(self, provider_ids: list[str], recipients: list[str]) -> UUID | None:
        """Whose mail it answers; else who alone sends from an address that it is to."""


class Receiving:
    def __init__(
        self,
        directory: MailDirectory,
        units: ArchiveUnits,
        uploads: Uploads,
        cleaner: TextCleaner,
        writer: MessageWriter,
        now: Now,
    ) -> None:
        self._directory, self._units, self._uploads = directory, units, uploads
        self._cleaner, self._writer, self._now = cleaner, writer, now

    def receive(self, key: str, version: str | None) -> UUID | None:
        """Keep the mail that this object is. The same object again changes nothing.

        Returns the message's id; None where it is nobody's, which leaves it where it lies.

        The archive and its events are committed before the points are written: killed in between, the queue brings the
        object again.

        Raises:
            InvalidInput: it is no mail.
        """
        raw = b"".join(self._uploads.read(key, version, 0, _MAX_BYTES + 1))
        if len(raw) > _MAX_BYTES:
            raise InvalidInput("The mail is larger than SES takes.")
        parsed = parse(raw, self._cleaner)
        recipients = [each.email for each in parsed.recipients]
        tenant_id = self._directory.tenant_of_mail(provider_ids(parsed), recipients)
        if tenant_id is None:
            return None
        return self._keep(tenant_id, uuid5(tenant_id, f"received/{key}"), parsed)

    def _keep(self, tenant_id: UUID, import_id: UUID, parsed: ParsedMessage) -> UUID:
        now = self._now()
        messages = [Archived(0, parsed)]
        with self._units(tenant_id) as unit:
            stored = unit.archive(import_id, messages)
            (place,) = stored
            answered = note_replies(unit, tenant_id, messages, stored, now)
            unit.set_threads(*join_threads(tenant_id, unit.links(import_id)))
            if place.new and not parsed.is_automatic:
                unit.emit(
                    Event(
                        id=uuid5(place.message_id, "received"),
                        type="message.received",
                        area="messaging",
                        tenant_id=tenant_id,
                        aggregate_id=str(place.message_id),
                        occurred_at=now,
                        correlation_id=str(answered[0].run_id) if answered else None,
                        data={
                            "message_id": str(place.message_id),
                            "contact_id": str(place.contact_id) if place.contact_id else None,
                            "answers_email_id": str(answered[0].email_id) if answered else None,
                        },
                    )
                )
            unit.commit()
        self._writer.write(tenant_id, import_id, messages, stored)
        return place.message_id
