"""The request and response bodies of the messaging API."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StrictBool

from email_sender.archive.addresses import clean_address
from email_sender.archive.mail_kinds import MailKind
from email_sender.errors import InvalidInput
from email_sender.kit.schemas import RequestBody
from email_sender.messaging.contacts import Addition
from email_sender.messaging.model import (
    Contact,
    Draft,
    Email,
    Message,
    Standing,
    Suppression,
    Template,
    Variable,
)
from email_sender.messaging.statistics import MailStatistics
from email_sender.messaging.templates import Preview
from email_sender.security.permissions import Role


def _check_address(address: str) -> str:
    """The service cleans the address; here an error gets the place of the field."""
    try:
        clean_address(address)
    except InvalidInput as error:
        raise ValueError(error.detail) from None
    return address


Address = Annotated[
    str, Field(min_length=3, max_length=320, json_schema_extra={"format": "email"}), AfterValidator(_check_address)
]
Name = Annotated[str, Field(min_length=1, max_length=255)]
_MAX_BODY = 100_000


def displayed_address(address: str, role: Role) -> str:
    """Return the address, masked for the role readonly: recognisable, but not usable."""
    if role is not Role.READONLY:
        return address
    local, _, domain = address.partition("@")
    return f"{local[:1]}***@{domain[:1]}***"


class ContactIn(RequestBody):
    email: Address
    name: Name | None = None
    attributes: Annotated[dict[str, Any], Field(max_length=50)] = Field(default_factory=dict)


class ContactsIn(RequestBody):
    """With `dry_run`, nothing is stored: the answer says what would happen."""

    contacts: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1_000)]
    dry_run: StrictBool = False


class AddedContactOut(BaseModel):
    """`row` is the place in the request, from 1. `outcome` is what became of it, and `detail` why."""

    row: int
    outcome: Addition
    contact_id: UUID | None
    detail: str


class AddedContactsOut(BaseModel):
    added: int
    results: list[AddedContactOut]


class ContactChange(RequestBody):
    name: Name | None = None
    attributes: Annotated[dict[str, Any], Field(max_length=50)] = Field(default_factory=dict)


class ContactOut(BaseModel):
    """`suppressed` says why the address gets no mail. `emails` were sent before. Only reads return both."""

    id: UUID
    email: str
    name: str | None
    attributes: dict[str, Any]
    last_seen_at: datetime | None
    created_at: datetime | None
    suppressed: str | None = None
    emails: int | None = None
    last_email_at: datetime | None = None

    @classmethod
    def of(cls, contact: Contact, role: Role, standing: Standing | None = None) -> Self:
        known = standing or Standing()
        return cls(
            id=contact.id,
            email=displayed_address(contact.address, role),
            name=contact.name,
            attributes=dict(contact.attributes),
            last_seen_at=contact.last_seen_at,
            created_at=contact.created_at,
            suppressed=known.suppressed,
            emails=known.emails if standing else None,
            last_email_at=known.last_email_at,
        )


class MessageOut(BaseModel):
    """`class` says who wrote the message (docs/reference/mail.md), and `class_sign` what shows it.

    `verdict` is the check that it failed: `virus`, `spam` or `dmarc`. `answers_email_id` is the email that it answers.
    """

    id: UUID
    contact_id: UUID | None
    thread_id: UUID | None
    sent_at: datetime | None
    subject: str
    text: str
    kind: MailKind = Field(serialization_alias="class")
    class_sign: str
    verdict: str | None
    answers_email_id: UUID | None

    @classmethod
    def of(cls, message: Message) -> Self:
        return cls(
            id=message.id,
            contact_id=message.contact_id,
            thread_id=message.thread_id,
            sent_at=message.sent_at,
            subject=message.subject,
            text=message.text,
            kind=message.kind,
            class_sign=message.kind_sign,
            verdict=message.verdict,
            answers_email_id=message.answers_email_id,
        )


class MessageClassIn(RequestBody):
    """`person`: the message counts as an answer. `auto_reply`: it does not."""

    kind: Annotated[Literal["person", "auto_reply"], Field(alias="class")]


class VariableIn(RequestBody):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    type: Literal["string", "number", "boolean", "date", "list"]
    required: StrictBool = True
    default: Any = None


class TemplateIn(RequestBody):
    """Subject and bodies are Jinja2 templates, rendered in a sandbox. They can read `contact`, `evidence`,
    `unsubscribe_url` and the declared `variables`."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$")]
    subject: Annotated[str, Field(min_length=1, max_length=2_000)]
    body_text: Annotated[str, Field(min_length=1, max_length=_MAX_BODY)]
    body_html: Annotated[str, Field(max_length=_MAX_BODY)] | None = None
    variables: Annotated[list[VariableIn], Field(max_length=50)] = Field(default_factory=list)
    language: Annotated[
        str, Field(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$", max_length=20, description="Language of dates")
    ] = "en"

    def template(self, template_id: UUID) -> Template:
        variables = tuple(
            Variable(variable.name, variable.type, variable.required, variable.default) for variable in self.variables
        )
        return Template(
            template_id, self.name, 1, self.subject, self.body_text, self.body_html, variables, language=self.language
        )


class TemplateOut(BaseModel):
    id: UUID
    name: str
    version: int
    subject: str
    body_text: str
    body_html: str | None
    variables: list[VariableIn]
    language: str
    updated_at: datetime | None

    @classmethod
    def of(cls, template: Template) -> Self:
        return cls(
            id=template.id,
            name=template.name,
            version=template.version,
            subject=template.subject,
            body_text=template.body_text,
            body_html=template.body_html,
            language=template.language,
            variables=[
                VariableIn.model_validate(
                    {
                        "name": variable.name,
                        "type": variable.type,
                        "required": variable.required,
                        "default": variable.default,
                    }
                )
                for variable in template.variables
            ],
            updated_at=template.updated_at,
        )


class PreviewIn(RequestBody):
    """`evidence`: messages of the contact to quote. By default, its latest messages are quoted."""

    variables: dict[str, Any] = Field(default_factory=dict)
    contact_id: UUID | None = None
    evidence: Annotated[list[UUID], Field(max_length=20)] = Field(default_factory=list)


class PreviewOut(BaseModel):
    """`missing` lists required variables without a value. `unused` lists variables that the template does not read."""

    subject: str | None
    text: str | None
    html: str | None
    missing: Sequence[str]
    unused: Sequence[str]

    @classmethod
    def of(cls, preview: Preview) -> Self:
        content = preview.content
        return cls(
            subject=content.subject if content else None,
            text=content.text if content else None,
            html=content.html if content else None,
            missing=preview.missing,
            unused=preview.unused,
        )


class DraftEdit(RequestBody):
    # Its message comes from the service; the pattern is for the document.
    subject: Annotated[
        str, Field(min_length=1, max_length=500, json_schema_extra={"pattern": r"^[^\r\n\u0000]*[^\s][^\r\n\u0000]*$"})
    ]
    text: Annotated[str, Field(min_length=1, max_length=500_000)]
    html: Annotated[str, Field(max_length=500_000)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DraftOut(BaseModel):
    """`edited_by` is who changed the rendered text before its approval."""

    id: UUID
    run_id: UUID
    step: str
    contact_id: UUID
    template_id: UUID
    template_version: int
    subject: str
    text: str
    html: str | None
    sha256: str
    evidence: Sequence[UUID]
    created_at: datetime | None
    edited_by: str | None
    edited_at: datetime | None

    @classmethod
    def of(cls, draft: Draft) -> Self:
        return cls(
            id=draft.id,
            run_id=draft.run_id,
            step=draft.step,
            contact_id=draft.contact_id,
            template_id=draft.template_id,
            template_version=draft.template_version,
            subject=draft.content.subject,
            text=draft.content.text,
            html=draft.content.html,
            sha256=draft.sha256,
            evidence=draft.evidence,
            created_at=draft.created_at,
            edited_by=draft.edited_by,
            edited_at=draft.edited_at,
        )


class WeekOut(BaseModel):
    """The emails that a workflow created in the week that begins on `week`, a Monday (UTC).

    They are counted by status, the bounced ones by kind, and the answers by class of message."""

    week: date
    workflow_id: UUID | None
    workflow: str
    statuses: dict[str, int]
    bounces: dict[str, int]
    replies: dict[str, int]


class StatisticsOut(BaseModel):
    """`unsubscribed` counts the addresses that were unsubscribed, by week."""

    items: list[WeekOut]
    unsubscribed: dict[date, int]

    @classmethod
    def of(cls, statistics: MailStatistics) -> Self:
        return cls(
            items=[
                WeekOut(
                    week=week.week, workflow_id=week.workflow_id, workflow=week.workflow, statuses=dict(week.statuses),
                    bounces=dict(week.bounces), replies=dict(week.replies),
                )
                for week in statistics.weeks
            ],
            unsubscribed=dict(statistics.unsubscribed),
        )  # fmt: skip


class EmailOut(BaseModel):
    id: UUID
    run_id: UUID
    step: str
    contact_id: UUID
    draft_id: UUID
    sha256: str
    status: str
    provider_message_id: str | None
    error: str | None
    created_at: datetime | None
    sent_at: datetime | None

    @classmethod
    def of(cls, email: Email) -> Self:
        return cls(
            id=email.id,
            run_id=email.run_id,
            step=email.step,
            contact_id=email.contact_id,
            draft_id=email.draft_id,
            sha256=email.sha256,
            status=email.status,
            provider_message_id=email.provider_message_id,
            error=email.error,
            created_at=email.created_at,
            sent_at=email.sent_at,
        )


class SettleIn(RequestBody):
    """What a person found out about an email that is `unknown`."""

    decision: Literal["sent", "not_sent"]


class SuppressionIn(RequestBody):
    email: Address


class SuppressionOut(BaseModel):
    """`email` is null if the contact was deleted before it unsubscribed: only a hash of the address is known."""

    email: str | None
    reason: str
    created_at: datetime | None

    @classmethod
    def of(cls, suppression: Suppression, role: Role) -> Self:
        return cls(
            email=displayed_address(suppression.address, role) if suppression.address else None,
            reason=suppression.reason,
            created_at=suppression.created_at,
        )
