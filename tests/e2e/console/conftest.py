"""A real browser that uses the console of the deployed template."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from local.client import ApiClient
from scripts.install_browser import install
from tests.conftest import Platform
from tests.e2e.test_people import signed_in
from tests.e2e.test_second_factor import PASSWORD

# WCAG 2.2 AA, with target size.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 320, "height": 640}


@dataclass
class Person:
    """Somebody who is signed in. `errors` are what the browser's console shows."""

    base: str
    context: BrowserContext
    page: Page
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.base}{path}")
        return self.page

    @property
    def title(self) -> str:
        return self.page.locator("h1").inner_text()

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong with the page."""
        found = Axe().run(self.page, options={"runOnly": _RULES}).response["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Chromium's sandbox does not work for root, as which CI runs.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=install(), args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def sign_in(browser: Browser, platform: Platform) -> Iterator[Callable[..., Person]]:
    """Sign somebody in as they do it themselves: at the pages of the user pool."""
    contexts: list[BrowserContext] = []

    def as_person(username: str, password: str | None = None, heading: str = "") -> Person:
        context = browser.new_context(viewport=WIDE, locale="en-GB", timezone_id="Europe/Berlin")
        contexts.append(context)
        page = context.new_page()
        person = Person(f"{platform.cloud.api_url}/console", context, page)
        person.open("")
        users = {user.username: user.password for user in platform.users}
        page.fill("#username", username)
        page.fill("#password", password or users[username])
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: url.startswith(person.base) and (bool(heading) or "/callback" not in url))
        page.wait_for_selector(f"h1:has-text('{heading}')" if heading else "nav")
        # Only from here on: the pages of the emulated pool are not ours.
        page.on("console", lambda message: person.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: person.errors.append(str(error)))
        page.set_default_timeout(20_000)
        return person

    yield as_person
    for context in contexts:
        context.close()


@dataclass(frozen=True)
class Desk:
    """A tenant of these tests alone, so that what they import and send is nobody else's.

    `admin` and `user` are clients of the API for its two members.
    """

    name: str
    admin_name: str
    admin: ApiClient
    user_name: str
    user: ApiClient

    @property
    def sender(self) -> str:
        return f"hello@{self.name}.example"


@pytest.fixture(scope="session")
def desk(platform: Platform) -> Iterator[Desk]:
    operator, name = platform["operator@platform"], f"desk{uuid4().hex[:8]}"
    platform.aws("ses").verify_domain_identity(Domain=f"{name}.example")
    tenant = operator.post("/tenants", {"name": name, "sender": f"Desk <hello@{name}.example>"})["id"]
    ann = operator.post(f"/tenants/{tenant}/admins", {"email": f"ann@{name}.example"})["id"]
    with signed_in(platform, ann) as admin_client:
        bob = admin_client.post("/members", {"email": f"bob@{name}.example", "role": "user"})["id"]
        with signed_in(platform, bob) as user_client:
            yield Desk(name, ann, admin_client, bob, user_client)


@pytest.fixture(scope="session")
def admin(sign_in: Callable[..., Person], desk: Desk) -> Person:
    return sign_in(desk.admin_name, PASSWORD)


@pytest.fixture(scope="session")
def operator(sign_in: Callable[..., Person]) -> Person:
    return sign_in("operator@platform")


@pytest.fixture(autouse=True)
def no_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test may leave an error in the browser's console, unless it provokes one (marker `provokes_errors`)."""
    people = [request.getfixturevalue(name) for name in ("admin", "operator") if name in request.fixturenames]
    for person in people:
        person.errors.clear()
    yield
    if not request.node.get_closest_marker("provokes_errors"):
        assert [error for person in people for error in person.errors] == []
