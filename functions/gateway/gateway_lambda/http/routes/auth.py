"""Routes that sign in and refresh tokens with the user pool."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.dependencies import depends_on
from email_sender.security.sessions import TokenIssuer, Tokens
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


class TokensOut(BaseModel):
    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensOut":
        return cls(access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in)


@router.post("/token")
async def token(body: Credentials, tokens: Issuer) -> TokensOut:
    """Sign in. Returns an access token, which is valid for an hour, and a refresh token."""
    return TokensOut.of(tokens.sign_in(body.username, body.password))


@router.post("/refresh")
async def refresh(body: RefreshIn, tokens: Issuer) -> TokensOut:
    """Refresh the access token. The response may have a new refresh token, which replaces the old one."""
    return TokensOut.of(tokens.refresh(body.refresh_token))
