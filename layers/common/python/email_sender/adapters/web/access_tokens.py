"""OAuth 2.0 access tokens (RFC 6749, sections 4.4 and 6; RFC 7523). They are kept in memory until they expire."""

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from email_sender.adapters.web.outbound_http import OutboundHttp, Request
from email_sender.errors import Conflict
from email_sender.security.bound_secrets import BoundSecret, OAuth2

# Servers count from when they made the token, and a request takes a while.
_MARGIN_SECONDS: Final = 60
_DEFAULT_SECONDS: Final = 300
_SECONDS: Final = 15
# What a service account signs is valid for an hour, the most that Google accepts.
_SIGNED_SECONDS: Final = 3_600


class AccessTokens:
    """The access tokens of secrets. `key` in the methods tells the secrets of tenants apart."""

    def __init__(self, http: OutboundHttp, clock: Callable[[], float] = time.monotonic) -> None:
        self._http, self._clock = http, clock
        self._tokens: dict[str, tuple[str, float]] = {}

    def get(self, key: str, secret: BoundSecret, oauth2: OAuth2) -> str:
        """Return an access token.

        Raises:
            Conflict: the server gave no token, for instance because the refresh token was revoked.
            Unavailable, RateLimited, Forbidden, InvalidInput: as OutboundHttp.fetch.
        """
        token, expires_at = self._tokens.get(key, ("", 0.0))
        if not token or expires_at <= self._clock():
            token, seconds = self._request(secret, oauth2)
            self._tokens[key] = (token, self._clock() + max(seconds - _MARGIN_SECONDS, 0))
        return token

    def forget(self, key: str) -> None:
        """Ask for a new token at the next use: a server refused this one."""
        self._tokens.pop(key, None)

    def _request(self, secret: BoundSecret, oauth2: OAuth2) -> tuple[str, float]:
        body = urlencode(_fields(secret, oauth2)).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        try:
            answer: Any = self._http.fetch(Request("POST", oauth2.token_url, headers, body), _SECONDS).body
        except Conflict as error:
            raise Conflict(f"There is no access token for the secret {secret.name}: {error}") from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise Conflict(f"There is no access token for the secret {secret.name}: the server sent none.")
        seconds = answer.get("expires_in")
        return token, float(seconds) if type(seconds) in (int, float) else _DEFAULT_SECONDS


def _fields(secret: BoundSecret, oauth2: OAuth2) -> dict[str, str]:
    if oauth2.grant == "jwt_bearer":
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": _assertion(secret, oauth2)}
    grant = {"grant_type": "refresh_token", "refresh_token": oauth2.refresh_token}
    if not oauth2.refresh_token:
        grant = {"grant_type": "client_credentials"}
    fields = {**grant, "client_id": oauth2.client_id, "client_secret": secret.value}
    return fields | ({"scope": oauth2.scope} if oauth2.scope else {})


def _assertion(secret: BoundSecret, oauth2: OAuth2) -> str:
    """Return what a service account signs to get a token."""
    # Only such secrets need it, and it takes 20 ms to load.
    import jwt

    at = int(time.time())
    claims = {"iss": oauth2.client_id, "scope": oauth2.scope, "aud": oauth2.token_url, "iat": at}
    claims |= {"exp": at + _SIGNED_SECONDS} | ({"sub": oauth2.subject} if oauth2.subject else {})
    try:
        return jwt.encode(claims, secret.value, algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise Conflict(f"The secret {secret.name} is no private key in PEM format.") from None
