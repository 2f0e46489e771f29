"""The two cookies of the console: the session, and an attempt to sign in."""

import json

from fastapi import Request
from fastapi.responses import Response

from console_lambda.bootstrap import settings
from console_lambda.openid import Attempt
from console_lambda.rendering import PREFIX

_ATTEMPT_SECONDS = 600


def _is_secure() -> bool:
    """Whether cookies are sent over TLS only. Only a console on the developer's own machine has no TLS."""
    return settings().api_url.startswith("https://")


def _session_name() -> str:
    # A browser takes the longer name only over TLS, for this host alone.
    return "__Host-session" if _is_secure() else "session"


def session_of(request: Request) -> str:
    return request.cookies.get(_session_name(), "")


def set_session(response: Response, secret: str) -> None:
    response.set_cookie(_session_name(), secret, path="/", secure=_is_secure(), httponly=True, samesite="strict")


def delete_session(response: Response) -> None:
    response.delete_cookie(_session_name(), path="/", secure=_is_secure(), httponly=True, samesite="strict")


def set_attempt(response: Response, attempt: Attempt, target: str) -> None:
    """Keep the attempt and the page that the person wanted. The provider's redirect comes from another site: Lax."""
    value = json.dumps([attempt.state, attempt.verifier, target])
    response.set_cookie(
        "sign-in", _encoded(value), _ATTEMPT_SECONDS, path=f"{PREFIX}/callback", secure=_is_secure(), httponly=True,
        samesite="lax",
    )  # fmt: skip


def attempt_of(request: Request) -> tuple[Attempt, str] | None:
    try:
        state, verifier, target = json.loads(_decoded(request.cookies.get("sign-in", "")))
    except (ValueError, TypeError):
        return None
    return Attempt(str(state), str(verifier)), str(target)


def delete_attempt(response: Response) -> None:
    response.delete_cookie("sign-in", path=f"{PREFIX}/callback", secure=_is_secure(), httponly=True, samesite="lax")


def _encoded(value: str) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(value.encode()).decode()


def _decoded(value: str) -> str:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(value.encode()).decode()
