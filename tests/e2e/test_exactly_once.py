"""A mail is sent once: if the sender is killed, if it is called twice, and if the outcome is unknown."""

import json
import multiprocessing
import os
import signal
from typing import Any
from uuid import UUID

import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import api

pytestmark = [pytest.mark.kills]

TASK_ROLE = "user"


def start_waiting_run(platform: Platform) -> tuple[api.Json, api.Json, api.Json]:
    """Start a run and return the run, its pending approval, and its one draft.

    After the approval, the run waits before it sends: its own send step would otherwise be faster than the test.
    """
    contact = api.add_contact(platform["user@acme"])
    template = api.add_template(platform["user@acme"])["name"]
    definition = api.mail_workflow(template, [contact["id"]])
    *before, send = definition["steps"]
    hold = {"id": "hold", "uses": "wait", "needs": ["review"], "with": {"seconds": 600}}
    run = api.start_run(platform["user@acme"], {**definition, "steps": [*before, hold, {**send, "needs": ["hold"]}]})
    approval = api.wait_for_approval(platform["admin@acme"], run["id"])
    return run, approval, approval["drafts"][0]


def function_environment(platform: Platform, function: str) -> dict[str, str]:
    configuration = platform.aws("lambda").get_function_configuration(FunctionName=platform.function_name(function))
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    return variables | {
        "AWS_ENDPOINT_URL": platform.cloud.aws_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def send_and_kill_self(environment: dict[str, str], order: dict[str, Any], *, after: bool) -> None:
    """Run the real service in a process of its own, and kill it right before or after SES accepts the mail."""
    os.environ.update(environment)
    from email_sender.adapters.aws.ses import SesMailProvider
    from email_sender.messaging.sending import SendOrder
    from email_sender.security.permissions import Role
    from messaging_lambda.bootstrap import send_service

    real_send = SesMailProvider.send

    def send_and_kill(self: SesMailProvider, raw: bytes, sender: str, recipient: str) -> str:
        if after:
            real_send(self, raw, sender, recipient)
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    SesMailProvider.send = send_and_kill  # type: ignore[method-assign]
    send_service().send(
        SendOrder(UUID(order["tenant"]), UUID(order["run"]), "send", UUID(order["draft"]), Role(TASK_ROLE))
    )


def invoke_sender(platform: Platform, order: dict[str, Any]) -> dict[str, Any]:
    payload = {
        "tenant_id": order["tenant"],
        "run_id": order["run"],
        "action": "email.send",
        "step": "send",
        "item": 0,
        "with": {"draft": order["draft"]},
    }
    response = platform.aws("lambda").invoke(
        FunctionName=f"{platform.function_name('SenderFunction')}:live", Payload=json.dumps(payload)
    )
    body: dict[str, Any] = json.loads(response["Payload"].read())
    return body


@pytest.mark.parametrize("after", [True, False], ids=["after SES accepted it", "before SES was called"])
def test_a_killed_sender_sends_at_most_once_and_the_email_is_settled(platform: Platform, *, after: bool) -> None:
    run, approval, draft = start_waiting_run(platform)
    platform["admin@acme"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    order = {"tenant": tenant, "run": run["id"], "draft": draft["draft_id"]}
    child = multiprocessing.get_context("spawn").Process(
        target=send_and_kill_self,
        args=(function_environment(platform, "SenderFunction"), order),
        kwargs={"after": after},
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (email,) = api.emails_of(platform["admin@acme"], run["id"])

    if after:
        # The provider's event settles the email without a request.
        final_email = api.wait_for_email(platform["admin@acme"], email["id"], "delivered")
    else:
        assert email["status"] == "sending"
        final_email = wait_until(
            lambda: _retry_send(platform, order, email["id"]),
            lambda retried_email: retried_email["status"] != "sending",
            60,
        )
        assert final_email["status"] == "unknown"
    repeated = invoke_sender(platform, order)
    assert repeated.get("status", repeated.get("errorType")) in (final_email["status"], "rejected")
    assert len(api.sent_mails(platform, email["id"])) == (1 if after else 0)

    if not after:
        settled_email = platform["admin@acme"].post(f"/emails/{email['id']}/settle", {"decision": "not_sent"})
        assert settled_email["status"] == "rejected"
        with pytest.raises(ApiError) as error:
            platform["admin@acme"].post(f"/emails/{email['id']}/settle", {"decision": "sent"})
        assert error.value.status == 409
    platform["admin@acme"].post(f"/runs/{run['id']}/cancel", {})


def _retry_send(platform: Platform, order: dict[str, Any], email_id: str) -> api.Json:
    """Retry with the real service, which waits for the dead sender's lease, and return the email."""
    child = multiprocessing.get_context("spawn").Process(
        target=send_with_service, args=(function_environment(platform, "SenderFunction"), order)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    return dict(platform["admin@acme"].get(f"/emails/{email_id}"))


def send_with_service(environment: dict[str, str], order: dict[str, Any]) -> None:
    os.environ.update(environment)
    from email_sender.messaging.sending import SendOrder
    from email_sender.security.permissions import Role
    from messaging_lambda.bootstrap import send_service

    send_service().send(
        SendOrder(UUID(order["tenant"]), UUID(order["run"]), "send", UUID(order["draft"]), Role(TASK_ROLE))
    )


def test_a_task_repeated_after_it_sent_returns_the_same_email(platform: Platform) -> None:
    contact = api.add_contact(platform["admin@acme"])
    template = api.add_template(platform["admin@acme"])["name"]
    definition = api.mail_workflow(template, [contact["id"]], approval=False)
    # The wait keeps the run open, so that it still accepts tasks.
    definition["steps"].append({"id": "hold", "uses": "wait", "needs": ["send"], "with": {"seconds": 40}})
    run = api.start_run(platform["admin@acme"], definition)
    (email,) = wait_until(lambda: api.emails_of(platform["admin@acme"], run["id"]), bool, 60)
    api.wait_for_email(platform["admin@acme"], email["id"], "sent", "delivered")
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    order = {"tenant": tenant, "run": run["id"], "draft": email["draft_id"]}
    assert [invoke_sender(platform, order)["email_id"] for _ in range(3)] == [email["id"]] * 3
    assert len(api.sent_mails(platform, email["id"])) == 1
    platform["admin@acme"].post(f"/runs/{run['id']}/cancel", {})


def test_a_bounce_and_a_complaint_suppress_the_address(platform: Platform) -> None:
    client = platform["admin@acme"]
    template = api.add_template(client)["name"]
    expected_statuses = {"bounce": "bounced", "complaint": "complained"}
    for mailbox_name, status in expected_statuses.items():
        address = f"{mailbox_name}+{os.urandom(4).hex()}@simulator.amazonses.com"
        contact = client.post("/contacts", {"email": address})
        run = api.start_run(client, api.mail_workflow(template, [contact["id"]], approval=False))
        (email,) = wait_until(lambda: api.emails_of(client, run["id"]), bool, 60)  # noqa: B023
        api.wait_for_email(client, email["id"], status)
        reasons_by_address = wait_until(
            lambda: {
                suppression["email"]: suppression["reason"]
                for suppression in client.get("/suppressions", limit=200)["items"]
            },
            lambda reasons: address in reasons,  # noqa: B023
            20,
        )
        assert reasons_by_address[address] == status
