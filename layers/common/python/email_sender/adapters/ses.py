"""Amazon SES, raw mail. Implements messaging.ports.MailProvider.

SendRawEmail of the first API: List-Unsubscribe and threading headers are ours to write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.errors import Unavailable
from email_sender.messaging.ports import SendRejected, SendThrottled

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# SES's own answers that it took nothing (docs.aws.amazon.com/ses, "SendRawEmail", "Common errors").
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "TooManyRequestsException", "LimitExceededException"})


class SesProvider:
    """`client` must not retry by itself: asked twice, SES sends twice."""

    def __init__(self, client: Callable[[], "SESClient"]) -> None:
        self._client = client

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        from botocore.exceptions import ClientError

        try:
            answer = self._client().send_raw_email(Source=sender, Destinations=[recipient], RawMessage={"Data": raw})
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code in _THROTTLED:
                raise SendThrottled(code) from error
            if 400 <= status < 500:
                raise SendRejected(code) from error
            raise Unavailable("The mail provider failed.") from error
        except Exception as error:
            raise Unavailable("The mail provider did not answer.") from error
        return answer["MessageId"]
