"""Templates with typed variables: storage, preview and drafts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from email_sender.clock import Clock, IdFactory
from email_sender.errors import Conflict, InvalidInput, NotFound, Problem
from email_sender.messaging import conversations
from email_sender.messaging.conversations import Conversation
from email_sender.messaging.greetings import first_name, without_unknown_names
from email_sender.messaging.model import (
    VARIABLE_TYPES,
    Contact,
    Content,
    Draft,
    Message,
    Template,
)
from email_sender.messaging.passages import choose_passage, topic_of
from email_sender.messaging.ports import MessagingUnit, MessagingUnits, MissingValue, Renderer, UnsubscribeLinks
from email_sender.paging import Page

# Names that every template can read without declaring them.
BUILT_IN_NAMES = frozenset({"contact", "evidence", "unsubscribe_url"})

_MAX_EVIDENCE = 20
_MAX_EXCERPT = 400
# Of a passage that a search found, more is quoted: what matches may be its end.
_MAX_PASSAGE = 600
_PREVIEWED_MESSAGES = 3
_EXAMPLE_CONTACT = Contact(UUID(int=0), "ada@example.org", "Ada Example")
_EXAMPLE_MESSAGE = Message(
    UUID(int=0),
    UUID(int=0),
    None,
    datetime(2002, 9, 2, 10, tzinfo=UTC),
    "An example",
    "This is an example of a message that the contact wrote. A draft quotes a real one.",
)


@dataclass(frozen=True, slots=True)
class Preview:
    """The result of a preview. `content` is None if a required variable is missing."""

    content: Content | None
    missing: Sequence[str]
    unused: Sequence[str]


class TemplateService:
    """Stores templates, and renders previews and drafts."""

    def __init__(
        self, units: MessagingUnits, renderer: Renderer, links: UnsubscribeLinks, now: Clock, new_id: IdFactory
    ) -> None:
        self._units, self._renderer, self._links = units, renderer, links
        self._now, self._new_id = now, new_id

    def create(self, tenant_id: UUID, template: Template, created_by: str) -> Template:
        self._check(template)
        with self._units(tenant_id) as unit:
            existing = unit.templates.get(template.id)
            if existing is not None:
                return existing
            unit.templates.add(template, created_by)
            unit.audit(self._now(), "template.created", str(template.id))
            unit.commit()
        return template

    def update(self, tenant_id: UUID, template: Template, expected_version: int | None, created_by: str) -> Template:
        """Store a new version. `expected_version` is the version that the client last saw (If-Match)."""
        self._check(template)
        with self._units(tenant_id) as unit:
            current = unit.templates.get(template.id)
            if current is None:
                raise NotFound("Template not found.")
            if expected_version is not None and expected_version != current.version:
                raise Conflict(f"The template is at version {current.version}, not {expected_version}. Read it again.")
            new_version = replace(template, version=current.version + 1)
            unit.templates.add_version(new_version, created_by)
            unit.audit(self._now(), "template.updated", str(template.id), {"version": new_version.version})
            unit.commit()
        return new_version

    def get(self, tenant_id: UUID, template_id: UUID) -> Template:
        with self._units(tenant_id) as unit:
            template = unit.templates.get(template_id)
        if template is None:
            raise NotFound("Template not found.")
        return template

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Template]:
        with self._units(tenant_id) as unit:
            rows = unit.templates.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def delete(self, tenant_id: UUID, template_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.templates.delete(template_id):
                raise NotFound("Template not found.")
            unit.audit(self._now(), "template.deleted", str(template_id))
            unit.commit()

    def preview(
        self,
        tenant_id: UUID,
        template_id: UUID,
        variables: Mapping[str, Any],
        contact_id: UUID | None,
        evidence: Sequence[UUID] = (),
    ) -> Preview:
        """Render the template for a contact, or for an example contact. Nothing is stored.

        Without evidence, the contact's latest messages are quoted; an example contact has an example message.

        Raises:
            InvalidInput: the contact did not write one of the messages, or a variable has a wrong value.
        """
        template = self.get(tenant_id, template_id)
        contact, messages = _EXAMPLE_CONTACT, [_EXAMPLE_MESSAGE]
        if contact_id is not None:
            with self._units(tenant_id) as unit:
                contact = _get_contact(unit, contact_id)
                messages = list(
                    unit.messages.get_many(list(evidence)[:_MAX_EVIDENCE])
                    if evidence
                    else unit.messages.of_contact(contact_id, None, _PREVIEWED_MESSAGES)
                )
            _require_own_words(contact, messages)
        used_names = self._used_names(template)
        missing_names = [
            variable.name
            for variable in template.variables
            if variable.name in used_names
            and variable.required
            and variable.default is None
            and variable.name not in variables
        ]
        unused_names = [name for name in variables if name not in used_names]
        unused_names += [
            variable.name
            for variable in template.variables
            if variable.name not in used_names and variable.name not in unused_names
        ]
        if missing_names:
            return Preview(None, missing_names, unused_names)
        link = self._links.url(tenant_id, contact.id)
        values = self._values(template, contact, messages, variables, link)
        try:
            content = self._render(template, values)
        except MissingValue as error:
            if error.name != "evidence":
                raise
            raise InvalidInput(f"{error.detail} The archive has no message of this contact to quote.") from None
        return Preview(content, missing_names, unused_names)

    def draft(
        self,
        tenant_id: UUID,
        *,
        run_id: UUID,
        step: str,
        item: int,
        template: str,
        contact_id: UUID | None,
        evidence: Sequence[UUID],
        variables: Mapping[str, Any],
        lineage: Sequence[UUID] = (),
        continues_conversation: bool = True,
        follows: UUID | None = None,
        answers: UUID | None = None,
        passages: Mapping[UUID, tuple[int, int]] | None = None,
    ) -> Draft:
        """Render and store a draft, once for each (run, step, item). `template` is a name or an id.

        `passages`: the characters [start, end) of a message's text to quote, by message.

        If the run, or a run of its lineage, has already sent an email to the contact, the draft continues that
        conversation: it has its subject with "Re: ", so that mail programs show both together. `follows` names an email
        of any run instead; then the draft keeps the template's own subject. `answers` names a received message: the
        draft goes to its sender, below that message, with its subject.

        Raises:
            NotFound: the template or the contact does not exist.
            InvalidInput: the template cannot be rendered, the contact did not write one of the messages `evidence`, or
                `follows` is no email to the contact, or `answers` is no message that the contact wrote.
        """
        with self._units(tenant_id) as unit:
            stored_template = _find_template(unit, template)
            conversation = conversations.of_message(unit, answers, contact_id) if answers else Conversation()
            if conversation.message is not None:
                contact_id = conversation.message.contact_id
            contact = _get_contact(unit, contact_id)
            messages = unit.messages.get_many(list(evidence)[:_MAX_EVIDENCE])
            _require_own_words(contact, messages)
            link = self._links.url(tenant_id, contact.id)
            content = self._render(
                stored_template, self._values(stored_template, contact, messages, variables, link, passages)
            )
            if answers is None and follows is not None:
                conversation = conversations.of_email(unit, follows, contact.id)
            elif answers is None and continues_conversation:
                conversation = conversations.of_runs(unit, [run_id, *lineage], contact.id)
            content = conversation.continued(content)
            # Who approves an answer reads what it answers first.
            shown = {message.id: message for message in (conversation.message, *messages) if message}.values()
            draft = unit.drafts.add(
                Draft(
                    id=self._new_id(),
                    run_id=run_id,
                    step=step,
                    item=item,
                    contact_id=contact.id,
                    template_id=stored_template.id,
                    template_version=stored_template.version,
                    content=content,
                    sha256=content_hash(contact.id, content),
                    evidence=[message.id for message in shown],
                    created_at=self._now(),
                    follows=conversation.email.id if conversation.email else None,
                    answers=conversation.message.id if conversation.message else None,
                )
            )
            unit.commit()
        return draft

    def _check(self, template: Template) -> None:
        problems = []
        declared_names = [variable.name for variable in template.variables]
        for number, variable in enumerate(template.variables):
            if not variable.name.isidentifier() or variable.name in BUILT_IN_NAMES:
                problems.append(
                    Problem(f"/variables/{number}/name", "A variable's name must be an identifier and not built in.")
                )
            if declared_names.count(variable.name) > 1:
                problems.append(Problem(f"/variables/{number}/name", "The variable is declared twice."))
            if variable.default is not None and not _is_of_type(variable.default, variable.type):
                problems.append(
                    Problem(f"/variables/{number}/default", f"The default must be of type {variable.type}.")
                )
        for part in ("subject", "body_text", "body_html"):
            source = getattr(template, part)
            try:
                used_names = self._renderer.used_names(source or "")
            except InvalidInput as error:
                problems.append(Problem(f"/{part}", error.detail))
                continue
            undeclared_names = sorted(used_names - BUILT_IN_NAMES - set(declared_names))
            if undeclared_names:
                problems.append(
                    Problem(
                        f"/{part}",
                        f"The template reads {', '.join(undeclared_names)}: declare every name under variables.",
                    )
                )
        if problems:
            raise InvalidInput(problems[0].message, problems)

    def _render(self, template: Template, values: Mapping[str, Any]) -> Content:
        content = self._renderer.render(template, values)
        html = None if content.html is None else without_unknown_names(content.html)
        return Content(without_unknown_names(content.subject).strip(), without_unknown_names(content.text), html)

    def _values(
        self,
        template: Template,
        contact: Contact,
        messages: Sequence[Message],
        variables: Mapping[str, Any],
        link: str,
        passages: Mapping[UUID, tuple[int, int]] | None = None,
    ) -> dict[str, Any]:
        evidence = [
            {
                "subject": message.subject,
                "topic": topic_of(message.subject),
                "sent_at": message.sent_at.date().isoformat() if message.sent_at else "",
                "date": self._renderer.format_date(message.sent_at.date(), template.language)
                if message.sent_at
                else "",
                "excerpt": _excerpt(message, (passages or {}).get(message.id)),
            }
            for message in messages
        ]
        return _template_values(template, contact, evidence, variables, link)

    def _used_names(self, template: Template) -> frozenset[str]:
        parts = (template.subject, template.body_text, template.body_html or "")
        return frozenset().union(*(self._renderer.used_names(part) for part in parts))


def content_hash(contact_id: UUID, content: Content) -> str:
    """Return the SHA-256 (hex) of the contact and all text that the contact will read, as canonical JSON."""
    parts = [str(contact_id), content.subject, content.text, content.html]
    return sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _template_values(
    template: Template,
    contact: Contact,
    evidence: Sequence[Mapping[str, str]],
    variables: Mapping[str, Any],
    link: str,
) -> dict[str, Any]:
    name = (contact.name or "").strip() or contact.address.partition("@")[0]
    values: dict[str, Any] = {
        "contact": {
            "email": contact.address,
            "name": name,
            "first_name": first_name(contact.name),
            **{key: value for key, value in contact.attributes.items() if key not in ("email", "name", "first_name")},
        },
        "evidence": evidence,
        "unsubscribe_url": link,
    }
    problems = []
    for variable in template.variables:
        variable_value = variables.get(variable.name, variable.default)
        if variable_value is None:
            if variable.required:
                problems.append(Problem(f"/variables/{variable.name}", "The template requires this variable."))
            continue
        if not _is_of_type(variable_value, variable.type):
            problems.append(Problem(f"/variables/{variable.name}", f"The value must be of type {variable.type}."))
        values[variable.name] = variable_value
    if problems:
        raise InvalidInput(f"The template {template.name} cannot be rendered with these variables.", problems)
    return values


def _excerpt(message: Message, passage: tuple[int, int] | None) -> str:
    """Return what to quote of a message: the passage that a search found, else the beginning."""
    start, end = passage or (0, 0)
    found = message.text[start:end].strip()
    return choose_passage(found, _MAX_PASSAGE) if found else choose_passage(message.text, _MAX_EXCERPT)


def _is_of_type(value: Any, kind: str) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "date":
            return isinstance(value, str) and _is_date(value)
    raise InvalidInput(f"A variable's type must be one of {', '.join(VARIABLE_TYPES)}.")


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _get_contact(unit: MessagingUnit, contact_id: UUID | None) -> Contact:
    contact = unit.contacts.get(contact_id) if contact_id else None
    if contact is None:
        raise NotFound("Contact not found.")
    return contact


def _require_own_words(contact: Contact, messages: Sequence[Message]) -> None:
    """Nobody may get an email that quotes, as their words, what somebody else wrote."""
    foreign_ids = [str(message.id) for message in messages if message.contact_id != contact.id]
    if foreign_ids:
        raise InvalidInput.at(
            "/evidence",
            f"The contact did not write the message {foreign_ids[0]}. A draft can quote only messages of its contact.",
        )


def _find_template(unit: MessagingUnit, template: str) -> Template:
    try:
        stored_template = unit.templates.get(UUID(template))
    except ValueError:
        stored_template = unit.templates.by_name(template)
    if stored_template is None:
        raise NotFound(f"Template {template!r} not found.")
    return stored_template
