"""Sign-in and token refresh."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` is the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class NewPasswordNeeded:
    """The password was right, and counts only once: that of an invitation. `session` is valid for three minutes."""

    username: str
    session: str


class TokenIssuer(Protocol):
    def sign_in(self, username: str, password: str) -> Tokens | NewPasswordNeeded:
        """Return new tokens. Raises Unauthenticated for wrong credentials, without saying which part is wrong."""

    def set_password(self, username: str, session: str, password: str) -> Tokens:
        """Set the first own password, and return new tokens.

        Raises:
            Unauthenticated: the session has ended, or is another user's.
            InvalidInput: the password does not meet the policy.
        """

    def sign_out(self, refresh_token: str) -> None:
        """Revoke the refresh token, and the access tokens that were made with it. An unknown token is ignored."""

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens. Raises Unauthenticated if the refresh token is expired, revoked or unknown."""
