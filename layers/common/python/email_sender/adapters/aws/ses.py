"""Send raw mail with Amazon SES. Implements messaging.ports.MailProvider.

Uses SendRawEmail of the SES API v1, which leaves List-Unsubscribe and threading headers to the platform.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import Unavailable
from email_sender.messaging.ports import SendRejected, SendThrottled

if TYPE_CHECKING:
    from mypy_boto3_ses import SESClient

# Errors that concern this one mail (docs.aws.amazon.com/ses, "SendRawEmail"). Any other refusal, from throttling to a
# paused account or a missing permission, does not concern the mail: it was not sent and can be sent later.
_REJECTION_CODES = frozenset({"MessageRejected", "InvalidParameterValue"})
# The same code says that the sender is not set up: an identity that is not verified, or an account in the sandbox.
_NOT_VERIFIED = re.compile(r"not verified|sandbox", re.IGNORECASE)
_THROTTLING_CODES = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "LimitExceededException"}
)

_UNAVAILABLE = "The mail provider did not respond."


class SesMailProvider:
    """`client` must not retry, since SES would send the mail twice. `on_setup_error` raises an alarm."""

    def __init__(
        self, client: Callable[[], "SESClient"], on_setup_error: Callable[[str], None] = lambda _: None
    ) -> None:
        self._client, self._on_setup_error = client, on_setup_error

    def send(self, raw: bytes, sender: str, recipient: str) -> str:
        from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError, SSLError

        client = self._client()  # outside of the try: if this fails, the mail was certainly not sent
        try:
            with translate_aws_errors(_UNAVAILABLE, self._translate):
                try:
                    response = client.send_raw_email(Source=sender, Destinations=[recipient], RawMessage={"Data": raw})
                except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, SSLError) as error:
                    # There was no connection, so nothing was sent.
                    raise SendThrottled("no connection to the mail provider") from error
        except (SendRejected, SendThrottled, Unavailable):
            raise
        except Exception as error:
            # Whatever failed may have failed after SES accepted the mail.
            raise Unavailable(_UNAVAILABLE) from error
        return response["MessageId"]

    def _translate(self, error: AwsError) -> Exception | None:
        is_setup = bool(_NOT_VERIFIED.search(error.message))
        if error.code in _REJECTION_CODES and not is_setup:
            return SendRejected(error.code)
        if not 400 <= error.status < 500:
            return None
        if error.code in _THROTTLING_CODES:
            return SendThrottled("throttled")
        # Nobody's mail can be sent until an operator acts. The mail waits.
        reason = f"{error.code}: {error.message}"[:300]
        self._on_setup_error(reason)
        return SendThrottled(reason)
