"""Resume the steps that wait for an email, when a queue delivers an event of that email. The sweep is the fallback."""

from uuid import UUID

from pydantic import BaseModel

from email_sender.kit.queues import queue_handler
from workflows_lambda.bootstrap import wait_service


class _Data(BaseModel):
    email_id: UUID


class _Detail(BaseModel):
    tenant_id: UUID
    data: _Data


class EmailEvent(BaseModel):
    """An email event of the platform's bus. It only names the email; its outcome is read from the database."""

    detail: _Detail


def settle_waits(event: EmailEvent) -> None:
    wait_service().settle(event.detail.tenant_id, event.detail.data.email_id)


handler = queue_handler(EmailEvent, settle_waits)
