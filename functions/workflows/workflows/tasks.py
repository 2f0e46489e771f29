"""Workflow actions that are about the run itself or the world: approval, event.publish, http.request."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from email_sender.coordination.publishing import own_event
from email_sender.errors import InvalidInput
from email_sender.kit.ambient import new_id, now
from email_sender.kit.tasks import Action, TaskCall, task_handler
from email_sender.security.permissions import Permission
from email_sender.workflows.durations import parse_duration
from email_sender.workflows.model import ShownDraft
from workflows.bootstrap import approval_service, engine, outbound, workflow_units

_MAX_SECONDS = 60


class _Draft(BaseModel):
    draft_id: UUID
    sha256: str


class ApprovalIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=1, max_length=200)]
    drafts: list[_Draft] = Field(default_factory=list)
    timeout: str = "P3D"
    on_timeout: Literal["approved", "denied"] = "denied"

    @field_validator("drafts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        # JSONata makes a single thing of a list of one, and a skipped step gives null.
        listed = value if isinstance(value, list) else [value]
        return [each for each in listed if each is not None]


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


class PublishIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(min_length=1, max_length=128)]
    data: dict[str, Any] = Field(default_factory=dict)


def ask(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(ApprovalIn)
    if call.task_token is None:
        raise InvalidInput("An approval needs a task token.")
    approval = approval_service().request(
        call.tenant_id,
        run_id=call.run_id,
        step=call.step,
        title=asked.title,
        drafts=[ShownDraft(each.draft_id, each.sha256) for each in asked.drafts],
        task_token=call.task_token,
        timeout=timedelta(seconds=parse_duration(asked.timeout)),
    )
    return {"approval_id": str(approval.id)}


def publish(call: TaskCall) -> Mapping[str, Any]:
    asked = call.parse(PublishIn)
    event = own_event(
        new_id(), call.tenant_id, "workflow", asked.type, asked.data, now(), correlation_id=str(call.run_id)
    )
    with workflow_units()(call.tenant_id) as unit:
        unit.emit(event)
        unit.commit()
    return {"event_id": str(event.id)}


def fetch(call: TaskCall) -> Mapping[str, Any]:
    """By the function that reaches the world and nothing of ours. A retry of the step has the same Idempotency-Key."""
    asked = call.parse(HttpRequestIn)
    headers, body = asked.content()
    key = str(uuid5(call.run_id, f"{call.step}/{call.item}"))
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


handler = task_handler(
    {
        "approval": Action(ask, None, waits=True),
        "event.publish": Action(publish, Permission.EVENTS_PUBLISH),
        "http.request": Action(fetch, Permission.WORKFLOWS_EXECUTE),
    },
    workflow_units,
    lambda token, error, message: engine().refuse(token, error, message),
)
