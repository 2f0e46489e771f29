"""Secrets of tenants for requests to other systems. Each is bound to hosts: a workflow cannot send it elsewhere."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from email_sender.errors import Conflict, Forbidden

_SHAPE = '{"value": "…", "hosts": ["crm.example.com"]}'


@dataclass(frozen=True, slots=True)
class BoundSecret:
    """`hosts` are names such as crm.example.com, or crm.example.com:8443 for a port other than 443."""

    name: str
    value: str = field(repr=False)
    hosts: frozenset[str]

    def check(self, url: str) -> None:
        """Raise Forbidden unless the secret may be sent to this URL."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Forbidden(f"The secret {self.name} cannot be sent: the URL is invalid.") from None
        if parts.scheme != "https":
            raise Forbidden(f"The secret {self.name} is sent over https only.")
        host = (parts.hostname or "") + (f":{port}" if port not in (None, 443) else "")
        if host not in self.hosts:
            raise Forbidden(f"The secret {self.name} is not for the host {host}. An operator can add it to its hosts.")


def parse_secret(name: str, text: str) -> BoundSecret:
    """Parse a stored secret. Raise Conflict if it is not bound to hosts."""
    try:
        document = json.loads(text)
        value, hosts = document["value"], document["hosts"]
        is_valid = isinstance(value, str) and value and isinstance(hosts, list) and hosts
        if not is_valid or not all(isinstance(host, str) for host in hosts):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        # Without the cause, whose message would have the stored text.
        raise Conflict(f"The secret {name} is not bound to hosts. An operator has to store it as {_SHAPE}.") from None
    return BoundSecret(name, value, frozenset(host.lower() for host in hosts))
