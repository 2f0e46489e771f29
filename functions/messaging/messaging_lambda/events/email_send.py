"""The workflow action email.send. Only this function's role may call SES."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from email_sender.kit.tasks.call import TaskCall
from email_sender.kit.tasks.handler import Action, task_handler
from email_sender.messaging.sending import SendOrder
from messaging_lambda.bootstrap import gate, send_service, workflow_units


class SendIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    draft: UUID


def send(call: TaskCall) -> Mapping[str, Any]:
    parameters = call.parse(SendIn)
    order = SendOrder(call.tenant_id, call.run_id, call.step, parameters.draft, call.role, call.lineage)
    email = send_service().send(order)
    result = {"email_id": str(email.id), "contact_id": str(email.contact_id), "status": str(email.status)}
    # Why an email was not sent belongs into the run's step.
    return {**result, "reason": email.error} if email.error else result


# The service checks the permission itself, since an approval can replace it.
ACTIONS = {"email.send": Action(send, None)}
handler = task_handler(ACTIONS, workflow_units, gate)
