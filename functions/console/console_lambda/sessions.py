"""Sessions of the console: tokens that the browser never sees, found by a secret that only the browser has.

The store gets the hash of the secret, and the tokens encrypted with a key made of it, so whoever reads the store can
neither use a session nor read a token.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Protocol

from email_sender import base64url
from email_sender.clock import Clock
from email_sender.errors import Unauthenticated
from email_sender.kit.claims import role_of
from email_sender.security.permissions import Permission, Role, allows

IDLE = timedelta(minutes=30)
# Not each request writes: a session may end this much earlier than IDLE after the last one.
_TOUCHED_EVERY = timedelta(minutes=1)
# A token is renewed while it is still valid, so that no request of a page meets its end.
_RENEWED_BEFORE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token issuer returned. `expires_at` is when the access token ends, in seconds of Unix time."""

    access_token: str
    refresh_token: str
    expires_at: float


class TokenIssuer(Protocol):
    def refresh(self, refresh_token: str) -> Tokens:
        """Raises Unauthenticated if the refresh token is not valid any more, and Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class StoredSession:
    """`sealed` are the encrypted tokens; `expires_at` is in seconds of Unix time."""

    sealed: bytes
    expires_at: float


class SessionStore(Protocol):
    """Every method raises Unavailable if the store does not respond."""

    def load(self, key: str) -> StoredSession | None: ...

    def add(self, key: str, session: StoredSession) -> None: ...

    def replace(self, key: str, session: StoredSession) -> None:
        """Change a session. One that was deleted in the meantime stays deleted."""
        ...

    def extend(self, key: str, expires_at: float) -> None:
        """Change when a session ends, and nothing else: its tokens may be renewed at the same moment."""
        ...

    def delete(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Session:
    secret: str
    tokens: Tokens

    @property
    def csrf(self) -> str:
        """The token that every form of this session must send."""
        return sha256(f"csrf:{self.secret}".encode()).hexdigest()

    def proof_of(self, text: str) -> str:
        """Return what shows that a text is the console's own, and of this session."""
        return sha256(f"notice:{self.secret}:{text}".encode()).hexdigest()[:32]

    @property
    def role(self) -> Role | None:
        """The role that decides what pages show. The API verifies each request itself."""
        try:
            return Role(role_of(self.claims))
        except (ValueError, KeyError):
            return None

    @property
    def username(self) -> str:
        return str(self.claims.get("username") or self.claims.get("email") or self.claims.get("sub", ""))

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims of the access token, which came from its issuer."""
        try:
            part = self.tokens.access_token.split(".")[1]
            claims = json.loads(base64url.decode(part))
        except (IndexError, ValueError):
            return {}
        return claims if isinstance(claims, dict) else {}

    @property
    def lacks_second_factor(self) -> bool:
        """Whether the role needs an authenticator app, and the person has none yet. The API refuses them until then."""
        return self.claims.get("second_factor") == "missing"

    def may(self, permission: Permission) -> bool:
        role = self.role
        return role is not None and allows(role, permission)


class Sessions:
    """Opens, continues and closes sessions."""

    def __init__(self, store: SessionStore, issuer: TokenIssuer, now: Clock) -> None:
        self._store, self._issuer, self._now = store, issuer, now

    def open(self, tokens: Tokens) -> Session:
        session = Session(secrets.token_urlsafe(32), tokens)
        ends = (self._now() + IDLE).timestamp()
        self._store.add(_key(session.secret), StoredSession(_seal(session.secret, tokens), ends))
        return session

    def resume(self, secret: str, *, is_activity: bool) -> Session:
        """Return the session with a valid access token.

        Without `is_activity`, as for a page that updates itself, the session does not last longer.

        Raises:
            Unauthenticated: there is no such session, or it ended.
        """
        now = self._now()
        stored = self._store.load(_key(secret))
        if stored is None or stored.expires_at <= now.timestamp():
            raise Unauthenticated("The session has ended.")
        tokens = _open(secret, stored.sealed)
        ends = (now + IDLE).timestamp() if is_activity else stored.expires_at
        if tokens.expires_at - _RENEWED_BEFORE.total_seconds() <= now.timestamp():
            tokens = self._issuer.refresh(tokens.refresh_token)
            self._store.replace(_key(secret), StoredSession(_seal(secret, tokens), ends))
        elif ends - stored.expires_at > _TOUCHED_EVERY.total_seconds():
            self._store.extend(_key(secret), ends)
        return Session(secret, tokens)

    def close(self, secret: str) -> Tokens | None:
        """Delete the session. Returns its tokens, to revoke them, or None if it had ended."""
        stored = self._store.load(_key(secret))
        self._store.delete(_key(secret))
        return _open(secret, stored.sealed) if stored else None


def _key(secret: str) -> str:
    return sha256(f"session:{secret}".encode()).hexdigest()


def _seal(secret: str, tokens: Tokens) -> bytes:
    nonce = secrets.token_bytes(12)
    sealed: bytes = _cipher(secret).encrypt(nonce, json.dumps(asdict(tokens)).encode(), None)
    return nonce + sealed


def _open(secret: str, sealed: bytes) -> Tokens:
    from cryptography.exceptions import InvalidTag

    try:
        return Tokens(**json.loads(_cipher(secret).decrypt(sealed[:12], sealed[12:], None)))
    except (InvalidTag, ValueError, TypeError):
        raise Unauthenticated("The session cannot be read.") from None


def _cipher(secret: str) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    # The secret has 256 random bits, so a plain hash is a key.
    return AESGCM(sha256(f"tokens:{secret}".encode()).digest())
