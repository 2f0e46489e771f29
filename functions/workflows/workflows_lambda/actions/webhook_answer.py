"""The action webhook.answer: what the caller of the webhook that started the run gets."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from email_sender.errors import InvalidInput
from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.triggers.answers import check_headers, is_base64


class AnswerIn(BaseModel):
    """A body that is a text is sent as it is, or what it stands for with `base64`; anything else is sent as JSON."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[int, Field(ge=200, le=599)] = 200
    headers: Annotated[dict[str, str], Field(max_length=50)] = Field(default_factory=dict)
    body: JsonValue = ""
    base64: bool = False


def answer(call: TaskCall) -> Mapping[str, Any]:
    """Return the answer. Who waits for it finds it as the result of the step."""
    arguments = call.parse(AnswerIn)
    headers = {name.lower(): value for name, value in arguments.headers.items()}
    check_headers(headers)
    if isinstance(body := arguments.body, str):
        headers.setdefault("content-type", "text/plain; charset=utf-8")
    else:
        headers.setdefault("content-type", "application/json; charset=utf-8")
        body = json.dumps(body, ensure_ascii=False)
    if arguments.base64 and not is_base64(body):
        raise InvalidInput.at("/with/body", "The body is not Base64.")
    return {"status": arguments.status, "headers": headers, "body": body, "base64": arguments.base64}
