"""Print the path of a Chromium for the tests of the console, and install one if there is none.

An installed Chromium or Chrome comes first, then Debian's package (as root), then the download of Playwright.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_INSTALL_SECONDS = 600


class NoBrowser(RuntimeError):
    """No Chromium could be found or installed. The message says what to do."""


def find() -> str | None:
    """Return the path of an installed browser, or None."""
    if chosen := os.environ.get("BROWSER_PATH"):
        return chosen
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    return str(_MAC) if _MAC.is_file() else _downloaded()


def install() -> str:
    """Return the path of a browser, which is installed first if there is none. Raises NoBrowser."""
    if path := find():
        return path
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing Chromium for the tests of the console (Debian's package) …", file=sys.stderr)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        packages = ["chromium", "fonts-dejavu-core"]
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            subprocess.run(
                ["apt-get", "-qq", *command], check=False, env=environment, timeout=_INSTALL_SECONDS,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
    if path := find():
        return path
    print("Downloading Chromium for the tests of the console (Playwright) …", file=sys.stderr)
    download = [sys.executable, "-m", "playwright", "install", "chromium"]
    subprocess.run(download, check=False, timeout=_INSTALL_SECONDS, stdout=sys.stderr)
    if path := find():
        return path
    raise NoBrowser(
        "The tests of the console need Chromium or Chrome. Install one (Debian: apt-get install chromium), or set "
        "BROWSER_PATH to the path of a browser."
    )


def _downloaded() -> str | None:
    """Return Playwright's own Chromium, if it was downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return str(path) if path.is_file() else None


if __name__ == "__main__":
    try:
        print(install())
    except NoBrowser as error:
        sys.exit(str(error))
