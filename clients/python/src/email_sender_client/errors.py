"""Errors of the client."""

from typing import Any

import httpx


class ApiError(Exception):
    """The API answered with an error (RFC 9457).

    `status` is the HTTP status, `code` is for programs, `problems` maps JSON pointers into the request's body to
    messages, and `request_id` finds the request in the logs.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        try:
            body: dict[str, Any] = response.json()
        except ValueError:
            body = {}
        self.code = str(body.get("code", ""))
        self.detail = str(body.get("detail") or body.get("message") or response.text[:300] or response.reason_phrase)
        self.problems = {error["pointer"]: error["message"] for error in body.get("errors") or []}
        self.request_id = str(body.get("request_id") or response.headers.get("x-request-id", ""))
        self.retry_after = _seconds(response.headers.get("retry-after"))
        lines = [f"{self.detail} ({self.status} {self.code})".replace(" )", ")")]
        lines += [f"  {pointer or '/'}: {message}" for pointer, message in self.problems.items()]
        super().__init__("\n".join(lines))


class SignInNeeded(Exception):
    """There is no session, or it has ended. Sign in again."""


class CodeNeeded(Exception):
    """The account has a second factor. Sign in again with a code of the authenticator app."""


class NewPasswordNeeded(Exception):
    """The password is that of an invitation. Sign in again with a password of your own."""


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
