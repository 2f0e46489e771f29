"""Debian's Prometheus and promtool, unpacked below .local/tools unless they are installed."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.client import wait_until
from local.layout import ROOT
from local.ports import HOST, pick_port

_FOLDER = ROOT / ".local" / "tools" / "prometheus"


def find_tool(name: str) -> Path:
    """Return the path of `prometheus` or `promtool`. Without either and without apt, the test is skipped."""
    if installed := shutil.which(name):
        return Path(installed)
    unpacked = _FOLDER / "usr" / "bin" / name
    if not unpacked.is_file():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            pytest.skip(f"{name} is not installed (prometheus.io/download)")
        _unpack()
    return unpacked


def _unpack() -> None:
    """Unpack the package without installing it: an installation would start a service."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # The lists of packages may be old, or missing in a container. Only root can update them.
    subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
    download = ["apt-get", "download", "-qq", "prometheus"]
    subprocess.run(download, cwd=_FOLDER, check=True, capture_output=True)
    (package,) = _FOLDER.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(_FOLDER)], check=True)
    package.unlink()


class Prometheus:
    """A running server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query. Raises HTTPStatusError for an expression that Prometheus rejects."""
        response = httpx.get(f"{self._url}/api/v1/query", params={"query": expression}, timeout=10)
        return list(response.raise_for_status().json()["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Return the value of a query that gives one series, or None without data."""
        result = self.query(expression)
        return float(result[0]["value"][1]) if result else None


@contextmanager
def run_prometheus(folder: Path, target: str, token: str) -> Iterator[Prometheus]:
    """Run a server that scrapes http://`target`/metrics each second."""
    port = pick_port("prometheus", 9090, print)
    (folder / "token").write_text(token)
    (folder / "prometheus.yml").write_text(
        f"""
scrape_configs:
  - job_name: email-sender
    scrape_interval: 1s
    authorization: {{credentials_file: {folder / "token"}}}
    static_configs: [{{targets: ["{target}"]}}]
"""
    )
    command = [str(find_tool("prometheus")), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={HOST}:{port}"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        server = Prometheus(f"http://{HOST}:{port}")
        try:
            wait_until(lambda: _up(server), lambda up: up == 1, 30)
            yield server
        finally:
            process.terminate()


def _up(server: Prometheus) -> float | None:
    try:
        return server.value("up")
    except httpx.HTTPError:
        return None
