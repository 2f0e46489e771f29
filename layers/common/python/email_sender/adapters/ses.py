"""Amazon SES, raw mail. Implements messaging.ports.MailProvider.

SendRawEmail of the first API: List-Unsubscribe and threading headers are ours to write.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.errors import Unavailable
from email_sender.messaging.ports import SendRejected, SendThrottled

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# What is wrong with this one mail (docs.aws.amazon.com/ses, "SendRawEmail"). Any other refusal, from throttling to a
# paused account or a missing permission, says nothing of the mail: it was not taken, and may be later.
_REJECTED = frozenset({"MessageRejected", "InvalidParameterValue", "MailFromDomainNotVerifiedException"})


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
            if code in _REJECTED:
                raise SendRejected(code) from error
            if 400 <= status < 500:
                raise SendThrottled(code) from error
            raise Unavailable("The mail provider failed.") from error
        except Exception as error:
            raise Unavailable("The mail provider did not answer.") from error
        return answer["MessageId"]
