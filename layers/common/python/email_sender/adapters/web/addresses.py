"""The addresses of a host name, and which of them accept connections."""

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

from email_sender.errors import Unavailable

_SECONDS = 1.0
_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_and_port(url: str) -> tuple[str, int]:
    """Return the host and the port of a URL from the settings."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def probe_addresses(host: str, port: int) -> Mapping[str, bool]:
    """Return each IPv4 address of `host`, with whether it accepted a connection within a second.

    Raises:
        Unavailable: the name has no address.
    """
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"The name {host} has no address.") from error
    addresses = sorted({str(entry[4][0]) for entry in found})
    with ThreadPoolExecutor(len(addresses)) as threads:
        return dict(zip(addresses, threads.map(partial(_accepts, port=port), addresses), strict=True))


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=_SECONDS):
            return True
    except OSError:
        return False
