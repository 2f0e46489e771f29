"""Secrets of tenants for requests to other systems. Each is bound to hosts: a workflow cannot send it elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from email_sender.errors import Conflict, Forbidden

# Stand in a URL for the host that the secret is for, and for who has it.
HOST, USER = "{host}", "{user}"
_SHAPE = '{"value": "…", "hosts": ["crm.example.com"]}'
_OAUTH2_SHAPE = '"oauth2": {"token_url": "https://…", "client_id": "…", "refresh_token": "…", "scope": "…"}'


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Where an access token comes from: with a refresh token, or with the client's own credentials (RFC 6749).

    `grant` "jwt_bearer" is for service accounts (RFC 7523): the client signs its request with its private key, and
    `subject` is the user for whom it acts, if it may.
    """

    token_url: str
    client_id: str
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    grant: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class BoundSecret:
    """`hosts` are names such as crm.example.com, or crm.example.com:8443 for a port other than 443.

    `label` is the name of the header or the field of the query that the value is for, and `user` is who has the value
    as a password. With `oauth2`, the value is the client's secret, and requests get an access token. `headers` and
    `query` are for services that want several values, by their names.
    """

    name: str
    value: str = field(repr=False)
    hosts: frozenset[str]
    label: str = ""
    user: str = ""
    oauth2: OAuth2 | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    def located(self, url: str) -> str:
        """Return the URL with this secret's host and user where it says so: accounts of some services have own URLs.

        Raises:
            Forbidden: the secret has several hosts, or no user.
        """
        if USER in url and not self.user:
            raise Forbidden(f"The secret {self.name} needs a user: it is part of the service's URL.")
        url = url.replace(USER, quote(self.user, safe=""))
        if HOST not in url:
            return url
        if len(self.hosts) > 1:
            raise Forbidden(f"The secret {self.name} has several hosts. Here it needs one: that of the service.")
        return url.replace(HOST, next(iter(self.hosts), HOST))

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
        hosts = document["hosts"]
        value, headers, query = (
            document.get("value", ""),
            _texts(document.get("headers")),
            _texts(document.get("query")),
        )
        has_value = isinstance(value, str) and bool(value or headers or query)
        is_valid = has_value and isinstance(hosts, list) and hosts
        if not is_valid or not all(isinstance(host, str) for host in hosts):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        # Without the cause, whose message would have the stored text.
        raise Conflict(f"The secret {name} is not bound to hosts. An operator has to store it as {_SHAPE}.") from None
    label, user = (str(document.get(key, "")) for key in ("name", "user"))
    bound_hosts = frozenset(host.lower() for host in hosts)
    oauth2 = _oauth2(name, document.get("oauth2"))
    return BoundSecret(name, value, bound_hosts, label, user, oauth2, headers, query)


def _texts(document: object) -> Mapping[str, str]:
    """Return texts by their names. Raise TypeError for anything else."""
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(text, str) for text in document.values()):
        raise TypeError
    return document


def _oauth2(name: str, document: object) -> OAuth2 | None:
    if document is None:
        return None
    texts: Mapping[str, Any] = document if isinstance(document, dict) else {}
    names = {"token_url", "client_id", "refresh_token", "scope", "grant", "subject"}
    is_valid = {"token_url", "client_id"} <= texts.keys() <= names and texts.get("grant", "") in ("", "jwt_bearer")
    if not is_valid or not all(isinstance(text, str) for text in texts.values()):
        raise Conflict(f"The secret {name} has an invalid oauth2. An operator has to store it as {_OAUTH2_SHAPE}.")
    if not texts["token_url"].startswith("https://"):
        raise Conflict(f"The token_url of the secret {name} has to begin with https://.")
    return OAuth2(**texts)
