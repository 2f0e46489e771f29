"""Sessions of the console: cookies, forged forms, sign-out, and what a role may see."""

import base64
import json
from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from tests.conftest import Platform
from tests.e2e import api
from tests.e2e.console.conftest import Desk, Person
from tests.e2e.test_people import deployed_with, signed_in
from tests.e2e.test_second_factor import PASSWORD, code_of


def test_the_cookie_is_hidden_from_scripts_and_other_sites(admin: Person) -> None:
    (cookie,) = [cookie for cookie in admin.context.cookies() if cookie["name"] == "session"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert admin.page.evaluate("document.cookie") == ""


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(admin: Person) -> None:
    response = admin.page.goto(admin.base)
    assert response is not None
    headers = response.headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["form-action"], policy["frame-ancestors"]) == ("'self'", "'none'")
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    # Every script and style is compared with its hash.
    without_hash = admin.page.locator("script:not([integrity]), link[rel=stylesheet]:not([integrity])")
    assert without_hash.count() == 0


def test_a_form_without_the_sessions_token_changes_nothing(admin: Person, desk: Desk) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in admin.context.cookies()}
    forged = {"email": "forged@people.example", "csrf": "0" * 64}
    response = httpx.post(f"{admin.base}/suppressions", data=forged, cookies=cookies)
    assert response.status_code == 403
    assert "The form is not of this session" in response.text
    addresses = [one["email"] for one in desk.admin.get("/suppressions", limit=200)["items"]]
    assert "forged@people.example" not in addresses


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "a" * 4_000])
def test_an_unknown_session_leads_to_the_sign_in(admin: Person, cookie: str) -> None:
    response = httpx.get(f"{admin.base}/contacts", headers={"cookie": f"session={cookie}"} if cookie else {})
    assert response.status_code == 303
    assert response.headers["location"] == "/console/sign-in?to=/console/contacts"


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/console//evil.example", "/api/v1/docs"])
def test_the_sign_in_leads_only_to_pages_of_the_console(admin: Person, target: str) -> None:
    response = httpx.get(f"{admin.base}/sign-in", params={"to": target})
    attempt = response.cookies["sign-in"].strip('"')
    assert json.loads(base64.urlsafe_b64decode(attempt))[2] == "/console"


def test_a_callback_that_nobody_started_opens_no_session(admin: Person) -> None:
    response = httpx.get(f"{admin.base}/callback", params={"code": "x", "state": "y"})
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_after_signing_out_the_old_cookie_is_worth_nothing(sign_in: Callable[..., Person]) -> None:
    person = sign_in("user@acme")
    cookies = {cookie["name"]: cookie["value"] for cookie in person.context.cookies()}
    assert httpx.get(f"{person.base}/contacts", cookies=cookies).status_code == 200
    person.page.get_by_role("button", name="Sign out").click()
    expect(person.page.locator("h1")).to_have_text("You are signed out")
    assert httpx.get(f"{person.base}/contacts", cookies=cookies).status_code == 303


def test_a_reader_sees_masked_addresses_and_no_buttons_that_write(
    sign_in: Callable[..., Person], platform: Platform
) -> None:
    api.add_contact(platform["admin@acme"])
    person = sign_in("readonly@acme")
    page = person.open("/contacts")
    assert "Approve" not in page.locator("nav").inner_text()
    expect(page.get_by_role("button", name="Add")).to_have_count(0)
    first = platform["readonly@acme"].get("/contacts", limit=1)["items"][0]["email"]
    assert "*" in first
    expect(page.get_by_text(first, exact=True).first).to_be_visible()
    response = page.goto(f"{person.base}/approvals")
    assert response is not None
    assert response.status == 403


def test_files_are_small_and_kept_by_browsers(admin: Person) -> None:
    page = admin.open("")
    path = page.locator("link[rel=stylesheet]").get_attribute("href")
    response = httpx.get(f"{admin.base.removesuffix('/console')}{path}")
    assert (response.headers["content-encoding"], response.headers["content-type"]) == (
        "gzip",
        "text/css; charset=utf-8",
    )
    assert "immutable" in response.headers["cache-control"]
    plain = httpx.get(f"{admin.base.removesuffix('/console')}{path}", headers={"accept-encoding": "identity"})
    assert plain.text == response.text
    assert httpx.get(f"{admin.base}/static/style.000000000000.css").status_code == 404


def test_a_sign_in_is_in_the_audit_log(sign_in: Callable[..., Person], platform: Platform) -> None:
    def count() -> int:
        entries = platform["admin@globex"].get("/audit", limit=200)["items"]
        return sum(entry["action"] == "session.started" for entry in entries)

    before = count()
    sign_in("user@globex")
    assert count() == before + 1


def test_a_member_of_a_suspended_tenant_gets_no_session(sign_in: Callable[..., Person], platform: Platform) -> None:
    operator, name = platform["operator@platform"], f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    with signed_in(platform, ann):
        pass
    operator.post(f"/tenants/{tenant}/suspend", {})
    person = sign_in(ann, PASSWORD, heading="You may not do this")
    assert "suspended" in person.page.locator("main").inner_text()
    assert [cookie for cookie in person.context.cookies() if cookie["name"] == "session"] == []


def test_an_admin_who_needs_a_second_factor_sets_it_up_first(
    sign_in: Callable[..., Person], platform: Platform
) -> None:
    operator, name = platform["operator@platform"], f"t{uuid4().hex[:12]}"
    tenant = operator.post("/tenants", {"name": name, "sender": "Studio <hello@studio.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    with deployed_with(platform, "PreTokenFunction", SECOND_FACTOR="required"):
        with signed_in(platform, ann):
            pass
        person = sign_in(ann, PASSWORD, heading="Authenticator app")
        page = person.open("/contacts")
        assert person.title == "Authenticator app"
        page.get_by_role("button", name="Set up the app").click()
        secret = page.locator("code").inner_text()
        assert person.violations() == []
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Confirm").click()
        expect(page.get_by_role("alert")).to_contain_text("another code")
        page.get_by_label("Code").fill(code_of(secret))
        page.get_by_role("button", name="Confirm").click()
        expect(page.locator("h1")).to_have_text("You are signed out")
