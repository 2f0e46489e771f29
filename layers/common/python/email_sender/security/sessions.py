"""Sign-in and token refresh."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


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


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right. `session` is valid for three minutes."""

    username: str
    session: str


class SignInLog(Protocol):
    def record(self, tenant_id: UUID, subject: str) -> None:
        """Write the sign-in to the tenant's audit log. Raises Forbidden if the tenant is suspended."""


class TokenIssuer(Protocol):
    def sign_in(self, username: str, password: str) -> Tokens | NewPasswordNeeded | CodeNeeded:
        """Return new tokens. Raises Unauthenticated for wrong credentials, without saying which part is wrong."""

    def set_password(self, username: str, session: str, password: str) -> Tokens:
        """Set the first own password, and return new tokens.

        Raises:
            Unauthenticated: the session has ended, or is another user's.
            InvalidInput: the password does not meet the policy.
        """

    def enter_code(self, username: str, session: str, code: str) -> Tokens:
        """Return new tokens. Raises Unauthenticated for a wrong or old code, and for an ended session."""

    def begin_second_factor(self, access_token: str) -> str:
        """Return a new secret for an authenticator app. It counts once a code of it was confirmed.

        Raises:
            Unauthenticated: the token is not valid for this.
        """

    def confirm_second_factor(self, access_token: str, code: str) -> None:
        """Demand a code at every sign-in from now on, and end every session of the user.

        Raises:
            Unauthenticated: the token is not valid for this.
            InvalidInput: the code is wrong.
        """

    def sign_out(self, refresh_token: str) -> None:
        """Revoke the refresh token, and the access tokens that were made with it. An unknown token is ignored."""

    def refresh(self, refresh_token: str) -> Tokens:
        """Return new tokens. Raises Unauthenticated if the refresh token is expired, revoked or unknown."""
