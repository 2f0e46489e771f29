"""Tests for templates, previews and drafts, with fake stores and the real renderer."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.mail.jinja_renderer import JinjaRenderer
from email_sender.adapters.mail.unsubscribe_links import LinkKeys, SignedUnsubscribeLinks
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import Contact, Content, Draft, Message, Template, Variable
from email_sender.messaging.passages import topic_of
from email_sender.messaging.templates import TemplateService, content_hash
from tests.fakes.messaging import FakeMessagingUnits, State

TENANT = UUID(int=1)
AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
ANN = Contact(new_id(), "ann@example.org", "Ann Lee", {"team": "blue", "email": "spoofed"})
VARIABLES = (Variable("product", "string"), Variable("count", "number", required=False, default=3))
INTRO = Template(
    new_id(), "intro", 1, "About {{ product }}", "Dear {{ contact.first_name }}, {{ count }}. {{ unsubscribe_url }}",
    "<p>{{ evidence[0].excerpt }}</p>", VARIABLES,
)  # fmt: skip


@pytest.fixture
def units() -> FakeMessagingUnits:
    units = FakeMessagingUnits()
    units.states[TENANT] = State(contacts={ANN.id: ANN}, templates={INTRO.id: INTRO})
    return units


@pytest.fixture
def service(units: FakeMessagingUnits) -> TemplateService:
    links = SignedUnsubscribeLinks(lambda: LinkKeys("k1", {"k1": b"secret"}), "https://mail.example")
    return TemplateService(units, JinjaRenderer(), links, lambda: AT, new_id)


def draft(service: TemplateService, **changes: Any) -> Draft:
    defaults = {
        "run_id": UUID(int=7), "step": "draft", "item": 0, "template": "intro", "contact_id": ANN.id, "evidence": [],
        "variables": {"product": "Disk"},
    }  # fmt: skip
    return service.draft(TENANT, **{**defaults, **changes})


@pytest.fixture
def evidence(units: FakeMessagingUnits) -> Message:
    message = Message(new_id(), ANN.id, None, AT, "Full", "x" * 1000)
    units.states[TENANT].messages[message.id] = message
    return message


def test_a_draft_is_rendered_for_its_contact_with_its_evidence(service: TemplateService, evidence: Message) -> None:
    created_draft = draft(service, evidence=[evidence.id])
    assert created_draft.content.subject == "About Disk"
    assert created_draft.content.text.startswith("Dear Ann, 3. https://mail.example/api/v1/unsubscribe/v1.k1.")
    assert created_draft.content.html == f"<p>{'x' * 399}…</p>"
    assert (created_draft.template_id, created_draft.template_version, list(created_draft.evidence)) == (
        INTRO.id,
        1,
        [evidence.id],
    )
    assert created_draft.sha256 == content_hash(ANN.id, created_draft.content)


def test_a_run_step_and_item_has_one_draft_however_often_it_is_rendered(
    service: TemplateService, evidence: Message
) -> None:
    first = draft(service, evidence=[evidence.id])
    assert draft(service, evidence=[evidence.id], variables={"product": "Other"}) == first
    assert draft(service, evidence=[evidence.id], item=1).id != first.id


def test_an_answer_to_a_message_goes_to_its_sender_with_its_subject(
    service: TemplateService, units: FakeMessagingUnits
) -> None:
    message = Message(new_id(), ANN.id, None, AT, "Price of\n the disk", "What does it cost?", "m1@x.example")
    units.states[TENANT].messages[message.id] = message
    answer = draft(service, contact_id=None, template=plain(units), answers=message.id)
    assert (answer.contact_id, answer.answers, answer.follows) == (ANN.id, message.id, None)
    assert answer.content.subject == "Re: Price of the disk"
    assert list(answer.evidence) == [message.id], "who approves the answer reads the message"
    again = draft(service, template=plain(units), answers=message.id, evidence=[message.id], item=1)
    assert (again.contact_id, list(again.evidence)) == (ANN.id, [message.id])


def test_a_draft_answers_only_messages_of_its_contact(service: TemplateService, units: FakeMessagingUnits) -> None:
    foreign = Message(new_id(), new_id(), None, AT, "Hello", "Hello.")
    nobodys = Message(new_id(), None, None, AT, "Hello", "Hello.")
    units.states[TENANT].messages |= {foreign.id: foreign, nobodys.id: nobodys}
    for message_id, contact_id in ((foreign.id, ANN.id), (nobodys.id, None), (new_id(), ANN.id)):
        with pytest.raises(InvalidInput, match="a received message that the contact wrote"):
            draft(service, template=plain(units), contact_id=contact_id, answers=message_id)
    with pytest.raises(NotFound):
        draft(service, template=plain(units), contact_id=None)


def plain(units: FakeMessagingUnits) -> str:
    template = Template(new_id(), f"plain-{new_id()}", 1, "Hello", "Text", None, ())
    units.states[TENANT].templates[template.id] = template
    return str(template.id)


def test_a_template_is_found_by_its_name_or_its_id(service: TemplateService, evidence: Message) -> None:
    assert draft(service, template=str(INTRO.id), evidence=[evidence.id]).template_id == INTRO.id
    for unknown in ("nothing", str(new_id())):
        with pytest.raises(NotFound):
            draft(service, template=unknown)


@pytest.mark.parametrize(
    ("variables", "pointer"),
    [
        ({}, "/variables/product"),
        ({"product": None}, "/variables/product"),
        ({"product": 3}, "/variables/product"),
        ({"product": "x", "count": "3"}, "/variables/count"),
        ({"product": "x", "count": True}, "/variables/count"),
    ],
)
def test_a_missing_or_mistyped_variable_is_named(
    service: TemplateService, variables: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        draft(service, variables=variables)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@pytest.mark.parametrize(
    ("name", "greeting"),
    [(None, "Dear,"), ("", "Dear,"), ("   ", "Dear,"), ("Bob", "Dear Bob,"), (" Bob  Lee", "Dear Bob,")],
)
def test_a_contact_can_be_greeted_whatever_its_name_is(
    service: TemplateService, units: FakeMessagingUnits, evidence: Message, name: str | None, greeting: str
) -> None:
    bob = Contact(new_id(), "bob@example.org", name)
    units.states[TENANT].contacts[bob.id] = bob
    bobs_message = replace(evidence, id=new_id(), contact_id=bob.id)
    units.states[TENANT].messages[bobs_message.id] = bobs_message
    created_draft = draft(service, contact_id=bob.id, evidence=[bobs_message.id])
    assert created_draft.content.text.startswith(f"{greeting} ")


@pytest.mark.parametrize("writer", [None, UUID(int=99)])
def test_a_draft_never_quotes_what_somebody_else_wrote(
    service: TemplateService, units: FakeMessagingUnits, evidence: Message, writer: UUID | None
) -> None:
    foreign_message = replace(evidence, id=new_id(), contact_id=writer)
    units.states[TENANT].messages[foreign_message.id] = foreign_message
    with pytest.raises(InvalidInput, match="did not write the message") as caught:
        draft(service, evidence=[evidence.id, foreign_message.id])
    assert str(foreign_message.id) in caught.value.detail
    assert units.states[TENANT].drafts == {}


def test_a_contacts_attributes_do_not_hide_its_address(service: TemplateService, units: FakeMessagingUnits) -> None:
    template = Template(new_id(), "t", 1, "s", "{{ contact.email }} {{ contact.team }}")
    units.states[TENANT].templates[template.id] = template
    assert draft(service, template="t").content.text == "ann@example.org blue"


def test_a_variable_cannot_replace_a_built_in_value(service: TemplateService, units: FakeMessagingUnits) -> None:
    template = Template(new_id(), "t", 1, "s", "{{ unsubscribe_url }}")
    units.states[TENANT].templates[template.id] = template
    created_draft = draft(service, template="t", variables={"unsubscribe_url": "https://evil.example", "contact": {}})
    assert created_draft.content.text.startswith("https://mail.example/")


def test_the_content_hash_covers_contact_subject_text_and_html() -> None:
    base = Content("s", "t", "h")
    others = [replace(base, subject="x"), replace(base, text="x"), replace(base, html=None), Content("st", "", "h")]
    hashes = {content_hash(ANN.id, content) for content in (base, *others)} | {content_hash(new_id(), base)}
    assert len(hashes) == 6


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"subject": "{{ nobody }}"}, "/subject"),
        ({"body_text": "{{ nobody.name }}"}, "/body_text"),
        ({"body_html": "{% for %}"}, "/body_html"),
        ({"variables": (*VARIABLES, Variable("contact", "string"))}, "/variables/2/name"),
        ({"variables": (*VARIABLES, Variable("not a name", "string"))}, "/variables/2/name"),
        ({"variables": (*VARIABLES, Variable("when", "date", default="soon"))}, "/variables/2/default"),
        ({"variables": (*VARIABLES, Variable("product", "string"))}, "/variables/2/name"),
    ],
)
def test_an_unusable_template_is_rejected_with_a_pointer(
    service: TemplateService, units: FakeMessagingUnits, changes: dict[str, Any], pointer: str
) -> None:
    template = replace(INTRO, id=new_id(), name="new", **changes)
    with pytest.raises(InvalidInput) as caught:
        service.create(TENANT, template, "ann")
    assert pointer in {problem.pointer for problem in caught.value.problems}
    assert template.id not in units.states[TENANT].templates


def test_creating_a_template_is_idempotent_and_names_are_unique(service: TemplateService) -> None:
    template = replace(INTRO, id=new_id(), name="new")
    assert service.create(TENANT, template, "ann") == service.create(TENANT, template, "ann") == template
    with pytest.raises(Conflict):
        service.create(TENANT, replace(template, id=new_id()), "ann")


def test_an_update_is_a_new_version_and_needs_the_current_one(service: TemplateService) -> None:
    assert service.update(TENANT, replace(INTRO, subject="New"), 1, "ann").version == 2
    with pytest.raises(Conflict, match="at version 2, not 1"):
        service.update(TENANT, INTRO, 1, "ann")
    assert service.update(TENANT, INTRO, None, "ann").version == 3
    assert service.get(TENANT, INTRO.id).version == 3


def test_a_preview_lists_missing_and_unused_variables_and_stores_nothing(
    service: TemplateService, units: FakeMessagingUnits
) -> None:
    template = replace(INTRO, id=new_id(), name="plain", body_html=None, variables=(*VARIABLES, Variable("x", "list")))
    service.create(TENANT, template, "ann")
    incomplete_preview = service.preview(TENANT, template.id, {"y": 1}, None)
    assert (incomplete_preview.content, list(incomplete_preview.missing), list(incomplete_preview.unused)) == (
        None,
        ["product"],
        ["y", "x"],
    )
    # A required variable is needed even if the template does not read it.
    preview = service.preview(TENANT, template.id, {"product": "Disk", "x": []}, ANN.id)
    assert preview.content is not None
    assert preview.content.text.startswith("Dear Ann, 3.")
    assert units.states[TENANT].drafts == {}


def test_a_preview_of_a_template_with_evidence_says_why_it_fails(service: TemplateService) -> None:
    template = Template(new_id(), "quote", 1, "Hello", "You wrote: {{ evidence[0].excerpt }}")
    service.create(TENANT, template, "ann")
    with pytest.raises(InvalidInput) as caught:
        service.preview(TENANT, template.id, {}, ANN.id)
    assert caught.value.detail == (
        "The template reads evidence[0], but evidence is empty. The archive has no message of this contact to quote."
    )


def test_templates_and_drafts_of_another_tenant_are_not_found(service: TemplateService) -> None:
    stranger = UUID(int=2)
    for operation in (
        lambda: service.get(stranger, INTRO.id),
        lambda: service.update(stranger, INTRO, None, "eve"),
        lambda: service.delete(stranger, INTRO.id),
        lambda: service.preview(stranger, INTRO.id, {}, None),
        lambda: service.preview(TENANT, INTRO.id, {}, new_id()),
    ):
        with pytest.raises(NotFound):
            operation()


@pytest.mark.parametrize(
    ("subject", "topic"),
    [
        ("Re: [ILUG] rpm dependencies", "rpm dependencies"),
        ("AW: WG: Angebot", "Angebot"),
        ("RE[2]: Fwd: [a list] Re: Offer", "Offer"),
        ("[1] A footnote", "A footnote"),
        ("Regarding: this", "Regarding: this"),
        ("回复\uff1a报价", "报价"),
        ("Re:", "Re:"),
        ("", ""),
    ],
)
def test_a_topic_is_a_subject_without_the_marks_of_mail_programs(subject: str, topic: str) -> None:
    assert topic_of(subject) == topic
