"""Templates with typed variables: store, preview, draft."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from typing import Any
from uuid import UUID

from email_sender.ambient import NewId, Now
from email_sender.errors import Conflict, InvalidInput, NotFound, Problem
from email_sender.messaging.model import (
    VARIABLE_TYPES,
    Contact,
    Content,
    Draft,
    Message,
    Template,
)
from email_sender.messaging.ports import MessagingUnit, MessagingUnits, Renderer, UnsubscribeLinks
from email_sender.paging import Page

# What every template can read without declaring it.
BUILT_IN = frozenset({"contact", "evidence", "unsubscribe_url"})

_MAX_EVIDENCE = 20
_EXCERPT = 400


@dataclass(frozen=True, slots=True)
class Preview:
    """`content` is None where something required is missing."""

    content: Content | None
    missing: Sequence[str]
    unused: Sequence[str]


class TemplateService:
    def __init__(
        self, units: MessagingUnits, renderer: Renderer, links: UnsubscribeLinks, now: Now, new_id: NewId
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
            unit.commit()
        return template

    def update(self, tenant_id: UUID, template: Template, expected: int | None, created_by: str) -> Template:
        """Store a new version. `expected` is the version the client last saw (If-Match)."""
        self._check(template)
        with self._units(tenant_id) as unit:
            current = unit.templates.get(template.id)
            if current is None:
                raise NotFound("There is no such template.")
            if expected is not None and expected != current.version:
                raise Conflict(f"The template is at version {current.version}, not {expected}: read it again.")
            changed = replace(template, version=current.version + 1)
            unit.templates.add_version(changed, created_by)
            unit.commit()
        return changed

    def get(self, tenant_id: UUID, template_id: UUID) -> Template:
        with self._units(tenant_id) as unit:
            found = unit.templates.get(template_id)
        if found is None:
            raise NotFound("There is no such template.")
        return found

    def page(self, tenant_id: UUID, after: UUID | None, limit: int) -> Page[Template]:
        with self._units(tenant_id) as unit:
            rows = unit.templates.page(after, limit + 1)
        return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)

    def delete(self, tenant_id: UUID, template_id: UUID) -> None:
        with self._units(tenant_id) as unit:
            if not unit.templates.delete(template_id):
                raise NotFound("There is no such template.")
            unit.commit()

    def preview(
        self, tenant_id: UUID, template_id: UUID, variables: Mapping[str, Any], contact_id: UUID | None
    ) -> Preview:
        """Render for one contact, or for a made-up one; nothing is stored."""
        template = self.get(tenant_id, template_id)
        contact = Contact(UUID(int=0), "ada@example.org", "Ada Example")
        if contact_id is not None:
            with self._units(tenant_id) as unit:
                contact = _existing(unit, contact_id)
        used = self._used(template)
        missing = [
            each.name
            for each in template.variables
            if each.name in used and each.required and each.default is None and each.name not in variables
        ]
        unused = [name for name in variables if name not in used]
        unused += [each.name for each in template.variables if each.name not in used and each.name not in unused]
        if missing:
            return Preview(None, missing, unused)
        link = self._links.url(tenant_id, contact.id)
        values = _values(template, contact, [], variables, link)
        return Preview(self._renderer.render(template, values), missing, unused)

    def draft(
        self,
        tenant_id: UUID,
        *,
        run_id: UUID,
        step: str,
        item: int,
        template: str,
        contact_id: UUID,
        evidence: Sequence[UUID],
        variables: Mapping[str, Any],
    ) -> Draft:
        """Render and store a draft, once for (run, step, item). `template` is a name or an id."""
        with self._units(tenant_id) as unit:
            found = _named(unit, template)
            contact = _existing(unit, contact_id)
            messages = unit.messages.get_many(list(evidence)[:_MAX_EVIDENCE])
            link = self._links.url(tenant_id, contact.id)
            content = self._renderer.render(found, _values(found, contact, messages, variables, link))
            draft = unit.drafts.add(
                Draft(
                    id=self._new_id(),
                    run_id=run_id,
                    step=step,
                    item=item,
                    contact_id=contact.id,
                    template_id=found.id,
                    template_version=found.version,
                    content=content,
                    sha256=content_hash(contact.id, content),
                    evidence=[message.id for message in messages],
                    created_at=self._now(),
                )
            )
            unit.commit()
        return draft

    def read_draft(self, tenant_id: UUID, draft_id: UUID) -> Draft:
        with self._units(tenant_id) as unit:
            found = unit.drafts.get(draft_id)
        if found is None:
            raise NotFound("There is no such draft.")
        return found

    def _check(self, template: Template) -> None:
        problems = []
        declared = [each.name for each in template.variables]
        for number, each in enumerate(template.variables):
            if not each.name.isidentifier() or each.name in BUILT_IN:
                problems.append(Problem(f"/variables/{number}/name", "A variable's name is an identifier of its own."))
            if declared.count(each.name) > 1:
                problems.append(Problem(f"/variables/{number}/name", "The variable is declared twice."))
            if each.default is not None and not _is_of_type(each.default, each.type):
                problems.append(Problem(f"/variables/{number}/default", f"The default is not a {each.type}."))
        for part in ("subject", "body_text", "body_html"):
            source = getattr(template, part)
            try:
                used = self._renderer.used_names(source or "")
            except InvalidInput as error:
                problems.append(Problem(f"/{part}", error.detail))
                continue
            unknown = sorted(used - BUILT_IN - set(declared))
            if unknown:
                problems.append(Problem(f"/{part}", f"It reads {', '.join(unknown)}: declare it under variables."))
        if problems:
            raise InvalidInput(problems[0].message, problems)

    def _used(self, template: Template) -> frozenset[str]:
        parts = (template.subject, template.body_text, template.body_html or "")
        return frozenset().union(*(self._renderer.used_names(part) for part in parts))


def content_hash(contact_id: UUID, content: Content) -> str:
    """SHA-256 of whom it goes to and all they will read, in a canonical JSON."""
    parts = [str(contact_id), content.subject, content.text, content.html]
    return sha256(json.dumps(parts, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _values(
    template: Template, contact: Contact, messages: Sequence[Message], variables: Mapping[str, Any], link: str
) -> dict[str, Any]:
    name = (contact.name or "").strip() or contact.address.partition("@")[0]
    values: dict[str, Any] = {
        "contact": {
            "email": contact.address,
            "name": name,
            "first_name": name.split()[0],
            **{key: value for key, value in contact.attributes.items() if key not in ("email", "name", "first_name")},
        },
        "evidence": [
            {
                "subject": message.subject,
                "sent_at": message.sent_at.date().isoformat() if message.sent_at else "",
                "excerpt": message.text[:_EXCERPT],
            }
            for message in messages
        ],
        "unsubscribe_url": link,
    }
    problems = []
    for each in template.variables:
        given = variables.get(each.name, each.default)
        if given is None:
            if each.required:
                problems.append(Problem(f"/variables/{each.name}", "The template needs this variable."))
            continue
        if not _is_of_type(given, each.type):
            problems.append(Problem(f"/variables/{each.name}", f"This is not a {each.type}."))
        values[each.name] = given
    if problems:
        raise InvalidInput(f"The template {template.name} cannot be filled in.", problems)
    return values


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
    raise InvalidInput(f"A variable's type is one of {', '.join(VARIABLE_TYPES)}.")


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _existing(unit: MessagingUnit, contact_id: UUID) -> Contact:
    contact = unit.contacts.get(contact_id)
    if contact is None:
        raise NotFound("There is no such contact.")
    return contact


def _named(unit: MessagingUnit, template: str) -> Template:
    try:
        found = unit.templates.get(UUID(template))
    except ValueError:
        found = unit.templates.by_name(template)
    if found is None:
        raise NotFound(f"There is no template {template!r}.")
    return found
