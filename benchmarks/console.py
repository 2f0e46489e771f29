"""python -m benchmarks.console: measure the console of the running platform (`make run`) in a browser.

Prints what the first page loads, how soon it is painted, and how long an input takes until the next frame.
"""

import json
import os
import statistics
import sys
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from local.layout import ROOT
from scripts.install_browser import install

_VISITS, _INPUTS = 20, 60
# Of the last visit to a page, in the browser's own words.
_LOADED = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""
_PAINTED = """() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
    .observe({type: 'largest-contentful-paint', buffered: true}))"""
_OBSERVE = """() => { window.inputs = []; new PerformanceObserver(list => {
    for (const entry of list.getEntries()) if (entry.interactionId) window.inputs.push(entry.duration); })
    .observe({type: 'event', durationThreshold: 0, buffered: false}); }"""
_PAGES = (
    "", "/find?q=Who+could+not+install+a+package", "/approvals", "/contacts", "/templates", "/workflows", "/imports",
    "/deliverability", "/tenant", "/audit",
)  # fmt: skip


def main() -> int:
    endpoints = json.loads((ROOT / ".local/endpoints.json").read_text())
    user = next(user for user in endpoints["users"] if user["username"] == "admin@acme")
    base = f"{endpoints['api'].removesuffix('/api/v1')}/console"
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=install(), args=arguments)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        _sign_in(page, base, user)
        state = context.storage_state()
        errors: list[str] = []
        loaded, painted = [], []
        for _ in range(_VISITS):
            with browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=state) as fresh:
                loaded_bytes, paint = _visit(fresh, base)
                loaded.append(loaded_bytes)
                painted.append(paint)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        times = [_time_of(page, f"{base}{path}") for path in _PAGES for _ in range(3)]
        inputs = _inputs(page, f"{base}/find?q=Who+could+not+install+a+package&weak=true&limit=50")
        browser.close()
    print(f"first page, empty cache: {max(loaded):,.0f} bytes")
    print(f"largest contentful paint: median {statistics.median(painted):.0f} ms, longest {max(painted):.0f} ms")
    print(f"a page, until it is complete: median {statistics.median(times):.0f} ms, longest {max(times):.0f} ms")
    print(f"an input, until the next frame: p95 {_p95(inputs):.0f} ms of {len(inputs)}")
    print(f"errors in the browser's console: {len(errors)}")
    return 0


def _sign_in(page: Page, base: str, user: dict[str, str]) -> None:
    page.goto(base)
    page.fill("#username", user["username"])
    page.fill("#password", user["password"])
    page.click("button[type=submit]")
    page.wait_for_selector("nav")


def _visit(context: BrowserContext, url: str) -> tuple[float, float]:
    page = context.new_page()
    page.goto(url)
    return float(page.evaluate(_LOADED)), float(page.evaluate(_PAINTED))


def _time_of(page: Page, url: str) -> float:
    page.goto(url)
    timing: Any = page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventEnd")
    return float(timing)


def _inputs(page: Page, url: str) -> list[float]:
    """Go through a long list with the keyboard, and check and clear boxes."""
    page.goto(url)
    page.evaluate(_OBSERVE)
    for number in range(_INPUTS):
        page.keyboard.press("j" if number % 2 else "k")
        if number % 5 == 0:
            page.locator("input[data-all]").click()
    page.wait_for_timeout(500)
    return [float(duration) for duration in page.evaluate("() => window.inputs")]


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18] if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
