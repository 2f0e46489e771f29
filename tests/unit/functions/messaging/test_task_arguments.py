"""What the actions of messaging read from a step's `with`."""

from uuid import UUID, uuid4

import pytest

from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import TaskCall
from email_sender.security.permissions import Role
from messaging_lambda.events.tasks import RenderIn


def contact_of(contact: object, **others: object) -> UUID | str | None:
    arguments = {"template": "hello", "contact": contact, **others}
    call = TaskCall(uuid4(), uuid4(), "draft", -1, arguments, started_by="ann", role=Role.ADMIN)
    return call.parse(RenderIn).contact


def test_a_contact_of_a_draft_is_an_id_or_an_address() -> None:
    contact_id = uuid4()
    assert contact_of(str(contact_id)) == contact_id
    assert contact_of("Ann <ann@example.org>") == "Ann <ann@example.org>"


def test_a_draft_that_answers_a_message_needs_no_contact() -> None:
    assert contact_of(None, answers=str(uuid4())) is None
    with pytest.raises(InvalidInput, match="Contact is missing"):
        contact_of(None, answers="")
    with pytest.raises(InvalidInput, match="UUID"):
        contact_of(None, answers="18c2f00aa")


def test_an_answer_has_the_sender_and_the_conversation_of_its_message() -> None:
    message, contact = str(uuid4()), str(uuid4())
    assert contact_of(contact, answers=message) == UUID(contact)
    for arguments in ({"contact": "ann@example.org"}, {"contact": contact, "follows": str(uuid4())}):
        with pytest.raises(InvalidInput, match="leave out follows and the address"):
            contact_of(**arguments, answers=message)


@pytest.mark.parametrize("contact", ["", None, 7, {"id": str(uuid4())}])
def test_anything_else_is_refused(contact: object) -> None:
    with pytest.raises(InvalidInput):
        contact_of(contact)
