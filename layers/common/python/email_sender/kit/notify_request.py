"""What may be asked of notifications, as events of the type `notify` say it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput, Problem
from email_sender.messaging.notifying import Level, Request

TYPE = "notify"


class NotifyRequest(BaseModel):
    """`key` says what is the same, and is the title unless given: repeats are folded."""

    # A replayed event says so.
    model_config = ConfigDict(extra="ignore")

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
    text: Annotated[str, Field(max_length=4_000)] = ""
    level: Level = Level.INFO
    key: Annotated[str | None, Field(min_length=1, max_length=200)] = None

    def request(self) -> Request:
        return Request(self.title, self.text, self.level, self.key or self.title)


def notify_request(data: Any, pointer: str = "/data") -> Request:
    """Raises InvalidInput with pointers."""
    try:
        return NotifyRequest.model_validate(data).request()
    except ValidationError as error:
        problems = [
            Problem(pointer + "".join(f"/{part}" for part in each["loc"]), each["msg"])
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidInput("Not a request of a notification.", problems) from None
