"""What became of an email, by way of a queue, to the steps that wait for it. The sweep would tell them later."""

from uuid import UUID

from pydantic import BaseModel

from email_sender.kit.queues import queue_handler
from workflows.bootstrap import wait_service


class _Data(BaseModel):
    email_id: UUID


class _Detail(BaseModel):
    tenant_id: UUID
    data: _Data


class EmailEvent(BaseModel):
    """Of our own bus. It only says where to look: what is told is what the email's row says."""

    detail: _Detail


def tell(event: EmailEvent) -> None:
    wait_service().settle(event.detail.tenant_id, event.detail.data.email_id)


handler = queue_handler(EmailEvent, tell)
