"""Write the points of archived messages, and record which of the tenant's emails they answer."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid5

from email_sender.archive.answer_tags import provider_ids_of, tagged_email_ids
from email_sender.archive.mail_kinds import BULK_KINDS, MailKind
from email_sender.archive.message_parser import ParsedMessage
from email_sender.archive.search.passages import embed_messages, embedded_text
from email_sender.coordination.events import EventFactory
from email_sender.vectors.bm25 import document_terms
from email_sender.vectors.imports.model import Answer, AnsweredEmail, ArchivedMessage, ArchiveUnit, IncomingMessage
from email_sender.vectors.model import Point
from email_sender.vectors.ports import Embedder, PassageStore, PointWriter

COLLECTION = "message_vectors"
# The payload key that only points made of messages have.
IMPORT_KEY = "import"


class MessageWriter:
    """Writes the points and the passages of archived messages. Repeating it writes the same."""

    def __init__(self, writer: PointWriter, passages: PassageStore, embedder: Callable[[], Embedder]) -> None:
        self._writer, self._passages, self._embedder = writer, passages, embedder

    def write(
        self,
        tenant_id: UUID,
        import_id: UUID,
        messages: Sequence[IncomingMessage],
        archived_messages: Sequence[ArchivedMessage],
    ) -> None:
        """Write the mail of contacts, and bulk mail, which a search finds only if it is asked to.

        The passages are stored first: if the process dies in between, the next attempt writes both again.
        """
        pairs = [
            (message.parsed, archived_message)
            for message, archived_message in zip(messages, archived_messages, strict=True)
            if (archived_message.contact_id is not None or message.parsed.kind in BULK_KINDS)
            and (message.parsed.text or message.parsed.subject)
        ]
        if not pairs:
            return
        model = self._embedder()
        embedded = embed_messages(model, [(parsed.subject, parsed.text) for parsed, _ in pairs])
        self._passages.save(
            tenant_id,
            model.model,
            {archived.message_id: one.passages for (_, archived), one in zip(pairs, embedded, strict=True)},
        )
        points = [
            Point(
                archived_message.message_id,
                one.whole,
                _payload(parsed, archived_message, import_id),
                document_terms(embedded_text(parsed.subject, parsed.text)),
            )
            for (parsed, archived_message), one in zip(pairs, embedded, strict=True)
        ]
        self._writer.upsert(tenant_id, COLLECTION, points)


def record_replies(
    unit: ArchiveUnit,
    tenant_id: UUID,
    messages: Sequence[IncomingMessage],
    archived_messages: Sequence[ArchivedMessage],
    events: EventFactory,
) -> Sequence[AnsweredEmail]:
    """Record which emails these messages answer, and publish each answer once.

    Only a contact answers: automatic mail, the tenant's own mail and mail that failed a check have no contact.
    """
    answers = [
        answer
        for message, archived_message in zip(messages, archived_messages, strict=True)
        if (answer := find_answer(message, archived_message)) is not None
    ]
    answered_emails = unit.mark_answered(answers, events.now()) if answers else []
    publish_answers(unit, tenant_id, answered_emails, events)
    return answered_emails


def find_answer(
    message: IncomingMessage, archived_message: ArchivedMessage, recipients: Sequence[str] = ()
) -> Answer | None:
    """Return the message as an answer, or None if it refers to nothing or no contact wrote it.

    `recipients` are those of the envelope, if they are known.
    """
    provider_ids = possible_provider_ids(message.parsed)
    email_ids = tagged_email_ids([*recipients, *(recipient.email for recipient in message.parsed.recipients)])
    if archived_message.contact_id is None or not (provider_ids or email_ids):
        return None
    is_certain = message.parsed.kind is MailKind.PERSON
    return Answer(provider_ids, archived_message.message_id, archived_message.contact_id, is_certain, email_ids)


def publish_answers(
    unit: ArchiveUnit, tenant_id: UUID, answered_emails: Sequence[AnsweredEmail], events: EventFactory
) -> None:
    """Publish `email.replied` for each email, once."""
    for answered_email in answered_emails:
        data = {
            "email_id": str(answered_email.email_id),
            "run_id": str(answered_email.run_id),
            "contact_id": str(answered_email.contact_id),
            "message_id": str(answered_email.message_id),
        }
        unit.emit(
            events.build(
                "email.replied",
                tenant_id,
                answered_email.email_id,
                data,
                correlation_id=answered_email.run_id,
                event_id=uuid5(answered_email.email_id, "replied"),
            )
        )


def possible_provider_ids(parsed: ParsedMessage) -> list[str]:
    """Return the ids that the provider may have given to the emails this message refers to."""
    return provider_ids_of((*parsed.references, *([parsed.in_reply_to] if parsed.in_reply_to else [])))


def _payload(parsed: ParsedMessage, archived_message: ArchivedMessage, import_id: UUID) -> dict[str, str]:
    payload = {IMPORT_KEY: str(import_id), "mail_kind": str(parsed.kind)}
    if archived_message.contact_id is not None:
        payload["contact"] = str(archived_message.contact_id)
    if parsed.sent_at is not None:
        payload["sent_at"] = parsed.sent_at.isoformat()
    return payload
