"""The product's main job, over HTTP, on the deployed template."""

from collections import Counter
from email import message_from_bytes
from email.policy import default

import httpx
import pytest

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import steps

QUERY = "people who package RPMs and hit dependency problems"


@pytest.fixture(scope="module")
def mailbox(platform: Platform) -> steps.Json:
    return steps.import_mailbox(platform["user@acme"], steps.MAILBOX.read_bytes(), steps.MAILBOX.name)


@pytest.fixture(scope="module")
def finished(platform: Platform, mailbox: steps.Json) -> steps.Json:
    assert mailbox["status"] == "completed"
    body = "You wrote: {{ evidence[0].excerpt }}\n{{ unsubscribe_url }}\n"
    steps.add_template(platform["user@acme"], name="intro", subject="About {{ evidence[0].subject }}", body_text=body)
    run = steps.start(platform["user@acme"], steps.OUTREACH, {"query": QUERY, "people": 3})
    steps.decide(platform["admin@acme"], run["id"], "approved")
    return steps.wait_run(platform["user@acme"], run["id"], "succeeded")


def test_every_message_of_the_mailbox_is_stored(mailbox: steps.Json) -> None:
    progress = mailbox["progress"]
    assert (progress["messages"], progress["stored"], progress["failed"]) == (300, 300, 0)
    assert progress["chunks"] == progress["chunks_done"]
    assert mailbox["errors"]["items"] == []


def test_words_find_people_and_the_messages_that_say_so(platform: Platform, mailbox: steps.Json) -> None:
    client = platform["readonly@acme"]
    found = client.post(
        "/vectors/search", {"collection": "message_vectors", "text": QUERY, "limit": 5, "group_by": "contact"}
    )
    scores = [group["score"] for group in found["groups"]]
    assert scores == sorted(scores, reverse=True)
    assert len({group["key"] for group in found["groups"]}) == 5
    first = found["groups"][0]
    messages = client.get("/messages", id=[hit["id"] for hit in first["hits"]])["items"]
    assert all(message["contact_id"] == first["key"] for message in messages)
    assert "rpm" in " ".join(message["subject"] + message["text"] for message in messages).lower()


def test_the_other_tenant_finds_none_of_it(platform: Platform, mailbox: steps.Json) -> None:
    asked = {"collection": "message_vectors", "text": QUERY, "limit": 100}
    # Other tests share these tenants; what they inserted has other ids than a message's.
    ours = {
        hit["id"] for hit in platform["admin@acme"].post("/vectors/search", asked)["results"] if _is_uuid(hit["id"])
    }
    theirs = {hit["id"] for hit in platform["admin@globex"].post("/vectors/search", asked)["results"]}
    assert len(ours) > 90
    assert not ours & theirs
    wanted = sorted(ours)[:50]
    assert len(platform["admin@acme"].get("/messages", id=wanted)["items"]) >= 49
    assert platform["admin@globex"].get("/messages", id=wanted)["items"] == []


def _is_uuid(value: str | int) -> bool:
    return isinstance(value, str) and len(value) == 36


def test_replies_share_a_thread(platform: Platform, mailbox: steps.Json) -> None:
    rows = platform.look(
        "select thread_id, count(*) from email_sender.messages where import_id = %s group by 1", mailbox["id"]
    )
    assert None not in {row["thread_id"] for row in rows}
    assert 50 < len(rows) < 150
    assert max(row["count"] for row in rows) > 5


def test_bodies_and_addresses_are_not_readable_at_rest(platform: Platform, mailbox: steps.Json) -> None:
    messages = platform.look("select content_enc from email_sender.messages limit 100")
    contacts = platform.look("select address_enc, name_enc from email_sender.contacts")
    stored = b"".join(value for row in [*messages, *contacts] for value in row.values() if value)
    assert len(stored) > 10_000
    assert b"subject" not in stored
    assert b".example" not in stored


def test_the_run_did_each_step_and_says_how_long_it_took(finished: steps.Json) -> None:
    assert finished["status"] == "succeeded", finished["error"]
    done = Counter((step["step"], step["status"]) for step in finished["steps"])
    assert done == {
        ("select", "succeeded"): 1,
        ("draft", "succeeded"): 3,
        ("review", "succeeded"): 1,
        ("send", "succeeded"): 3,
    }
    assert all(step["took_ms"] >= 0 and step["attempts"] == 1 for step in finished["steps"])


def test_what_left_is_what_was_approved(platform: Platform, finished: steps.Json) -> None:
    emails = steps.emails_of(platform["user@acme"], finished["id"])
    assert len(emails) == 3
    for email in emails:
        steps.wait_email(platform["user@acme"], email["id"], "delivered")
        (raw,) = wait_until(lambda: steps.mails_tagged(platform, email["id"]), bool, 20)  # noqa: B023
        mail = message_from_bytes(raw, policy=default)
        draft = platform["user@acme"].get(f"/drafts/{email['draft_id']}")
        body = mail.get_body()
        assert body is not None
        assert mail["subject"].strip() == draft["subject"]
        assert body.get_content().splitlines() == draft["text"].splitlines()
        assert draft["sha256"] == email["sha256"]
        assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert not [name for name in mail if name.lower().startswith("x-ses")]
        # One plain header: encoded words here would be no link to any mail client.
        assert f"\nList-Unsubscribe: <{platform.cloud.api_url}/api/v1/unsubscribe/v1.".encode() in raw


def test_every_event_of_the_run_is_recorded_once(platform: Platform, finished: steps.Json) -> None:
    events = steps.events_of(platform["readonly@acme"], finished["id"], "run.succeeded")
    counted = Counter(event["type"] for event in events)
    assert counted["run.started"] == counted["run.succeeded"] == 1
    assert counted["approval.requested"] == counted["approval.decided"] == 1
    assert counted["run.step.completed"] == 7
    assert counted["email.queued"] == counted["email.sent"] == 3
    assert len({event["id"] for event in events}) == len(events)
    assert {event["source"] for event in events} == {"email_sender.workflows", "email_sender.messaging"}
    assert platform["admin@globex"].get("/events", correlation_id=finished["id"])["items"] == []


def test_a_link_unsubscribes_by_post_and_not_by_get(platform: Platform, finished: steps.Json) -> None:
    email = steps.emails_of(platform["user@acme"], finished["id"])[0]
    (raw,) = steps.mails_tagged(platform, email["id"])
    link = str(message_from_bytes(raw, policy=default)["list-unsubscribe"]).strip("<>")
    address = platform["user@acme"].get(f"/contacts/{email['contact_id']}")["email"]

    def suppressed() -> list[str]:
        return [each["email"] for each in platform["user@acme"].get("/suppressions", limit=200)["items"]]

    page = httpx.get(link)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert address not in suppressed()

    form = {"List-Unsubscribe": "One-Click"}
    assert httpx.post(link, data=form, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert address not in suppressed()
    assert httpx.post(link, data=form).status_code == 200
    assert httpx.post(link, data=form).status_code == 200
    assert suppressed().count(address) == 1
    assert httpx.post(link[:-3] + "AAA").status_code == 404

    events = wait_until(lambda: platform["user@acme"].get("/events", type="contact.unsubscribed")["items"], bool, 30)
    assert [event["aggregate_id"] for event in events] == [email["contact_id"]]

    template = steps.add_template(platform["user@acme"])["name"]
    again = steps.start(platform["user@acme"], steps.letter(template, [email["contact_id"]]))
    steps.decide(platform["admin@acme"], again["id"], "approved")
    run = steps.wait_run(platform["user@acme"], again["id"])
    assert run["status"] == "succeeded", run["error"]
    (second,) = steps.emails_of(platform["user@acme"], again["id"])
    assert second["status"] == "suppressed"
    assert steps.mails_tagged(platform, second["id"]) == []
