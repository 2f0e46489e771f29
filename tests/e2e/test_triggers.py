"""What starts workflows by itself, on the deployed template: events, times, and webhooks."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from local.client import ApiClient, wait_until
from tests.conftest import Platform
from tests.e2e import steps


def published(client: ApiClient, *triggers: steps.Json, **more: Any) -> steps.Json:
    definition = {
        "name": f"triggered-{uuid4().hex}",
        "triggers": list(triggers),
        "steps": [{"id": "note", "uses": "transform", "with": {"seen": "{% $inputs %}"}}],
        **more,
    }
    return dict(client.post("/workflows", {"definition": definition}))


def triggers_of(client: ApiClient, workflow: steps.Json) -> list[steps.Json]:
    return list(client.get(f"/workflows/{workflow['id']}/triggers")["items"])


def runs_of(client: ApiClient, workflow: steps.Json, wanted: int, seconds: float = 30) -> list[steps.Json]:
    """Once there are so many, and a moment later still no more."""
    path = f"/workflows/{workflow['id']}/runs"
    wait_until(lambda: client.get(path)["items"], lambda seen: len(seen) >= wanted, seconds)
    time.sleep(1)
    found = list(client.get(path)["items"])
    assert len(found) == wanted
    return found


# ---- Time ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def every_minute(platform: Platform) -> steps.Json:
    """Begun before the other tests, since a minute is a minute."""
    schedule = {"schedule": {"cron": "* * * * ? *", "timezone": "Asia/Kathmandu"}, "inputs": {"greeting": "hello"}}
    return published(platform["user@acme"], schedule)


def test_an_event_of_an_application_starts_a_run_of_its_own_tenant_once(
    platform: Platform, every_minute: steps.Json
) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    pattern = {
        "source": [source],
        "detail-type": ["LeadCreated"],
        "detail": {"data": {"size": [{"numeric": [">", 3]}]}},
    }
    workflow = published(client, {"event": pattern})
    theirs = published(platform["admin@globex"], {"event": {"source": [source]}})
    assert [(each["kind"], each["state"]) for each in triggers_of(client, workflow)] == [("event", "active")]
    event = client.post("/events", {"source": source, "type": "LeadCreated", "data": {"size": 5, "name": "Ann"}})
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {"size": 1}})
    client.post("/events", {"source": source, "type": "Other", "data": {"size": 9}})
    (run,) = runs_of(client, workflow, 1)
    told = run["inputs"]["event"]
    assert (told["source"], told["type"], told["data"]) == (source, "LeadCreated", {"size": 5, "name": "Ann"})
    assert told["id"] == event["id"]
    assert steps.wait_run(client, run["id"])["status"] == "succeeded"
    (trigger,) = triggers_of(client, workflow)
    assert (trigger["last_run_id"], trigger["last_error"], run["trigger_id"]) == (run["id"], None, trigger["id"])
    assert platform["admin@globex"].get(f"/workflows/{theirs['id']}/runs")["items"] == []


def test_a_delivery_that_comes_twice_starts_one_run(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    workflow = published(client, {"event": {"source": [source]}})
    event = client.post("/events", {"source": source, "type": "LeadCreated", "data": {}})
    runs_of(client, workflow, 1)
    (stored,) = platform.look("select * from email_sender.events where id = %s", UUID(event["id"]))
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "LeadCreated",
                "Detail": json.dumps(stored["payload"]),
            }
        ]
    )
    time.sleep(2)
    runs_of(client, workflow, 1)


def test_an_event_that_only_says_it_is_the_tenants_starts_nothing(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    workflow = published(client, {"event": {"source": [source]}})
    (tenant,) = platform.look("select tenant_id from email_sender.workflows where id = %s", UUID(workflow["id"]))
    detail = {"id": str(uuid4()), "tenant_id": str(tenant["tenant_id"]), "data": {}}
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "LeadCreated",
                "Detail": json.dumps(detail),
            }
        ]
    )
    time.sleep(3)
    runs_of(client, workflow, 0)


def test_a_registered_system_starts_runs_and_the_platforms_own_events_do(platform: Platform) -> None:
    client, source = platform["user@acme"], f"shop-{uuid4().hex[:8]}"
    other = published(client, {"webhook": {}})
    (row,) = platform.look("select tenant_id from email_sender.workflows where id = %s", UUID(other["id"]))
    _register(platform, row["tenant_id"], source)
    workflow = published(client, {"event": {"source": [source]}})
    ours = published(client, {"event": {"source": ["email_sender.workflows"], "detail-type": ["workflow.deleted"]}})
    platform.aws("events").put_events(
        Entries=[
            {
                "EventBusName": "email-sender-local",
                "Source": source,
                "DetailType": "OrderPlaced",
                "Detail": json.dumps({"number": 7}),
            }
        ]
    )
    (run,) = runs_of(client, workflow, 1)
    assert run["inputs"]["event"]["data"] == {"number": 7}
    client.http.delete(f"/workflows/{other['id']}").raise_for_status()
    (run,) = runs_of(client, ours, 1)
    assert run["inputs"]["event"]["data"]["workflow_id"] == other["id"]
    client.http.delete(f"/workflows/{ours['id']}").raise_for_status()


def _register(platform: Platform, tenant: UUID, source: str) -> None:
    """As an operator does it (docs/guides/triggers.md)."""
    import psycopg

    with psycopg.connect(platform.cloud.database_url) as conn:
        conn.execute(
            "insert into email_sender.event_sources (tenant_id, account, source) values (%s, '000000000000', %s)",
            [tenant, source],
        )


def test_a_new_version_takes_away_what_it_no_longer_names_and_keeps_a_webhooks_address(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    event = {"event": {"source": [source]}}
    workflow = published(client, event, {"webhook": {}})
    before = {each["kind"]: each for each in triggers_of(client, workflow)}
    definition = {**workflow["definition"], "triggers": [{"webhook": {}}]}
    client.http.put(f"/workflows/{workflow['id']}", json={"definition": definition}).raise_for_status()
    assert [each["path"] for each in triggers_of(client, workflow)] == [before["webhook"]["path"]]
    rules = platform.aws("events").list_rules(EventBusName="email-sender-local")["Rules"]
    assert f"email-sender-local-{before['event']['id']}" not in {rule["Name"] for rule in rules}
    definition = {**workflow["definition"], "triggers": [event, {"webhook": {}}]}
    client.http.put(f"/workflows/{workflow['id']}", json={"definition": definition}).raise_for_status()
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {}})
    runs_of(client, workflow, 1)
    client.http.delete(f"/workflows/{workflow['id']}").raise_for_status()
    assert triggers_of(client, workflow) == []
    rules = platform.aws("events").list_rules(EventBusName="email-sender-local")["Rules"]
    assert f"email-sender-local-{before['event']['id']}" not in {rule["Name"] for rule in rules}


def test_a_start_that_cannot_be_is_said_by_its_trigger_and_by_an_event(platform: Platform) -> None:
    client, source = platform["user@acme"], f"crm-{uuid4().hex[:8]}"
    inputs = {"type": "object", "properties": {"event": {"type": "object", "properties": {"data": {"type": "null"}}}}}
    workflow = published(client, {"event": {"source": [source]}}, inputs=inputs)
    client.post("/events", {"source": source, "type": "LeadCreated", "data": {"a": 1}})
    (trigger,) = wait_until(lambda: triggers_of(client, workflow), lambda seen: seen[0]["last_error"] is not None, 30)
    assert "inputs are not as" in trigger["last_error"]
    events = wait_until(
        lambda: client.get("/events", type="workflow.trigger.failed")["items"],
        lambda seen: any(each["payload"]["data"]["trigger_id"] == trigger["id"] for each in seen),
        30,
    )
    assert events


# ---- Webhooks --------------------------------------------------------------------------------------------------


class Poster:
    """Another system: it signs as Standard Webhooks says."""

    def __init__(self, platform: Platform, client: ApiClient, workflow: steps.Json) -> None:
        self.client, self.workflow = client, workflow
        (self.trigger,) = triggers_of(client, workflow)
        self.base = platform.api.removesuffix("/api/v1")
        self.secret = self.renew()

    @classmethod
    def new(cls, platform: Platform, username: str, **more: Any) -> Self:
        client = platform[username]
        return cls(platform, client, published(client, {"webhook": {}}, **more))

    def renew(self) -> str:
        path = f"/workflows/{self.workflow['id']}/triggers/{self.trigger['id']}/secret"
        return str(self.client.post(path, {})["secret"])

    def post(
        self, body: object, name: str = "", *, secret: str = "", at: datetime | None = None, **headers: str
    ) -> httpx.Response:
        """`headers`: with _ for -."""
        raw = body if isinstance(body, str) else json.dumps(body)
        signed = self.signed(raw, name or f"msg_{uuid4().hex}", secret or self.secret, at)
        signed |= {key.replace("_", "-"): value for key, value in headers.items()}
        return httpx.post(self.base + self.trigger["path"], content=raw, headers=signed, timeout=20)

    def signed(self, raw: str, name: str, secret: str, at: datetime | None = None) -> dict[str, str]:
        moment = at or datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(secret).sign(name, moment, raw),
        }

    def ask(self, path: str) -> httpx.Response:
        headers = self.signed("", f"msg_{uuid4().hex}", self.secret)
        return httpx.get(self.base + path, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def poster(platform: Platform) -> Poster:
    return Poster.new(platform, "user@acme")


def test_a_signed_post_starts_a_run_once_and_its_result_is_read_back(poster: Poster) -> None:
    first = poster.post({"lead": "Ann"}, "msg_1")
    assert first.status_code == 202, first.text
    again = poster.post({"lead": "Ann"}, "msg_1")
    assert again.json()["run_id"] == first.json()["run_id"]
    answer = wait_until(
        lambda: poster.ask(first.json()["result_path"]).json(), lambda seen: seen["status"] in steps.ENDED, 30
    )
    assert (answer["status"], answer["error"]) == ("succeeded", None)
    runs = poster.client.get(f"/workflows/{poster.workflow['id']}/runs")["items"]
    assert [run["inputs"] for run in runs] == [{"lead": "Ann"}]


def test_nothing_but_a_right_and_fresh_signature_gets_in(platform: Platform, poster: Poster) -> None:
    now, other = datetime.now(UTC), Poster.new(platform, "admin@globex")
    refused = [
        poster.post({}, secret=other.secret),
        poster.post({}, at=now - timedelta(minutes=6)),
        poster.post({}, at=now + timedelta(minutes=6)),
        poster.post({}, webhook_id="another"),
        poster.post({}, webhook_timestamp="NaN"),
        poster.post({}, webhook_signature="v1"),
        poster.post({}, webhook_signature="v1,%%%"),
        poster.post({}, webhook_signature=""),
        httpx.post(poster.base + poster.trigger["path"], json={}),
        httpx.post(poster.base + "/api/v1/hooks/nothing", json={}),
        httpx.post(poster.base + "/api/v1/hooks/" + "A" * 43, json={}),
        httpx.get(poster.base + poster.trigger["path"] + f"/runs/{uuid4()}"),
    ]
    assert {each.status_code for each in refused} == {401}
    assert len({each.json()["detail"] for each in refused}) == 1
    strangers = poster.post({"a": 1}).json()["run_id"]
    assert other.ask(f"{other.trigger['path']}/runs/{strangers}").status_code == 404


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "{", '{"a": NaN}', "[" * 3_000])
def test_a_signed_body_that_is_no_object_is_refused_in_words(poster: Poster, body: str) -> None:
    answer = poster.post(body)
    assert answer.status_code in (400, 422), answer.text
    assert "body" in answer.json()["detail"].lower()


def test_a_body_that_is_too_large_is_refused(poster: Poster) -> None:
    assert poster.post({"text": "x" * 140_000}).status_code == 413


def test_inputs_that_the_workflow_refuses_are_named(platform: Platform) -> None:
    schema = {"type": "object", "required": ["lead"], "properties": {"lead": {"type": "string"}}}
    answer = Poster.new(platform, "user@acme", inputs=schema).post({"lead": 3})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/lead")


def test_a_secret_is_renewed_with_a_day_of_both(platform: Platform) -> None:
    poster = Poster.new(platform, "user@acme")
    first = poster.secret
    poster.secret = poster.renew()
    assert [poster.post({}, secret=each).status_code for each in (first, poster.secret)] == [202, 202]
    second, poster.secret = poster.secret, poster.renew()
    assert [poster.post({}, secret=each).status_code for each in (first, second, poster.secret)] == [401, 202, 202]
    shown = platform.look("select secret_enc from email_sender.triggers where id = %s", UUID(poster.trigger["id"]))
    assert poster.secret.encode() not in bytes(shown[0]["secret_enc"])


def test_a_schedule_rings_in_its_zone_with_the_time_it_rang_for(platform: Platform, every_minute: steps.Json) -> None:
    client = platform["user@acme"]
    path = f"/workflows/{every_minute['id']}/runs"
    runs = wait_until(lambda: client.get(path)["items"], lambda seen: len(seen) >= 1, 90)
    client.http.delete(f"/workflows/{every_minute['id']}").raise_for_status()
    inputs = runs[0]["inputs"]
    assert inputs["greeting"] == "hello"
    rang = datetime.fromisoformat(inputs["schedule"]["time"])
    assert (rang.second, abs(datetime.now(UTC) - rang) < timedelta(minutes=3)) == (0, True)
    names = [each["Name"] for each in platform.aws("scheduler").list_schedules()["Schedules"]]
    assert f"email-sender-local-{runs[0]['trigger_id']}" not in names
