"""Sign-in and token refresh."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` is the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


class TokenIssuer(Protocol):
    def sign_in(self, username: str, password: str) -> Tokens:
        """Return new tokens. Raises Unauthenticated for wrong credentials, without saying which part is wrong."""

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens. Raises Unauthenticated if the refresh token is expired, revoked or unknown."""
