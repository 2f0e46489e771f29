"""Workflow actions of messaging that send no mail: template.render, contacts.select, contacts.update."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from email_sender.kit.tasks.call import JsonataList, TaskCall
from email_sender.kit.tasks.handler import Action, task_handler
from email_sender.messaging.contacts import ContactChange
from email_sender.security.permissions import Permission
from messaging_lambda.bootstrap import contact_service, gate, template_service, workflow_units

Tag = Annotated[str, Field(min_length=1, max_length=100)]
# Empty text is none: expressions often return it.
OptionalId = Annotated[UUID | None, BeforeValidator(lambda value: None if value == "" else value)]


class PassageIn(BaseModel):
    """The characters [start, end) of a message's text."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class EvidenceIn(BaseModel):
    """A hit of vectors.search: a message, and the passage to quote."""

    id: UUID
    passage: PassageIn | None = None


class RenderIn(BaseModel):
    """`contact` is an id, or an address. An address that is new becomes a contact.

    `thread`: whether the draft continues the conversation of the run's earlier email to the contact.

    `follows`: the email, of any run, whose conversation it continues instead. Empty text is none.

    `answers`: the received message that it answers; its sender is the contact if `contact` is left out. Empty text is
    none.
    """

    model_config = ConfigDict(extra="forbid")

    template: Annotated[str, Field(min_length=1, max_length=200)]
    # pydantic's smart mode would leave an id a str, because that matches without a conversion.
    contact: Annotated[
        UUID | Annotated[str, Field(min_length=3, max_length=640)] | None, Field(union_mode="left_to_right")
    ] = None
    evidence: Annotated[list[UUID | EvidenceIn], Field(max_length=100), JsonataList] = Field(default_factory=list)
    variables: dict[str, Any] = Field(default_factory=dict)
    thread: bool = True
    follows: OptionalId = None
    answers: OptionalId = None

    @model_validator(mode="after")
    def _has_recipient(self) -> "RenderIn":
        if self.contact is None and not self.answers:
            raise ValueError("contact is missing: give it, or the message that the draft answers.")
        if self.answers and (self.follows or isinstance(self.contact, str)):
            raise ValueError("an answer has the message's sender and conversation: leave out follows and the address.")
        return self


class SelectIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contacts: Annotated[list[UUID] | None, Field(max_length=1_000), JsonataList] = None
    tags: Annotated[list[Tag], Field(max_length=20), JsonataList] = Field(default_factory=list)
    exclude_suppressed: bool = True
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class UpdateIn(BaseModel):
    """`attributes` are merged into the contact's attributes; null removes an attribute."""

    model_config = ConfigDict(extra="forbid")

    contact: UUID
    name: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    attributes: Annotated[dict[str, Any], Field(max_length=50)] = Field(default_factory=dict)
    add_tags: Annotated[list[Tag], Field(max_length=20), JsonataList] = Field(default_factory=list)
    remove_tags: Annotated[list[Tag], Field(max_length=20), JsonataList] = Field(default_factory=list)


def render(call: TaskCall) -> Mapping[str, Any]:
    parameters = call.parse(RenderIn)
    contact_id = parameters.contact
    if isinstance(contact_id, str):
        contact_id = contact_service().find_or_add(call.tenant_id, contact_id).id
    hits = [one if isinstance(one, EvidenceIn) else EvidenceIn(id=one) for one in parameters.evidence]
    draft = template_service().draft(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        item=call.item,
        template=parameters.template,
        contact_id=contact_id,
        evidence=[hit.id for hit in hits],
        passages={hit.id: (hit.passage.start, hit.passage.end) for hit in hits if hit.passage is not None},
        variables=parameters.variables,
        lineage=call.lineage,
        continues_conversation=parameters.thread,
        follows=parameters.follows,
        answers=parameters.answers,
    )
    return {"draft_id": str(draft.id), "contact_id": str(draft.contact_id), "sha256": draft.sha256}


def select(call: TaskCall) -> Mapping[str, Any]:
    parameters = call.parse(SelectIn)
    contact_ids = contact_service().select(
        call.tenant_id,
        parameters.contacts,
        parameters.tags,
        parameters.limit,
        suppressed=not parameters.exclude_suppressed,
    )
    return {"contacts": [str(contact_id) for contact_id in contact_ids], "count": len(contact_ids)}


def update(call: TaskCall) -> Mapping[str, Any]:
    parameters = call.parse(UpdateIn)
    change = ContactChange(parameters.name, parameters.attributes, parameters.add_tags, parameters.remove_tags)
    contact = contact_service().change(call.tenant_id, parameters.contact, change)
    return {"contact": str(contact.id), "tags": contact.attributes.get("tags", [])}


ACTIONS = {
    "template.render": Action(render, Permission.MESSAGING_WRITE),
    "contacts.select": Action(select, Permission.MESSAGING_READ),
    "contacts.update": Action(update, Permission.MESSAGING_WRITE),
}
handler = task_handler(ACTIONS, workflow_units, gate)
