"""The action http.request. A function outside the VPC sends the request."""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.definition.durations import parse_duration
from workflows_lambda.actions.step_items import loaded
from workflows_lambda.bootstrap import outbound

_MAX_SECONDS = 60
# In Base64, in a call of at most 6 MB.
_MAX_BODY_BYTES = 4_000_000

# Names of headers, with the names of the tenant's secrets that are their values.
type SecretHeaders = Annotated[dict[str, Annotated[str, Field(pattern=r"^[\w-]{1,64}$")]], Field(max_length=10)]


class HttpRequestIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=4_096)]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    query: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    headers: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    secret_headers: SecretHeaders = Field(default_factory=dict)
    body: JsonValue = None
    timeout: str = "PT30S"

    @property
    def seconds(self) -> int:
        """Return the timeout in seconds. Raises InvalidInput unless it is 1 to 60."""
        seconds = parse_duration(self.timeout)
        if not 0 < seconds <= _MAX_SECONDS:
            raise InvalidInput.at("/with/timeout", f"The timeout must be 1 to {_MAX_SECONDS} seconds.")
        return seconds

    @property
    def target(self) -> str:
        query = urlencode({name: _text(value) for name, value in self.query.items() if value is not None})
        # The fragment after # is not sent to the server.
        url = self.url.partition("#")[0]
        return url + (("&" if "?" in url else "?") + query if query else "")

    def content(self) -> tuple[dict[str, str], bytes]:
        """Return headers and body. A string is sent unchanged, any other value as JSON."""
        if self.body is None:
            return self.headers, b""
        if isinstance(self.body, str):
            return self.headers, self.body.encode()
        names = {name.lower() for name in self.headers}
        default_headers = {} if "content-type" in names else {"content-type": "application/json"}
        return {**default_headers, **self.headers}, json.dumps(self.body).encode()


def fetch(call: TaskCall) -> Mapping[str, Any]:
    arguments = call.parse(HttpRequestIn)
    return send_request(call, arguments.model_copy(update={"body": loaded(call, arguments.body)}))


def send_request(call: TaskCall, arguments: HttpRequestIn, *, any_status: bool = False) -> Mapping[str, Any]:
    """Send a request through the outbound function, which has no access to internal resources.

    A retry of the step sends the same Idempotency-Key. With `any_status`, every response is returned, also an error.
    """
    headers, body = arguments.content()
    if len(body) > _MAX_BODY_BYTES:
        raise InvalidInput.at("/with/body", f"The body has {len(body):,} bytes, and {_MAX_BODY_BYTES:,} are the most.")
    key = str(call.idempotency_key())
    if "idempotency-key" not in {name.lower() for name in headers} and arguments.method not in ("GET", "HEAD"):
        headers = {**headers, "idempotency-key": key}
    return outbound().send_request(
        {
            "tenant_id": str(call.tenant_id),
            "method": arguments.method,
            "url": arguments.target,
            "headers": headers,
            "secret_headers": arguments.secret_headers,
            "body": base64.b64encode(body).decode(),
            "seconds": arguments.seconds,
            "any_status": any_status,
        }
    )


def _text(value: str | float | bool) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
