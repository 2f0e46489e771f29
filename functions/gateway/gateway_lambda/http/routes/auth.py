"""Routes that sign in and refresh tokens with the user pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from email_sender.errors import DomainError, Unauthenticated
from email_sender.kit.auth import Principal, Requires
from email_sender.kit.claims import tenant_of
from email_sender.kit.dependencies import depends_on
from email_sender.kit.rate_limiting import take_sign_in
from email_sender.kit.telemetry import count_failed_sign_in
from email_sender.security.permissions import Permission
from email_sender.security.sessions import CodeNeeded, NewPasswordNeeded, SignInLog, TokenIssuer, Tokens
from gateway_lambda.bootstrap import issuer, sign_in_log

router = APIRouter(prefix="/auth", tags=["auth"])
Issuer = Annotated[TokenIssuer, depends_on(issuer)]
Log = Annotated[SignInLog | None, depends_on(sign_in_log)]
Username = Annotated[str, Field(min_length=1, max_length=320)]
Secret = Annotated[str, Field(min_length=1, max_length=4_096)]


Code = Annotated[str, Field(pattern=r"^[0-9]{6}$")]


class Credentials(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: Username
    password: Secret


class RefreshIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: Secret


class ChallengeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: Username
    session: Secret


class PasswordIn(ChallengeIn):
    """`username` and `session` are those of the response that asked for a new password."""

    password: Secret


class NewPasswordOut(BaseModel):
    """The password of an invitation was right. Send `username`, `session` and an own password to /auth/password."""

    challenge: Literal["new_password"] = "new_password"
    username: str
    session: str


class CodeOut(BaseModel):
    """The password was right. Send `username`, `session` and a code of the authenticator app to /auth/totp."""

    challenge: Literal["totp"] = "totp"
    username: str
    session: str


class CodeIn(ChallengeIn):
    """`username` and `session` are those of the response that asked for a code."""

    code: Code


class SetupIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    access_token: Secret


class ConfirmationIn(SetupIn):
    code: Code


class SetupOut(BaseModel):
    """`uri` is what authenticator apps read, often as a QR code. Confirm a code of the app at /auth/totp/confirm."""

    secret: str
    uri: str


class TokensOut(BaseModel):
    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105  # the scheme's name
    expires_in: int

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensOut":
        return cls(access_token=tokens.access_token, refresh_token=tokens.refresh_token, expires_in=tokens.expires_in)


def _signed_in(result: Tokens, tokens: TokenIssuer, log: SignInLog | None) -> TokensOut:
    """Write the sign-in to the audit log, and return the tokens. Without the entry, nobody gets them."""
    if log is not None:
        import jwt

        # The user pool has just sent it.
        claims = jwt.decode(result.access_token, options={"verify_signature": False})
        try:
            log.record(UUID(tenant_of(claims)), str(claims["sub"]))
        except DomainError:
            tokens.sign_out(result.refresh_token)
            raise
    return TokensOut.of(result)


@contextmanager
def _counted() -> Iterator[None]:
    """Count the attempt if it fails, for the alarm FailedSignIns."""
    try:
        yield
    except Unauthenticated:
        count_failed_sign_in()
        raise


@router.post("/token")
async def sign_in(body: Credentials, tokens: Issuer, log: Log) -> TokensOut | NewPasswordOut | CodeOut:
    """Sign in. Returns an access token, which is valid for an hour, and a refresh token.

    It may return a `challenge` instead. `new_password`: the password was that of an invitation; choose your own at
    /auth/password. `totp`: enter a code of the authenticator app at /auth/totp.
    """
    take_sign_in(body.username)
    with _counted():
        result = tokens.sign_in(body.username, body.password)
    if isinstance(result, NewPasswordNeeded):
        return NewPasswordOut(username=result.username, session=result.session)
    if isinstance(result, CodeNeeded):
        return CodeOut(username=result.username, session=result.session)
    return _signed_in(result, tokens, log)


@router.post("/totp")
async def enter_totp_code(body: CodeIn, tokens: Issuer, log: Log) -> TokensOut:
    """Enter a code of the authenticator app, and sign in."""
    take_sign_in(body.username)
    with _counted():
        result = tokens.enter_code(body.username, body.session, body.code)
    return _signed_in(result, tokens, log)


@router.post("/totp/setup")
async def set_up_totp(body: SetupIn, tokens: Issuer) -> SetupOut:
    """Set up an authenticator app. For the access token of somebody whose role needs a second factor."""
    secret = tokens.begin_second_factor(body.access_token)
    return SetupOut(secret=secret, uri=f"otpauth://totp/Email%20Sender?secret={secret}&issuer=Email%20Sender")


@router.post("/totp/confirm", status_code=204)
async def confirm_totp(body: ConfirmationIn, tokens: Issuer) -> Response:
    """Confirm the authenticator app with a code of it. Every sign-in needs a code from then on; sign in again now."""
    tokens.confirm_second_factor(body.access_token, body.code)
    return Response(status_code=204)


@router.post("/password")
async def choose_password(body: PasswordIn, tokens: Issuer, log: Log) -> TokensOut:
    """Choose a password in place of that of an invitation, and sign in."""
    return _signed_in(tokens.set_password(body.username, body.session, body.password), tokens, log)


@router.post("/sessions", status_code=204)
async def record_sign_in(caller: Annotated[Principal, Depends(Requires(Permission.EVENTS_READ))], log: Log) -> Response:
    """Record that you signed in at the user pool's own pages, as the console does. Sign-ins through this API record
    themselves. Members of a suspended tenant get 403."""
    if log is not None:
        log.record(caller.tenant_id, caller.subject)
    return Response(status_code=204)


@router.post("/logout", status_code=204)
async def sign_out(body: RefreshIn, tokens: Issuer) -> Response:
    """Sign out. Revokes the refresh token; access tokens end within an hour."""
    tokens.sign_out(body.refresh_token)
    return Response(status_code=204)


@router.post("/refresh")
async def refresh_access_token(body: RefreshIn, tokens: Issuer) -> TokensOut:
    """Refresh the access token. The response may have a new refresh token, which replaces the old one."""
    return TokensOut.of(tokens.refresh(body.refresh_token))
