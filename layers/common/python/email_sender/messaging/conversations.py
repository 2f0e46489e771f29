"""The conversation that a draft continues: that of an earlier email, or of a received message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from email_sender.errors import InvalidInput
from email_sender.messaging.model import Content, Email, Message
from email_sender.messaging.ports import MessagingUnit

_REPLY_MARK = re.compile(r"\s*re\s?:", re.IGNORECASE)
# Longer subjects are cut: some are whole mails whose author mistook the field.
_MAX_SUBJECT = 900


@dataclass(frozen=True, slots=True)
class Conversation:
    """`email` is the last email of the conversation, and `message` the received message that the draft answers.

    A draft takes over `subject` unless that is None.
    """

    email: Email | None = None
    message: Message | None = None
    subject: str | None = None

    def continued(self, content: Content) -> Content:
        """Return the content with the subject of the conversation, which Gmail needs to show both mails together."""
        if self.subject is None:
            return content
        subject = " ".join(self.subject.split())[:_MAX_SUBJECT]
        return replace(content, subject=subject if _REPLY_MARK.match(subject) else f"Re: {subject}".strip())


def of_message(unit: MessagingUnit, message_id: UUID, contact_id: UUID | None) -> Conversation:
    """Return the conversation of a received message.

    Raises:
        InvalidInput: there is no such message, or the contact did not write it. Without a `contact_id`, any contact may
            have written it.
    """
    messages = unit.messages.get_many([message_id])
    writer = messages[0].contact_id if messages else None
    if writer is None or contact_id not in (None, writer):
        raise InvalidInput.at("/answers", "answers must be the id of a received message that the contact wrote.")
    (message,) = messages
    email = unit.emails.get(message.answers_email_id) if message.answers_email_id else None
    return Conversation(email if email and email.contact_id == writer else None, message, message.subject)


def of_email(unit: MessagingUnit, email_id: UUID, contact_id: UUID) -> Conversation:
    """Return the conversation of an email of any run. A draft that continues it has a subject of its own.

    Raises:
        InvalidInput: it is no email to the contact.
    """
    email = unit.emails.get(email_id)
    if email is None or email.contact_id != contact_id:
        raise InvalidInput("follows must be the id of an email to this contact.")
    return Conversation(email)


def of_runs(unit: MessagingUnit, run_ids: Sequence[UUID], contact_id: UUID) -> Conversation:
    """Return the conversation of the last email that one of the runs sent to the contact, if there is one."""
    email = unit.emails.find_last_of_runs(run_ids, contact_id)
    draft = unit.drafts.get(email.draft_id) if email else None
    return Conversation(email, subject=draft.content.subject if draft else None)
