"""The data of events of the type `notify`: requests to send a notification."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput
from email_sender.kit.pydantic_problems import problems_of
from email_sender.messaging.notifications import Level, NotificationRequest

TYPE = "notify"


class NotifyRequest(BaseModel):
    """A request to send a notification. Requests with the same `key` (default: the title) are grouped."""

    # Replayed events have an additional field, `replayed`.
    model_config = ConfigDict(extra="ignore")

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
    text: Annotated[str, Field(max_length=4_000)] = ""
    level: Level = Level.INFO
    key: Annotated[str | None, Field(min_length=1, max_length=200)] = None

    def to_request(self) -> NotificationRequest:
        return NotificationRequest(self.title, self.text, self.level, self.key or self.title)


def parse_notify_request(data: Any, pointer: str = "/data") -> NotificationRequest:
    """Return the validated request.

    Raises:
        InvalidInput: with pointers that begin with `pointer`.
    """
    try:
        return NotifyRequest.model_validate(data).to_request()
    except ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        problems = problems_of(details, data, pointer, "The notification request")
        raise InvalidInput("The notification request is invalid.", problems) from None
