"""What an admin does when a person asks for their data, and what an operator does with tenants."""

import json
import re
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.console.conftest import Desk, Person


def test_an_admin_records_a_consent_exports_and_erases_a_person(admin: Person, desk: Desk) -> None:
    contact = api.add_contact(desk.admin)
    page = admin.open(f"/contacts/{contact['id']}")
    page.get_by_role("link", name=re.compile("Privacy")).click()
    expect(page.locator("main")).to_contain_text("No consent is recorded")
    page.get_by_text("Record a consent").click()
    page.get_by_label("Purpose").fill("newsletter")
    page.get_by_label("How it was given").fill("web form")
    page.get_by_label("Given on").fill("2026-01-31")
    page.get_by_label("Proof").fill("Yes, send it <b>to me</b>")
    page.get_by_role("button", name="Record").click()
    row = page.locator("tr", has_text="newsletter")
    expect(row).to_contain_text("Yes, send it <b>to me</b>")
    page.once("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Withdraw newsletter").click()
    expect(page.get_by_role("status")).to_contain_text("withdrawal is recorded")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the data").click()
    data = json.loads(download.value.path().read_text())
    assert data["contact"]["email"] == contact["email"]
    assert [(one["purpose"], one["withdrawn_at"] is None) for one in data["consents"]] == [("newsletter", False)]
    page.get_by_label("Type the address to erase").fill(contact["email"].upper())
    page.get_by_role("button", name="Erase").click()
    expect(page.locator("h1")).to_have_text("Erasure")
    expect(page.locator("main")).to_contain_text(re.compile(r"Contacts\s*1"))
    assert admin.violations() == []
    assert desk.admin.http.get(f"/contacts/{contact['id']}").status_code == 404


@pytest.mark.provokes_errors
def test_the_wrong_address_erases_nobody(admin: Person, desk: Desk) -> None:
    contact = api.add_contact(desk.admin)
    page = admin.open(f"/contacts/{contact['id']}/privacy")
    page.get_by_label("Type the address to erase").fill("somebody@else.example")
    page.get_by_role("button", name="Erase").click()
    expect(page.get_by_role("alert")).to_contain_text(f"type {contact['email']}")
    assert desk.admin.http.get(f"/contacts/{contact['id']}").status_code == 200


def test_an_admin_sets_how_long_data_is_kept(admin: Person, desk: Desk) -> None:
    page = admin.open("/tenant")
    for typed, stored in (("730", 730), ("", None)):
        page.get_by_label("Contents of runs").fill(typed)
        page.once("dialog", lambda dialog: dialog.accept())
        page.locator("form", has_text="Contents of runs").get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("Stored")
        assert desk.admin.get("/retention") == {"messages": None, "runs": stored}


@pytest.mark.provokes_errors
def test_an_operator_creates_limits_suspends_and_deletes_a_tenant(operator: Person, platform: Platform) -> None:
    name, client = f"t{uuid4().hex[:8]}", platform["operator@platform"]
    page = operator.open("/platform/tenants")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Sends from").fill("no address")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value(name)
    page.get_by_label("Sends from").fill(f"Studio <hello@{name}.example>")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("h1")).to_have_text(name)
    tenant = page.url.rpartition("/")[2].partition("?")[0]
    page.get_by_label("Address").fill(f"ann@{name}.example")
    page.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("status")).to_contain_text("invitation was sent")
    page.get_by_label("Allowed runs").fill("7")
    page.locator("tr", has=page.get_by_label("Allowed runs")).get_by_role("button", name="Set").click()
    expect(page.get_by_role("status")).to_contain_text("quota is changed")
    quotas = {one["quota"]: one["allowed"] for one in client.get(f"/tenants/{tenant}/quotas")["items"]}
    assert quotas["runs"] == 7
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Suspend the tenant").click()
    expect(page.locator("main")).to_contain_text("is suspended since")
    page.get_by_role("button", name="Resume the tenant").click()
    expect(page.get_by_role("button", name="Suspend the tenant")).to_be_visible()
    page.get_by_label("Type its name to delete it").fill("another")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert client.get(f"/tenants/{tenant}")["deletes_at"] is None
    operator.open(f"/platform/tenants/{tenant}")
    page.get_by_label("Type its name to delete it").fill(name)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_contain_text("deleted for good")
    assert operator.violations() == []
    page.get_by_role("button", name="Resume the tenant").click()
    assert client.get(f"/tenants/{tenant}")["deletes_at"] is None


def test_contacts_are_found_by_how_their_words_begin(admin: Person, desk: Desk) -> None:
    word = uuid4().hex[:10]
    contact = desk.admin.post("/contacts", {"email": f"{word}@people.example", "name": f"Zoë Q{word}"})
    page = admin.open("/contacts")
    for text in (f"q{word[:8]}", f"zoe {word[:6]}", f"{word}@people"):
        page.get_by_label("Name or address").fill(text)
        page.get_by_role("button", name="Search").click()
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.locator("tbody tr")).to_contain_text(contact["name"])
    page.get_by_label("Name or address").fill(word[1:])
    page.get_by_role("button", name="Search").click()
    expect(page.locator("main")).to_contain_text("No contact has a name or an address")


def test_a_reader_finds_names_and_no_addresses(desk: Desk, platform: Platform) -> None:
    word = uuid4().hex[:10]
    platform["admin@acme"].post("/contacts", {"email": f"{word}@hidden.example", "name": f"N{word}"})
    reader = platform["readonly@acme"]
    assert [one["name"] for one in reader.get("/contacts", q=f"n{word}")["items"]] == [f"N{word}"]
    assert reader.get("/contacts", q=word)["items"] == []
    assert platform["user@acme"].get("/contacts", q=f"{word}@hidden")["items"][0]["name"] == f"N{word}"
    assert reader.get("/contacts", q="@")["items"] == []
    both = {"q": "n", "email": f"{word}@hidden.example"}
    assert len(platform["user@acme"].get("/contacts", **both)["items"]) == 1
    assert platform["user@acme"].get("/contacts", **{**both, "q": "other"})["items"] == []


def test_somebody_makes_the_secret_of_a_webhook_and_gives_its_address_away(admin: Person, desk: Desk) -> None:
    definition = {
        "name": f"hook-{uuid4().hex}",
        "triggers": [{"webhook": {"auth": "secret"}}],
        "steps": [{"id": "note", "uses": "transform", "with": {"n": 1}}],
    }
    workflow = desk.admin.post("/workflows", {"definition": definition})
    page = admin.open(f"/workflows/{workflow['id']}")
    expect(page.locator("main")).to_contain_text("A webhook, whose callers send its secret")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="New secret").click()
    expect(page.locator("h1")).to_have_text("Secret of the webhook")
    assert admin.violations() == []
    address = page.locator("pre", has_text="?secret=").inner_text()
    run = httpx.get(address, timeout=20).raise_for_status().json()["run_id"]
    api.wait_for_run(desk.admin, run)
    expect(admin.open(f"/runs/{run}").locator("main")).to_contain_text("by its webhook")
