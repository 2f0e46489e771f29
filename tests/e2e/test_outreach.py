"""The main use case over HTTP on the deployed template: import, search, approve, send, unsubscribe."""

import time
from collections import Counter
from email import message_from_bytes
from email.policy import default

import httpx
import pytest

from local.client import wait_until
from tests.conftest import Platform
from tests.e2e import api

QUERY = "people who package RPMs and hit dependency problems"


@pytest.fixture(scope="module")
def mailbox_import(platform: Platform) -> api.Json:
    return api.import_mailbox(platform["user@acme"], api.MAILBOX.read_bytes(), api.MAILBOX.name)


@pytest.fixture(scope="module")
def finished_run(platform: Platform, mailbox_import: api.Json) -> api.Json:
    assert mailbox_import["status"] == "completed"
    body = "You wrote: {{ evidence[0].excerpt }}\n{{ unsubscribe_url }}\n"
    api.add_template(platform["user@acme"], name="intro", subject="About {{ evidence[0].subject }}", body_text=body)
    run = api.start_run(platform["user@acme"], api.OUTREACH, {"query": QUERY, "people": 3})
    api.decide(platform["admin@acme"], run["id"], "approved")
    return api.wait_for_run(platform["user@acme"], run["id"], "succeeded")


def test_the_story_of_an_email_is_complete_and_in_order(platform: Platform, finished_run: api.Json) -> None:
    client = platform["user@acme"]
    email = client.get("/emails", run_id=finished_run["id"])["items"][0]
    story = wait_until(
        lambda: client.get(f"/emails/{email['id']}/story")["items"],
        lambda items: any(item["what"] == "report.delivery" for item in items),
        30,
    )
    assert [item["at"] for item in story] == sorted(item["at"] for item in story)
    by_kind = {item["what"]: item for item in story}
    order = ["run.started", "draft.made", "approval.requested", "approval.approved", "email.claimed", "email.sent"]
    places = [list(by_kind).index(kind) for kind in order]
    assert places == sorted(places)
    assert by_kind["run.started"]["details"]["version"] == 1
    assert by_kind["draft.made"]["details"]["evidence"]
    # The hash that was approved is the hash that was sent.
    approved = {draft["draft_id"]: draft["sha256"] for draft in by_kind["approval.approved"]["details"]["drafts"]}
    claim = by_kind["email.claimed"]["details"]
    assert approved[claim["draft_id"]] == claim["sha256"] == by_kind["draft.made"]["details"]["sha256"]
    assert by_kind["approval.approved"]["who"]
    # The only @ is in the ids of messages that SES gave.
    details = str([item["details"] for item in story])
    assert "@" not in details.replace("@email.amazonses.com", "")


def test_the_story_of_a_run_has_every_email(platform: Platform, finished_run: api.Json) -> None:
    started = time.perf_counter()
    story = platform["readonly@acme"].get(f"/runs/{finished_run['id']}/story")["items"]
    assert time.perf_counter() - started < 20
    kinds = Counter(item["what"] for item in story)
    assert kinds["draft.made"] == kinds["email.claimed"] == kinds["email.sent"] == 3
    assert story[0]["what"] == "run.started"
    assert story[-1]["what"] in ("run.succeeded", "report.delivery")


def test_a_story_belongs_to_its_tenant(platform: Platform, finished_run: api.Json) -> None:
    email = platform["user@acme"].get("/emails", run_id=finished_run["id"])["items"][0]
    stranger = platform["user@globex"].http
    assert stranger.get(f"/runs/{finished_run['id']}/story").status_code == 404
    assert stranger.get(f"/emails/{email['id']}/story").status_code == 404


def test_every_message_of_the_mailbox_is_stored(mailbox_import: api.Json) -> None:
    progress = mailbox_import["progress"]
    assert (progress["messages"], progress["stored"], progress["failed"]) == (300, 300, 0)
    assert progress["chunks"] == progress["chunks_done"]
    assert mailbox_import["errors"]["items"] == []


def test_a_text_search_finds_people_and_their_messages(platform: Platform, mailbox_import: api.Json) -> None:
    client = platform["readonly@acme"]
    search_result = client.post(
        "/vectors/search", {"collection": "message_vectors", "text": QUERY, "limit": 5, "group_by": "contact"}
    )
    scores = [group["score"] for group in search_result["groups"]]
    assert scores == sorted(scores, reverse=True)
    assert len({group["key"] for group in search_result["groups"]}) == 5
    first = search_result["groups"][0]
    messages = client.get("/messages", id=[hit["id"] for hit in first["hits"]])["items"]
    assert all(message["contact_id"] == first["key"] for message in messages)
    assert "rpm" in " ".join(message["subject"] + message["text"] for message in messages).lower()


@pytest.mark.parametrize(("username", "address"), [("user@acme", ".example"), ("readonly@acme", "****")])
def test_each_hit_shows_its_message_and_the_passage_that_matches(
    platform: Platform, mailbox_import: api.Json, username: str, address: str
) -> None:
    client = platform[username]
    query = {"collection": "message_vectors", "text": QUERY, "limit": 5, "group_by": "contact"}
    for group in client.post("/vectors/search", query)["groups"]:
        assert group["hits"][0]["message"]["subject"] in group["reason"] or "…" in group["reason"]
        for hit in group["hits"]:
            (message,) = client.get("/messages", id=[hit["id"]])["items"]
            shown = hit["message"]
            assert (shown["subject"], shown["sent_at"]) == (message["subject"], message["sent_at"])
            # Readers see neither the address of the sender nor those in the passage, which keeps its place.
            assert shown["sender"]["email"].endswith(address)
            passage = shown["passage"]
            assert " ".join(message["text"][passage["start"] : passage["end"]].split()) == passage["text"] != ""


def test_nobody_is_found_where_nobody_matches(platform: Platform, finished_run: api.Json) -> None:
    query = {"collection": "message_vectors", "text": "Who wants to lease an oven for a bakery?", "group_by": "contact"}
    answer = platform["readonly@acme"].post("/vectors/search", query)
    assert (answer["groups"], answer["count"]) == ([], 0)
    assert "a match begins at" in answer["nobody"]
    weak_answer = platform["readonly@acme"].post("/vectors/search", {**query, "weak_matches": True})
    assert len(weak_answer["groups"]) == 10
    assert "nobody" not in weak_answer
    inputs = {"query": "Who wants to lease an oven for a bakery?", "people": 3}
    run = platform["user@acme"].post(f"/workflows/{finished_run['workflow_id']}/execute", {"inputs": inputs})
    # Nobody gets an email.
    api.decide(platform["admin@acme"], run["id"], "approved")
    api.wait_for_run(platform["user@acme"], run["id"], "succeeded")
    assert api.emails_of(platform["user@acme"], run["id"]) == []


def test_a_time_in_the_question_is_a_condition(platform: Platform, mailbox_import: api.Json) -> None:
    query = {"collection": "message_vectors", "text": f"In October 2002, {QUERY}", "limit": 20}
    answer = platform["readonly@acme"].post("/vectors/search", query)
    assert answer["period"] == {"since": "2002-10-01T00:00:00Z", "until": "2002-11-01T00:00:00Z"}
    assert {hit["message"]["sent_at"][:7] for hit in answer["results"]} <= {"2002-10", "2002-09"}
    answer = platform["readonly@acme"].post("/vectors/search", {**query, "text": f"In May 1999, {QUERY}"})
    assert answer["nobody"] == "The archive has no message of a person between 1999-05-01 and 1999-05-31."


def test_a_draft_quotes_the_passage_that_was_found(platform: Platform, finished_run: api.Json) -> None:
    steps = finished_run["steps"]
    (selected,) = [step["result"] for step in steps if step["step"] == "select"]
    for step in (step for step in steps if step["step"] == "draft"):
        hit = selected["groups"][step["item"]]["hits"][0]
        (message,) = platform["user@acme"].get("/messages", id=[hit["id"]])["items"]
        passage = message["text"][hit["passage"]["start"] : hit["passage"]["end"]]
        draft = platform["user@acme"].get(f"/drafts/{step['result']['draft_id']}")
        quoted = " ".join(draft["text"].partition("You wrote:")[2].split())
        assert quoted[:40] in " ".join(passage.split())


def test_the_other_tenant_finds_nothing_of_it(platform: Platform, mailbox_import: api.Json) -> None:
    query = {"collection": "message_vectors", "text": QUERY, "limit": 100, "weak_matches": True}
    # Other tests share these tenants; the points that they inserted have no message ids.
    own_hits = {
        hit["id"] for hit in platform["admin@acme"].post("/vectors/search", query)["results"] if _is_uuid(hit["id"])
    }
    other_hits = {hit["id"] for hit in platform["admin@globex"].post("/vectors/search", query)["results"]}
    assert len(own_hits) > 90
    assert not own_hits & other_hits
    message_ids = sorted(own_hits)[:50]
    assert len(platform["admin@acme"].get("/messages", id=message_ids)["items"]) >= 49
    assert platform["admin@globex"].get("/messages", id=message_ids)["items"] == []


def _is_uuid(value: str | int) -> bool:
    return isinstance(value, str) and len(value) == 36


def test_replies_share_a_thread(platform: Platform, mailbox_import: api.Json) -> None:
    rows = platform.query(
        "select thread_id, count(*) from email_sender.messages where import_id = %s group by 1", mailbox_import["id"]
    )
    assert None not in {row["thread_id"] for row in rows}
    assert 50 < len(rows) < 150
    assert max(row["count"] for row in rows) > 5


def test_bodies_and_addresses_are_encrypted_at_rest(platform: Platform, mailbox_import: api.Json) -> None:
    messages = platform.query("select content_enc from email_sender.messages limit 100")
    contacts = platform.query("select address_enc, name_enc from email_sender.contacts")
    encrypted_data = b"".join(value for row in [*messages, *contacts] for value in row.values() if value)
    assert len(encrypted_data) > 10_000
    assert b"subject" not in encrypted_data
    assert b".example" not in encrypted_data


def test_the_run_completed_each_step_and_reports_durations(finished_run: api.Json) -> None:
    assert finished_run["status"] == "succeeded", finished_run["error"]
    step_counts = Counter((step["step"], step["status"]) for step in finished_run["steps"])
    assert step_counts == {
        ("select", "succeeded"): 1,
        ("draft", "succeeded"): 3,
        ("review", "succeeded"): 1,
        ("send", "succeeded"): 3,
    }
    assert all(step["took_ms"] >= 0 and step["attempts"] == 1 for step in finished_run["steps"])


def test_the_sent_mail_is_the_approved_draft(platform: Platform, finished_run: api.Json) -> None:
    emails = api.emails_of(platform["user@acme"], finished_run["id"])
    assert len(emails) == 3
    for email in emails:
        api.wait_for_email(platform["user@acme"], email["id"], "delivered")
        (raw,) = wait_until(lambda: api.sent_mails(platform, email["id"]), bool, 20)  # noqa: B023
        mail = message_from_bytes(raw, policy=default)
        draft = platform["user@acme"].get(f"/drafts/{email['draft_id']}")
        body = mail.get_body()
        assert body is not None
        assert mail["subject"].strip() == draft["subject"]
        assert body.get_content().splitlines() == draft["text"].splitlines()
        assert draft["sha256"] == email["sha256"]
        assert mail["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        assert not [name for name in mail if name.lower().startswith("x-ses")]
        # The header must be plain: mail clients find no link in encoded words.
        assert f"\nList-Unsubscribe: <{platform.cloud.api_url}/api/v1/unsubscribe/v1.".encode() in raw


def test_every_event_of_the_run_is_recorded_once(platform: Platform, finished_run: api.Json) -> None:
    events = api.wait_for_events(platform["readonly@acme"], finished_run["id"], "run.succeeded")
    event_counts = Counter(event["type"] for event in events)
    assert event_counts["run.started"] == event_counts["run.succeeded"] == 1
    assert event_counts["approval.requested"] == event_counts["approval.decided"] == 1
    assert event_counts["run.step.completed"] == 7
    assert event_counts["email.queued"] == event_counts["email.sent"] == 3
    assert len({event["id"] for event in events}) == len(events)
    assert {event["source"] for event in events} == {"email_sender.workflows", "email_sender.messaging"}
    assert platform["admin@globex"].get("/events", correlation_id=finished_run["id"])["items"] == []


def test_the_unsubscribe_link_works_by_post_and_not_by_get(platform: Platform, finished_run: api.Json) -> None:
    email = api.emails_of(platform["user@acme"], finished_run["id"])[0]
    (raw,) = api.sent_mails(platform, email["id"])
    link = str(message_from_bytes(raw, policy=default)["list-unsubscribe"]).strip("<>")
    address = platform["user@acme"].get(f"/contacts/{email['contact_id']}")["email"]

    def suppressed_addresses() -> list[str]:
        return [suppression["email"] for suppression in platform["user@acme"].get("/suppressions", limit=200)["items"]]

    page = httpx.get(link)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert address not in suppressed_addresses()

    form = {"List-Unsubscribe": "One-Click"}
    assert httpx.post(link, data=form, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert address not in suppressed_addresses()
    assert httpx.post(link, data=form).status_code == 200
    assert httpx.post(link, data=form).status_code == 200
    assert suppressed_addresses().count(address) == 1
    assert httpx.post(link[:-3] + "AAA").status_code == 404

    events = wait_until(lambda: platform["user@acme"].get("/events", type="contact.unsubscribed")["items"], bool, 30)
    assert [event["aggregate_id"] for event in events] == [email["contact_id"]]

    template = api.add_template(platform["user@acme"])["name"]
    second_run = api.start_run(platform["user@acme"], api.mail_workflow(template, [email["contact_id"]]))
    api.decide(platform["admin@acme"], second_run["id"], "approved")
    run = api.wait_for_run(platform["user@acme"], second_run["id"])
    assert run["status"] == "succeeded", run["error"]
    (second,) = api.emails_of(platform["user@acme"], second_run["id"])
    assert second["status"] == "suppressed"
    assert api.sent_mails(platform, second["id"]) == []
