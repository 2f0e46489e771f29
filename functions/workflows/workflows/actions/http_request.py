"""The action http.request, which a function outside our walls does."""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from email_sender.errors import InvalidInput
from email_sender.kit.tasks import TaskCall
from email_sender.workflows.durations import parse_duration
from workflows.bootstrap import outbound

_MAX_SECONDS = 60


class HttpRequestIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=4_096)]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    headers: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    secret_headers: Annotated[dict[str, Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]], Field(max_length=10)] = Field(
        default_factory=dict
    )
    body: JsonValue = None
    timeout: str = "PT30S"

    @property
    def seconds(self) -> int:
        """Raises InvalidInput for more than a minute, which no function waits."""
        seconds = parse_duration(self.timeout)
        if not 0 < seconds <= _MAX_SECONDS:
            raise InvalidInput.at("/with/timeout", f"A request waits 1 to {_MAX_SECONDS} seconds.")
        return seconds

    @property
    def target(self) -> str:
        query = urlencode({name: _text(value) for name, value in self.query.items() if value is not None})
        # What follows a # is the client's own.
        url = self.url.partition("#")[0]
        return url + (("&" if "?" in url else "?") + query if query else "")

    def content(self) -> tuple[dict[str, str], bytes]:
        """Headers and body: text as it is, anything else as JSON."""
        if self.body is None:
            return self.headers, b""
        if isinstance(self.body, str):
            return self.headers, self.body.encode()
        names = {name.lower() for name in self.headers}
        kind = {} if "content-type" in names else {"content-type": "application/json"}
        return {**kind, **self.headers}, json.dumps(self.body).encode()


def fetch(call: TaskCall) -> Mapping[str, Any]:
    """By the function that reaches the world and nothing of ours. A retry of the step has the same Idempotency-Key."""
    asked = call.parse(HttpRequestIn)
    headers, body = asked.content()
    key = str(call.key())
    if "idempotency-key" not in {name.lower() for name in headers} and asked.method not in ("GET", "HEAD"):
        headers = {**headers, "idempotency-key": key}
    return outbound().ask(
        {
            "tenant_id": str(call.tenant_id),
            "method": asked.method,
            "url": asked.target,
            "headers": headers,
            "secret_headers": asked.secret_headers,
            "body": base64.b64encode(body).decode(),
            "seconds": asked.seconds,
        }
    )


def _text(value: str | float | bool) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
