"""Routes that sign in and refresh tokens with the user pool."""

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.dependencies import depends_on
from email_sender.security.sessions import NewPasswordNeeded, TokenIssuer, Tokens
from gateway_lambda.bootstrap import issuer

router = APIRouter(prefix="/auth", tags=["auth"])
Issuer = Annotated[TokenIssuer, depends_on(issuer)]
Secret = Annotated[str, Field(min_length=1, max_length=4_096)]


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=320)]
    password: Secret


class RefreshIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: Secret


class PasswordIn(BaseModel):
    """`username` and `session` are those of the response that asked for a new password."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=320)]
    session: Secret
    password: Secret


class NewPasswordOut(BaseModel):
    """The password of an invitation was right. Send `username`, `session` and an own password to /auth/password."""

    challenge: Literal["new_password"] = "new_password"
    username: str
    session: str


class TokensOut(BaseModel):
    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensOut":
        return cls(access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in)


@router.post("/token")
async def token(body: Credentials, tokens: Issuer) -> TokensOut | NewPasswordOut:
    """Sign in. Returns an access token, which is valid for an hour, and a refresh token.

    With the password of an invitation, it returns a `challenge` instead: choose your own password at /auth/password.
    """
    result = tokens.sign_in(body.username, body.password)
    if isinstance(result, NewPasswordNeeded):
        return NewPasswordOut(username=result.username, session=result.session)
    return TokensOut.of(result)


@router.post("/password")
async def password(body: PasswordIn, tokens: Issuer) -> TokensOut:
    """Choose a password in place of that of an invitation, and sign in."""
    return TokensOut.of(tokens.set_password(body.username, body.session, body.password))


@router.post("/logout", status_code=204)
async def logout(body: RefreshIn, tokens: Issuer) -> Response:
    """Sign out. Revokes the refresh token; access tokens end within an hour."""
    tokens.sign_out(body.refresh_token)
    return Response(status_code=204)


@router.post("/refresh")
async def refresh(body: RefreshIn, tokens: Issuer) -> TokensOut:
    """Refresh the access token. The response may have a new refresh token, which replaces the old one."""
    return TokensOut.of(tokens.refresh(body.refresh_token))
