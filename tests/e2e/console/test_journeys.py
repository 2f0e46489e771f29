"""Three journeys through the console, as people make them."""

import json
import re
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from local.client import ApiClient, wait_until
from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.console.conftest import Desk, Person
from tests.e2e.test_bus import queue_url
from tests.e2e.test_failed_events_and_replays import envelope
from tests.e2e.test_second_factor import PASSWORD
from tests.fakes import mailboxes


def accept_questions(page: Page) -> None:
    page.once("dialog", lambda dialog: dialog.accept())


def last_mail_to(platform: Platform, client: ApiClient, contact_id: str, number: int) -> bytes:
    """Wait until the contact has got this number of emails, and return the newest one."""

    def sent() -> list[dict[str, str]]:
        emails = client.get("/emails", contact_id=contact_id)["items"]
        return [email for email in emails if email["status"] in ("sent", "delivered")]

    emails = wait_until(sent, lambda found: len(found) == number, 60)
    (raw,) = wait_until(lambda: api.sent_mails(platform, emails[0]["id"]), bool, 30)
    return raw


@pytest.mark.provokes_errors
def test_find_people_approve_and_answer_their_reply(
    admin: Person, desk: Desk, platform: Platform, tmp_path: Path
) -> None:
    client, word = desk.admin, uuid4().hex[:8]
    address = f"{word}@people.example"
    mailbox = tmp_path / "archive.mbox"
    mailbox.write_bytes(
        b"".join(
            f"From {sender} Sat Nov 21 10:00:00 2026\nFrom: {name} {word} <{sender}>\nTo: list@acme.example\n"
            f"Subject: The harpsichord {word}\nMessage-ID: <{sender}>\nDate: Sat, 21 Nov 2026 10:00:00 +0000\n\n"
            f"The strings of my harpsichord {word} break in winter, and nobody near us can repair them.\n\n".encode()
            for name, sender in (("Grace", address), ("Heidi", f"other-{address}"))
        )
    )
    # 1. Import an archive.
    page = admin.open("/imports")
    page.get_by_label("Mail archive").set_input_files(mailbox)
    page.get_by_role("button", name="Upload and import").click()
    expect(page.locator("h1")).to_have_text("Import of archive.mbox")
    expect(page.locator("#import .badge")).to_have_text("completed", timeout=60_000)

    # 2. Find people: nobody is chosen for the reader.
    page.get_by_role("link", name="Find people").last.click()
    page.get_by_label("Who are you looking for?").fill(f"Whose harpsichord {word} breaks in winter?")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("li.box").first.locator("blockquote").first).to_contain_text("break in winter")
    expect(page.locator("[data-count]")).to_contain_text("0 of")
    grace, heidi = (page.get_by_label(re.compile(rf"\d\. {name} {word}")) for name in ("Grace", "Heidi"))
    grace.check()
    heidi.check()
    # Who looks at a contact and comes back finds their choice.
    page.reload()
    expect(grace).to_be_checked()

    # 3. Write the email beside the people, and see what is wrong with it.
    page.get_by_role("button", name="Write the email").click()
    expect(page.get_by_label("Subject")).to_be_focused()
    page.get_by_label("Subject").fill("Your harpsichord")
    text = page.get_by_label("Text places")
    expect(text).to_have_value(re.compile(r"Hello {{ contact\.first_name }}"))
    text.fill("Dear {{ nme }},\n")
    page.get_by_role("button", name="Make 2 drafts").click()
    expect(page.get_by_role("alert")).to_contain_text("nme")
    expect(heidi).to_be_checked()
    text.fill("Dear {{ contact.name }}, you wrote: ")
    page.get_by_role("button", name="what they wrote").click()
    expect(text).to_have_value("Dear {{ contact.name }}, you wrote: {{ evidence[0].excerpt }}")
    page.get_by_role("button", name="Make 2 drafts").click()

    # 4. The page goes on to the approval by itself. Edit one draft, leave the other out, and approve.
    expect(page.locator("h1")).to_have_text(f"Whose harpsichord {word} breaks in winter?", timeout=60_000)
    of_grace, of_heidi = (page.locator("li.draft", has_text=name) for name in (f"Grace {word}", f"Heidi {word}"))
    expect(of_grace.get_by_label("Evidence")).to_contain_text("nobody near us can repair them")
    expect(of_heidi.get_by_label("Draft")).to_contain_text(f"Dear Heidi {word}, you wrote: The strings")
    expect(of_heidi.get_by_label("Draft")).to_contain_text("No more mail from us: http")
    of_heidi.get_by_label("Leave this one out").check()
    expect(of_heidi.get_by_label("Draft")).to_be_hidden()
    of_grace.get_by_role("link", name="Edit").click()
    page.get_by_label("Text", exact=True).fill("Dear Grace, we repair harpsichords. May we call you?")
    page.get_by_role("button", name="Save").click()
    expect(of_grace.get_by_label("Draft")).to_contain_text("we repair harpsichords")
    page.get_by_label("Reason or comment").fill("Good.")
    page.get_by_role("button", name="Approve and send 1, leave out 1").click()

    # 5. The page says what became of each email.
    expect(page.locator("#state")).to_contain_text("1 delivered, 1 left out", timeout=60_000)
    expect(page.locator("#state tr", has_text=f"Heidi {word}")).to_contain_text("left out")
    contact_id = client.get("/contacts", email=address)["items"][0]["id"]
    first = message_from_bytes(last_mail_to(platform, client, contact_id, 1), policy=default)
    assert text_of(first).startswith("Dear Grace, we repair harpsichords.")

    # 6. The answer appears in the open conversation within seconds, and the answer to it is sent in the same thread.
    page = admin.open(f"/contacts/{contact_id}")
    expect(page.locator("article.sent")).to_have_count(1)
    email = client.get("/emails", contact_id=contact_id)["items"][0]
    reply = api.reply_mail(address, desk.sender, email["provider_message_id"])
    api.deliver_inbound_mail(platform, reply)
    expect(page.locator("article.received")).to_have_count(2, timeout=60_000)
    page.get_by_label("Text", exact=True).fill("We come on Monday.\nIs ten o'clock right?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("being sent")
    second = message_from_bytes(last_mail_to(platform, client, contact_id, 2), policy=default)
    assert text_of(second).splitlines()[:2] == ["We come on Monday.", "Is ten o'clock right?"]
    assert email["provider_message_id"] in second["References"]
    assert second["Subject"].startswith("Re: ")
    expect(page.locator("article.sent")).to_have_count(2, timeout=30_000)


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_an_admin_invites_somebody_and_restricts_them(admin: Person) -> None:
    address = f"carol-{uuid4().hex[:8]}@desk.example"
    page = admin.open("/tenant")
    page.get_by_label("Address").fill(address)
    page.get_by_label("Role", exact=True).select_option("user")
    page.get_by_role("button", name="Invite").click()
    row = page.locator("tr", has_text=address)
    expect(row).to_contain_text("invited")
    row.get_by_label(f"Role of {address}").select_option("readonly")
    row.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("The role is changed")
    expect(row.get_by_label(f"Role of {address}")).to_have_value("readonly")
    # A dismissed question changes nothing.
    page.once("dialog", lambda dialog: dialog.dismiss())
    row.get_by_role("button", name="Remove").click()
    expect(row).to_be_visible()
    accept_questions(page)
    row.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("status")).to_contain_text("removed")
    expect(row).to_have_count(0)
    admin.open("/audit")
    expect(page.locator("main")).to_contain_text("member remove")


def test_an_operator_redrives_a_failed_event(operator: Person, platform: Platform) -> None:
    kind = f"Lost{uuid4().hex[:8]}"
    platform.aws("sqs").send_message(
        QueueUrl=queue_url(platform, "RecorderDeadLetters"),
        MessageBody=envelope(kind, {"secret": "of a tenant"}),
        MessageAttributes={"reason": {"DataType": "String", "StringValue": "unavailable: No answer."}},
    )
    client = platform["operator@platform"]
    wait_until(
        lambda: client.get("/events/failed", consumer="recorder", limit=200)["items"],
        lambda found: kind in json.dumps(found),
        30,
    )
    page = operator.open("/platform/events?consumer=recorder&status=failed")
    event = page.locator("article", has_text=kind)
    expect(event).to_contain_text("unavailable: No answer.")
    event.get_by_role("checkbox").check()
    accept_questions(page)
    page.get_by_role("button", name="Redrive").click()
    expect(page.get_by_role("status")).to_contain_text("Events sent to their consumer again: 1")
    wait_until(lambda: client.get("/events", type=kind)["items"], lambda items: len(items) == 1, 30)


@pytest.mark.provokes_errors
def test_an_operator_changes_settings_and_goes_back(operator: Person) -> None:
    page = operator.open("/platform/settings")
    before = page.get_by_label("Settings of the platform").input_value()
    settings = json.loads(before)
    settings["failed_events"]["parked_after"] = "many"
    page.get_by_label("Settings of the platform").fill(json.dumps(settings))
    accept_questions(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("parked_after")
    settings["failed_events"]["parked_after"] = 7
    page.get_by_label("Settings of the platform").fill(json.dumps(settings))
    accept_questions(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("stored")
    page.get_by_label("Settings of the platform").fill(before)
    accept_questions(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("stored")


def test_a_workflow_is_written_checked_run_and_compared(admin: Person) -> None:
    name = f"hello-{uuid4().hex[:8]}"
    definition = (
        f"name: {name}\ninputs:\n  type: object\n  required: [word]\n  properties:\n    word: {{type: string}}\n"
        "steps:\n  - id: first\n    uses: event.publish\n    with: {type: Said, data: {said: '{% $inputs.word %}'}}\n"
    )
    page = admin.open("/workflows/new")
    editor = page.get_by_label("Definition")
    editor.fill(definition.replace("uses: event.publish", "uses: nothing.at_all"))
    editor.press("End")
    # The message of the validator comes while one types, with the line.
    expect(page.locator("#problems")).to_contain_text("Line 9", timeout=10_000)
    editor.fill(definition)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text(name)
    page.get_by_label("word").fill("good day")
    page.get_by_role("button", name="Start a run").click()
    expect(page.locator("#run .badge").first).to_have_text("succeeded", timeout=60_000)
    expect(page.locator("tr", has_text="event.publish")).to_contain_text("succeeded")
    page.locator("#run").get_by_text("Show", exact=True).click()
    expect(page.locator("td details pre")).to_contain_text("event_id")
    expect(page.locator("pre").last).to_contain_text("good day")
    page.get_by_role("link", name="workflow", exact=True).click()
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Definition").fill(definition.replace("said:", "heard:"))
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Compare with version 1").click()
    expect(page.locator("pre")).to_contain_text("heard")


def test_contacts_come_from_a_spreadsheet_after_a_dry_run(admin: Person, desk: Desk, tmp_path: Path) -> None:
    word = uuid4().hex[:8]
    table = tmp_path / "people.csv"
    table.write_text(
        f'email;name;city\n{word}@people.example;"Ann; of\nBern";Bern\nno address;Bob;\n{word}@PEOPLE.example;Again;\n'
    )
    page = admin.open("/contacts/import")
    page.get_by_label("CSV file").set_input_files(table)
    page.get_by_role("button", name="Check the file").click()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    assert [rows.nth(row).locator("td").all_inner_texts()[::2] for row in range(3)] == [
        ["2", "added"], ["4", "invalid"], ["5", "exists"],
    ]  # fmt: skip
    client = desk.admin
    assert client.get("/contacts", email=f"{word}@people.example")["items"] == []
    page.get_by_role("button", name="Add 1 contact").click()
    expect(page.get_by_role("status")).to_contain_text("1 contact was added")
    (stored,) = client.get("/contacts", email=f"{word}@people.example")["items"]
    assert (stored["name"], stored["attributes"]) == ("Ann; of\nBern", {"city": "Bern"})


@pytest.mark.provokes_errors
def test_a_denial_needs_a_reason(admin: Person, desk: Desk) -> None:
    client = desk.admin
    contact, template = api.add_contact(client), api.add_template(client)
    run = api.start_run(client, api.mail_workflow(template["name"], [contact["id"]]))
    approval = api.wait_for_approval(client, run["id"])
    page = admin.open(f"/approvals/{approval['id']}")
    page.get_by_role("button", name=re.compile("^Deny")).click()
    expect(page.get_by_role("alert")).to_contain_text("Say why")
    page = admin.open(f"/approvals/{approval['id']}")
    page.get_by_label("Reason or comment").fill("Too long.")
    page.get_by_role("button", name=re.compile("^Deny")).click()
    expect(page.locator(".badge").first).to_have_text("denied")
    assert api.wait_for_run(client, run["id"])["status"] == "succeeded"
    assert api.emails_of(client, run["id"]) == []


def test_an_answer_of_somebody_who_may_not_send_waits_for_an_admin(
    sign_in: Callable[..., Person], desk: Desk, platform: Platform
) -> None:
    admin = desk.admin
    contact = api.add_contact(admin)
    person = sign_in(desk.user_name, PASSWORD)
    page = person.open(f"/contacts/{contact['id']}")
    page.get_by_label("Subject").fill("A question")
    page.get_by_label("Text", exact=True).fill("Do you have a minute?")
    page.get_by_role("button", name="Ask for approval").click()
    expect(page.get_by_role("status")).to_contain_text("An admin must approve it")

    def pending() -> list[dict[str, str]]:
        approvals = admin.get("/approvals", status="pending", limit=200)["items"]
        return [one for one in approvals if one["title"] == "Answer: A question"]

    (approval,) = wait_until(pending, bool, 60)
    assert admin.get("/emails", contact_id=contact["id"])["items"] == []
    admin.post(f"/approvals/{approval['id']}", {"decision": "approved"})
    last_mail_to(platform, admin, contact["id"], 1)


def test_mail_of_other_people_is_not_markup(admin: Person, desk: Desk) -> None:
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    content = mailboxes.ordinary(1).replace(b"Message number 0.", f"The zither says {markup}".encode())
    assert api.import_mailbox(desk.admin, content, f"{uuid4().hex}.mbox")["progress"]["stored"] == 1
    page = admin.open("/find?q=What+does+the+zither+say%3F&weak=true")
    expect(page.locator("blockquote").first).to_contain_text(markup)
    assert page.locator("main script, main img").count() == 0


def test_an_admin_adds_a_webhook_and_sees_why_it_fails(admin: Person) -> None:
    page = admin.open("/webhooks")
    page.get_by_label("URL").fill("https://10.0.0.1/hook")
    # Mail of other tests is delivered meanwhile: nobody complains.
    page.get_by_label("Events").fill("email.complained LeadCreated")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("pre")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have stored it").click()
    expect(page.locator("#deliveries")).to_contain_text("Nothing was sent yet")
    page.get_by_role("button", name="Send a test event").click()
    expect(page.locator("#deliveries")).to_contain_text("webhook.test")
    accept_questions(page)
    page.get_by_role("button", name="New secret").click()
    expect(page.locator("pre")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have stored it").click()
    accept_questions(page)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_contain_text("deleted")


def test_one_draft_is_left_out_and_the_others_are_sent(admin: Person, desk: Desk, platform: Platform) -> None:
    client, template = desk.admin, api.add_template(desk.admin)
    contacts = [api.add_contact(client, name) for name in ("Ann Example", "Bob Example")]
    run = api.start_run(client, api.mail_workflow(template["name"], [contact["id"] for contact in contacts]))
    approval = api.wait_for_approval(client, run["id"])
    page = admin.open(f"/approvals/{approval['id']}")
    entry = page.locator("[data-entry]", has_text="Bob Example")
    entry.get_by_label("Leave this one out").check()
    button = page.get_by_role("button", name="Approve and send 1, leave out 1")
    # A key that was pressed by accident changes nothing.
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("h1").click()
    page.keyboard.press("a")
    expect(button).to_be_visible()
    accept_questions(page)
    page.keyboard.press("a")
    expect(page.locator("[data-entry]", has_text="Bob Example")).to_contain_text("left out: not sent")
    last_mail_to(platform, client, contacts[0]["id"], 1)
    (left_out,) = wait_until(lambda: client.get("/emails", contact_id=contacts[1]["id"])["items"], bool, 30)
    assert (left_out["status"], left_out["error"]) == ("rejected", "not sent: the approver left it out")
    assert api.wait_for_run(client, run["id"])["status"] == "succeeded"


@pytest.mark.parametrize("forged", ["?notice=Your+account+is+locked", "?notice=Your+account+is+locked&proof=0"])
def test_a_link_from_elsewhere_cannot_make_the_console_say_something(admin: Person, forged: str) -> None:
    page = admin.open(f"/contacts{forged}")
    assert "locked" not in page.locator("main").inner_text()
