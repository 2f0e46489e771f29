"""Messages that came into the archive: their points, and what of ours they answer."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from email_sender.coordination.events import Event
from email_sender.messaging.mail_message import ParsedMessage
from email_sender.vectors.import_model import Answered, Archived, ArchiveUnit, Stored
from email_sender.vectors.lexical import terms_of
from email_sender.vectors.model import Point
from email_sender.vectors.ports import Embedder, VectorIndex

COLLECTION = "message_vectors"
# What a search reads of a message: beyond this an embedding says nothing more.
_EMBEDDED_CHARACTERS = 4_000


class MessageWriter:
    """Their points: repeatable, so that what is killed before them is done again."""

    def __init__(self, index: VectorIndex, embedder: Callable[[], Embedder]) -> None:
        self._index, self._embedder = index, embedder

    def write(self, tenant_id: UUID, import_id: UUID, messages: Sequence[Archived], stored: Sequence[Stored]) -> None:
        written = [
            (message.parsed, place)
            for message, place in zip(messages, stored, strict=True)
            if place.contact_id is not None and (message.parsed.text or message.parsed.subject)
        ]
        if not written:
            return
        texts = [embedded_text(parsed.subject, parsed.text) for parsed, _ in written]
        vectors = self._embedder().embed(texts)
        points = [
            Point(place.message_id, vector, _payload(parsed, place, import_id), terms_of(text))
            for (parsed, place), vector, text in zip(written, vectors, texts, strict=True)
        ]
        self._index.upsert(tenant_id, COLLECTION, points)


def note_replies(
    unit: ArchiveUnit, tenant_id: UUID, messages: Sequence[Archived], stored: Sequence[Stored], now: datetime
) -> Sequence[Answered]:
    """Note which emails of ours these answer, once each, and tell of it. What no person wrote answers nothing."""
    answers = {
        name: place.message_id
        for message, place in zip(messages, stored, strict=True)
        if not message.parsed.is_automatic
        for name in provider_ids(message.parsed)
    }
    found = unit.answered(answers, now) if answers else []
    for each in found:
        unit.emit(
            Event(
                id=uuid5(each.email_id, "replied"),
                type="email.replied",
                area="messaging",
                tenant_id=tenant_id,
                aggregate_id=str(each.email_id),
                occurred_at=now,
                correlation_id=str(each.run_id),
                data={
                    "email_id": str(each.email_id),
                    "run_id": str(each.run_id),
                    "contact_id": str(each.contact_id),
                    "message_id": str(each.message_id),
                },
            )
        )
    return found


def provider_ids(parsed: ParsedMessage) -> list[str]:
    """What the provider may have called the mails that this one refers to: SES makes Message-IDs of its own ids and
    of a domain that goes by the region; another provider's id may be the whole of it."""
    references = (*parsed.references, *([parsed.in_reply_to] if parsed.in_reply_to else []))
    return list(dict.fromkeys(name for each in references for name in (each, each.partition("@")[0])))


def embedded_text(subject: str, text: str) -> str:
    """What of a message is embedded."""
    return f"{subject}\n{text}"[:_EMBEDDED_CHARACTERS]


def _payload(parsed: ParsedMessage, place: Stored, import_id: UUID) -> dict[str, str]:
    payload = {"contact": str(place.contact_id), "import": str(import_id)}
    if parsed.sent_at is not None:
        payload["sent_at"] = parsed.sent_at.isoformat()
    return payload
