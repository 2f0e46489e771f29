"""A mail leaves once: when the sender is killed, when it is called twice, when nobody knows."""

import json
import multiprocessing
import os
import signal
from typing import Any
from uuid import UUID

import pytest

from local.client import ApiError, wait_until
from tests.conftest import Platform
from tests.e2e import steps

TASK_ROLE = "user"


def waiting_run(platform: Platform) -> tuple[steps.Json, steps.Json, steps.Json]:
    """A run that waits for approval, the approval, and its one draft.

    Once it is approved, the machine holds before it sends: its own next step would send the mail before a test can.
    """
    contact = steps.add_contact(platform["user@acme"])
    template = steps.add_template(platform["user@acme"])["name"]
    definition = steps.letter(template, [contact["id"]])
    *before, send = definition["steps"]
    hold = {"id": "hold", "uses": "wait", "needs": ["review"], "with": {"seconds": 600}}
    run = steps.start(platform["user@acme"], {**definition, "steps": [*before, hold, {**send, "needs": ["hold"]}]})
    approval = steps.pending_approval(platform["admin@acme"], run["id"])
    return run, approval, approval["drafts"][0]


def environment_of(platform: Platform, function: str) -> dict[str, str]:
    found = platform.aws("lambda").get_function_configuration(FunctionName=platform.function(function))
    variables: dict[str, str] = found["Environment"]["Variables"]
    return variables | {
        "AWS_ENDPOINT_URL": platform.cloud.aws_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def send_and_die(environment: dict[str, str], order: dict[str, Any], *, after: bool) -> None:
    """In a process of its own: the real service, killed right before or right after SES took the mail."""
    os.environ.update(environment)
    from email_sender.adapters.ses import SesProvider
    from email_sender.messaging.sending import SendOrder
    from email_sender.security.permissions import Role
    from messaging.bootstrap import send_service

    real = SesProvider.send

    def killed(self: SesProvider, raw: bytes, sender: str, recipient: str) -> str:
        if after:
            real(self, raw, sender, recipient)
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    SesProvider.send = killed  # type: ignore[method-assign]
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
    answer = platform.aws("lambda").invoke(
        FunctionName=f"{platform.function('SenderFunction')}:live", Payload=json.dumps(payload)
    )
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    return body


@pytest.mark.parametrize("after", [True, False], ids=["after SES took it", "before SES was asked"])
def test_a_killed_sender_sends_once_at_most_and_somebody_hears_of_it(platform: Platform, *, after: bool) -> None:
    run, approval, draft = waiting_run(platform)
    platform["admin@acme"].post(f"/approvals/{approval['id']}", {"decision": "approved"})
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    order = {"tenant": tenant, "run": run["id"], "draft": draft["draft_id"]}
    child = multiprocessing.get_context("spawn").Process(
        target=send_and_die, args=(environment_of(platform, "SenderFunction"), order), kwargs={"after": after}
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    (email,) = steps.emails_of(platform["admin@acme"], run["id"])

    if after:
        # The provider's own event settles it, without anybody asking.
        settled = steps.wait_email(platform["admin@acme"], email["id"], "delivered")
    else:
        assert email["status"] == "sending"
        settled = wait_until(
            lambda: _retried(platform, order, email["id"]), lambda seen: seen["status"] != "sending", 60
        )
        assert settled["status"] == "unknown"
    again = invoke_sender(platform, order)
    assert again.get("status", again.get("errorType")) in (settled["status"], "rejected")
    assert len(steps.mails_tagged(platform, email["id"])) == (1 if after else 0)

    if not after:
        told = platform["admin@acme"].post(f"/emails/{email['id']}/settle", {"decision": "not_sent"})
        assert told["status"] == "rejected"
        with pytest.raises(ApiError) as refused:
            platform["admin@acme"].post(f"/emails/{email['id']}/settle", {"decision": "sent"})
        assert refused.value.status == 409
    platform["admin@acme"].post(f"/runs/{run['id']}/cancel", {})


def _retried(platform: Platform, order: dict[str, Any], email_id: str) -> steps.Json:
    """What a retry by the real service makes of the row that the dead one left: it waits for the lease."""
    child = multiprocessing.get_context("spawn").Process(
        target=send_for_real, args=(environment_of(platform, "SenderFunction"), order)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    return dict(platform["admin@acme"].get(f"/emails/{email_id}"))


def send_for_real(environment: dict[str, str], order: dict[str, Any]) -> None:
    os.environ.update(environment)
    from email_sender.messaging.sending import SendOrder
    from email_sender.security.permissions import Role
    from messaging.bootstrap import send_service

    send_service().send(
        SendOrder(UUID(order["tenant"]), UUID(order["run"]), "send", UUID(order["draft"]), Role(TASK_ROLE))
    )


def test_a_task_called_again_after_it_sent_gives_the_same_email(platform: Platform) -> None:
    contact = steps.add_contact(platform["admin@acme"])
    template = steps.add_template(platform["admin@acme"])["name"]
    definition = steps.letter(template, [contact["id"]], approval=False)
    # Held open by a wait, so that the run still takes tasks.
    definition["steps"].append({"id": "hold", "uses": "wait", "needs": ["send"], "with": {"seconds": 40}})
    run = steps.start(platform["admin@acme"], definition)
    (email,) = wait_until(lambda: steps.emails_of(platform["admin@acme"], run["id"]), bool, 60)
    steps.wait_email(platform["admin@acme"], email["id"], "sent", "delivered")
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "acme")
    order = {"tenant": tenant, "run": run["id"], "draft": email["draft_id"]}
    assert [invoke_sender(platform, order)["email_id"] for _ in range(3)] == [email["id"]] * 3
    assert len(steps.mails_tagged(platform, email["id"])) == 1
    platform["admin@acme"].post(f"/runs/{run['id']}/cancel", {})


def test_a_bounce_and_a_complaint_suppress_the_address(platform: Platform) -> None:
    client = platform["admin@acme"]
    template = steps.add_template(client)["name"]
    wanted = {"bounce": "bounced", "complaint": "complained"}
    for word, status in wanted.items():
        address = f"{word}+{os.urandom(4).hex()}@simulator.amazonses.com"
        contact = client.post("/contacts", {"email": address})
        run = steps.start(client, steps.letter(template, [contact["id"]], approval=False))
        (email,) = wait_until(lambda: steps.emails_of(client, run["id"]), bool, 60)  # noqa: B023
        steps.wait_email(client, email["id"], status)
        found = wait_until(
            lambda: {each["email"]: each["reason"] for each in client.get("/suppressions", limit=200)["items"]},
            lambda seen: address in seen,  # noqa: B023
            20,
        )
        assert found[address] == status
