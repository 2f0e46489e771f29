"""What mail needs of the world."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.messaging.model import (
    Approved,
    Contact,
    Content,
    Draft,
    Email,
    EmailStatus,
    Message,
    Suppression,
    SuppressionReason,
    Template,
)


class ContactStore(Protocol):
    def add(self, contact: Contact) -> Contact:
        """Store it; where the address is known already, raise Conflict."""

    def get(self, contact_id: UUID) -> Contact | None: ...

    def find(self, address: str) -> Contact | None: ...

    def page(self, after: UUID | None, limit: int) -> Sequence[Contact]: ...

    def select(
        self, ids: Sequence[UUID] | None, tags: Sequence[str], limit: int, *, suppressed: bool
    ) -> Sequence[UUID]:
        """Ids, in the order they were made: of those named (None: of all) that have all the tags. Suppressed ones are
        left out unless asked for."""

    def update(self, contact: Contact) -> None: ...

    def delete(self, contact_id: UUID) -> bool: ...


class MessageStore(Protocol):
    def get_many(self, ids: Sequence[UUID]) -> Sequence[Message]: ...

    def of_contact(self, contact_id: UUID, before: UUID | None, limit: int) -> Sequence[Message]: ...


class TemplateStore(Protocol):
    def add(self, template: Template, created_by: str) -> None:
        """Store version 1. Raises Conflict where the name is taken."""

    def add_version(self, template: Template, created_by: str) -> None: ...

    def get(self, template_id: UUID) -> Template | None: ...

    def by_name(self, name: str) -> Template | None: ...

    def page(self, after: UUID | None, limit: int) -> Sequence[Template]: ...

    def delete(self, template_id: UUID) -> bool: ...


class DraftStore(Protocol):
    def add(self, draft: Draft) -> Draft:
        """Store it; where (run, step, item) has one, return that one."""

    def get(self, draft_id: UUID) -> Draft | None: ...

    def approvals_of(self, run_id: UUID, draft_id: UUID) -> Sequence[Approved]: ...


class EmailStore(Protocol):
    def claim(self, email: Email) -> tuple[Email, bool]:
        """Insert it as `sending`, or take over one that is `queued`.

        Returns the stored email, locked until the transaction ends, and whether it is ours to send.
        """

    def get(self, email_id: UUID) -> Email | None:
        """Locked until the transaction ends."""

    def page(self, before: UUID | None, limit: int) -> Sequence[Email]: ...

    def settle(
        self, email_id: UUID, status: EmailStatus, at: datetime, provider_message_id: str | None, error: str | None
    ) -> None: ...


class SuppressionStore(Protocol):
    def add(self, address: str, reason: SuppressionReason) -> None:
        """The first reason stays."""

    def has(self, address: str) -> bool: ...

    def page(self, after: str | None, limit: int) -> tuple[Sequence[Suppression], str | None]: ...

    def delete(self, address: str) -> bool: ...


class MessagingUnit(Protocol):
    """One transaction."""

    @property
    def tenant_id(self) -> UUID: ...
    @property
    def contacts(self) -> ContactStore: ...
    @property
    def messages(self) -> MessageStore: ...
    @property
    def templates(self) -> TemplateStore: ...
    @property
    def drafts(self) -> DraftStore: ...
    @property
    def emails(self) -> EmailStore: ...
    @property
    def suppressions(self) -> SuppressionStore: ...

    def mail_from(self) -> str:
        """The tenant's sender, as "Name <address>". Raises Conflict where none is set."""

    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class MessagingUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[MessagingUnit]: ...


class Renderer(Protocol):
    """A sandboxed template engine."""

    def used_names(self, source: str) -> frozenset[str]:
        """The top-level names a template reads. Raises InvalidInput for a template that cannot be read."""

    def render(self, template: Template, values: Mapping[str, Any]) -> Content:
        """Raises InvalidInput for what is missing, too large or too slow, and for a line break in the subject."""


class SendRejected(Exception):  # an outcome, not a fault
    """The provider refused this mail for good, and did not take it."""


class SendThrottled(Exception):
    """The provider refused it for now, and did not take it."""


class MailProvider(Protocol):
    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        """Hand over one raw mail and return the provider's id. Never asks twice.

        Raises:
            SendRejected, SendThrottled: it was not taken.
            Unavailable: nobody knows.
        """


class UnsubscribeLinks(Protocol):
    def url(self, tenant_id: UUID, contact_id: UUID) -> str: ...

    def read(self, token: str) -> tuple[UUID, UUID]:
        """(tenant, contact). Raises NotFound for a token that is not ours."""
