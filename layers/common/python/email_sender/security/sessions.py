"""Signing in."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class TokenIssuer(Protocol):
    def sign_in(self, username: str, password: str) -> Tokens:
        """Raises Unauthenticated for wrong credentials, without saying which part is wrong."""

    def refresh(self, refresh_token: str) -> Tokens:
        """Raises Unauthenticated for a token that is spent, revoked or none of ours."""
