"""Pages about errors: what happened, the id of the request, and the next step."""

from fastapi import Request

from console_lambda.http.page import Page
from console_lambda.rendering import PREFIX, render

_TITLES = {
    401: "You are signed out",
    403: "You may not do this",
    404: "Not found",
    405: "Not found",
    409: "This is not possible now",
    413: "This is too large",
    422: "Something in the form is not right",
    429: "Too many requests",
    503: "Not available at the moment",
}
_STEPS = {
    401: "Sign in again.",
    403: "Ask an admin of your team for the role that it needs, or go back.",
    404: "Go back, or start from the first page.",
    409: "Go back. Somebody may have changed it meanwhile: load the page again to see how it is.",
    413: "Send less at once.",
    422: "Go back and correct it.",
    429: "Wait a minute, then try again.",
    503: "Try again in a minute. Nothing was lost.",
}


def error_page(request: Request, status: int, detail: str, request_id: str = "") -> Page:
    """Return a page, or for a part of a page only the message."""
    if request.headers.get("x-live"):
        # What is on the page stays, and asks again.
        return Page("", 204)
    part = bool(request.headers.get("hx-request"))
    body = render(
        "error.html",
        title=_TITLES.get(status, "Something went wrong"),
        detail=detail,
        step=_STEPS.get(status, "Try again. If it happens again, give the id of the request to whoever runs this."),
        request_id=request_id or request.scope.get("request_id", ""),
        prefix=PREFIX,
        part=part,
    )
    # htmx shows a part only if the status says success.
    return Page(body, 200 if part else status)
