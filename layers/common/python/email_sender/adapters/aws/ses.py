"""Send raw mail with Amazon SES. Implements messaging.ports.MailProvider.

Uses SendRawEmail of the SES API v1, which leaves List-Unsubscribe and threading headers to the platform.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import Unavailable
from email_sender.messaging.ports import SendRejected, SendThrottled

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# Errors that concern this one mail (docs.aws.amazon.com/ses, "SendRawEmail"). Any other refusal, from throttling to a
# paused account or a missing permission, does not concern the mail: it was not sent and can be sent later.
_REJECTION_CODES = frozenset({"MessageRejected", "InvalidParameterValue", "MailFromDomainNotVerifiedException"})

_UNAVAILABLE = "The mail provider did not respond."


class SesMailProvider:
    """`client` must not retry, since SES would send the mail twice."""

    def __init__(self, client: Callable[[], "SESClient"]) -> None:
        self._client = client

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        client = self._client()  # outside of the try: if this fails, the mail was certainly not sent
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                response = client.send_raw_email(Source=sender, Destinations=[recipient], RawMessage={"Data": raw})
        except (SendRejected, SendThrottled, Unavailable):
            raise
        except Exception as error:
            # Whatever failed may have failed after SES accepted the mail.
            raise Unavailable(_UNAVAILABLE) from error
        return response["MessageId"]


def _translate(error: AwsError) -> Exception | None:
    if error.code in _REJECTION_CODES:
        return SendRejected(error.code)
    return SendThrottled(error.code) if 400 <= error.status < 500 else None
