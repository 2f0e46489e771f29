"""Send raw mail with Amazon SES. Implements messaging.ports.MailProvider.

Uses SendRawEmail of the SES API v1, which leaves List-Unsubscribe and threading headers to the platform.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.errors import Unavailable
from email_sender.messaging.ports import SendRejected, SendThrottled

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# Errors that concern this one mail (docs.aws.amazon.com/ses, "SendRawEmail"). Any other refusal, from throttling to a
# paused account or a missing permission, does not concern the mail: it was not sent and can be sent later.
_REJECTION_CODES = frozenset({"MessageRejected", "InvalidParameterValue", "MailFromDomainNotVerifiedException"})


class SesMailProvider:
    """`client` must not retry, since SES would send the mail twice."""

    def __init__(self, client: Callable[[], "SESClient"]) -> None:
        self._client = client

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        from botocore.exceptions import ClientError

        try:
            response = self._client().send_raw_email(Source=sender, Destinations=[recipient], RawMessage={"Data": raw})
        except ClientError as error:
            code = error.response["Error"]["Code"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code in _REJECTION_CODES:
                raise SendRejected(code) from error
            if 400 <= status < 500:
                raise SendThrottled(code) from error
            raise Unavailable("The mail provider failed.") from error
        except Exception as error:
            raise Unavailable("The mail provider did not answer.") from error
        return response["MessageId"]
