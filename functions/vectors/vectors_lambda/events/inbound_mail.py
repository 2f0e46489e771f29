"""Lambda queue handler: store received mail.

The queue contains the receipts of SES, which name a mail in the bucket, its recipients and the results of the checks,
and the bucket's object-created events for mail that something else stored.
"""

from pydantic import AwareDatetime, BaseModel, Field, RootModel

from email_sender.archive.receipts import CHECKS, Receipt
from email_sender.kit.eventbridge_envelopes import ObjectCreated
from email_sender.kit.queues import queue_handler
from email_sender.kit.system_clock import now
from email_sender.kit.telemetry import logger, record_reply_handling
from vectors_lambda.bootstrap.mail import receiving


class _Verdict(BaseModel):
    status: str


class _Action(BaseModel):
    type: str
    object_key: str = Field(alias="objectKey")


class _SesReceipt(BaseModel):
    recipients: list[str] = Field(default_factory=list)
    action: _Action
    timestamp: AwareDatetime | None = None
    spam: _Verdict | None = Field(default=None, alias="spamVerdict")
    virus: _Verdict | None = Field(default=None, alias="virusVerdict")
    spf: _Verdict | None = Field(default=None, alias="spfVerdict")
    dkim: _Verdict | None = Field(default=None, alias="dkimVerdict")
    dmarc: _Verdict | None = Field(default=None, alias="dmarcVerdict")


class SesNotification(BaseModel):
    """What SES publishes after it stored a mail (docs.aws.amazon.com/ses, "Contents of notifications")."""

    receipt: _SesReceipt

    def to_receipt(self) -> Receipt:
        verdicts = {check: getattr(self.receipt, check) for check in CHECKS}
        return Receipt(
            self.receipt.recipients, {check: verdict.status.lower() for check, verdict in verdicts.items() if verdict}
        )


class ReceivedMail(RootModel[SesNotification | ObjectCreated]):
    """One message of the queue."""


def receive(message: ReceivedMail) -> None:
    if isinstance(message.root, SesNotification):
        key, version, receipt = message.root.receipt.action.object_key, None, message.root.to_receipt()
        arrived_at = message.root.receipt.timestamp
    else:
        key, version, receipt = message.root.detail.object.key, message.root.detail.object.version, None
        arrived_at = message.root.time
    message_ids = receiving().receive(key, version, receipt)
    if not message_ids:
        logger.warning("received mail belongs to no tenant", key=key)
    for message_id in message_ids:
        logger.info("mail received", message_id=str(message_id))
    if arrived_at is not None:
        record_reply_handling(max(0.0, (now() - arrived_at).total_seconds()))


handler = queue_handler(ReceivedMail, receive)
