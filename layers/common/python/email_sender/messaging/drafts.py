"""Read drafts, and edit them before they are approved."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from email_sender.clock import Clock
from email_sender.coordination.events import EventFactory
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.messaging.model import Content, Draft
from email_sender.messaging.ports import MessagingUnits
from email_sender.messaging.templates import content_hash

_MAX_SUBJECT = 500
_MAX_BODY = 500_000
_NOT_IN_A_LINE = set("\r\n\0")


class DraftService:
    def __init__(self, units: MessagingUnits, now: Clock, events: EventFactory) -> None:
        self._units, self._now, self._events = units, now, events

    def get(self, tenant_id: UUID, draft_id: UUID) -> Draft:
        with self._units(tenant_id) as unit:
            draft = unit.drafts.get(draft_id)
        if draft is None:
            raise NotFound("Draft not found.")
        return draft

    def get_many(self, tenant_id: UUID, ids: Sequence[UUID]) -> Sequence[Draft]:
        """Return the drafts in the order of `ids`, without those that do not exist."""
        with self._units(tenant_id) as unit:
            return unit.drafts.get_many(ids)

    def edit(self, tenant_id: UUID, draft_id: UUID, content: Content, editor: str, replaced_hash: str) -> Draft:
        """Replace the text of a draft that waits for an approval. The approval then shows the new hash.

        `replaced_hash` is the hash of the text that the editor has seen. The event of the edit is audited.

        Raises:
            NotFound: the draft does not exist.
            Conflict: no approval of the draft is pending, or somebody else has edited it.
            InvalidInput: the subject or the text is empty or too long, the subject has a line break, or the HTML has
                the old text.
        """
        _check(content)
        with self._units(tenant_id) as unit:
            draft = unit.drafts.get(draft_id)
            if draft is None:
                raise NotFound("Draft not found.")
            now = self._now()
            sha256 = content_hash(draft.contact_id, content)
            if sha256 == draft.sha256:
                return draft
            if draft.sha256 != replaced_hash:
                raise Conflict("Somebody else has edited the draft. Read it again.")
            if content.html is not None and content.html == draft.content.html and content.text != draft.content.text:
                raise InvalidInput.at("/html", "The HTML has the old text. Change it too, or leave it out.")
            edited = replace(draft, content=content, sha256=sha256, edited_by=editor, edited_at=now)
            if not unit.drafts.edit(edited, replaced_hash):
                raise Conflict("Only a draft whose approval is pending can be edited.")
            data = {
                "draft_id": str(draft_id),
                "run_id": str(draft.run_id),
                "contact_id": str(draft.contact_id),
                "sha256": sha256,
            }
            unit.emit(
                self._events.build("approval.draft.edited", tenant_id, draft_id, data, correlation_id=draft.run_id)
            )
            unit.commit()
        return edited


def _check(content: Content) -> None:
    if not content.subject.strip() or len(content.subject) > _MAX_SUBJECT or _NOT_IN_A_LINE & set(content.subject):
        raise InvalidInput.at("/subject", f"A subject is one line of at most {_MAX_SUBJECT} characters.")
    if not content.text.strip() or len(content.text) > _MAX_BODY:
        raise InvalidInput.at("/text", f"A text has at most {_MAX_BODY} characters, and is not empty.")
    if content.html is not None and len(content.html) > _MAX_BODY:
        raise InvalidInput.at("/html", f"The HTML has at most {_MAX_BODY} characters.")
