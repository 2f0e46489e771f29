"""An alarm of the deployed template goes off on a real fault, and dashboards show it. `make faults` has the others."""

import httpx
import pytest

from local.client import wait_until
from tests.conftest import Platform

pytestmark = pytest.mark.timeout(240)
PREFIX = "email-sender-local-"


def alarm_state(platform: Platform, name: str) -> str:
    (alarm,) = platform.aws("cloudwatch").describe_alarms(AlarmNames=[PREFIX + name])["MetricAlarms"]
    return str(alarm["StateValue"])


def test_a_message_that_nobody_can_handle_is_an_alarm(platform: Platform) -> None:
    queue = platform.aws("cloudformation").describe_stack_resource(
        StackName="email-sender-local", LogicalResourceId="NotifyQueue"
    )["StackResourceDetail"]["PhysicalResourceId"]
    sqs = platform.aws("sqs")
    # Five attempts, each after this time; the template has three minutes.
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    sqs.send_message(QueueUrl=queue, MessageBody='{"not": "an event"}')
    try:
        # Then the minute has to end, and the alarm is decided every five seconds.
        wait_until(lambda: alarm_state(platform, "EventsFailed"), lambda state: state == "ALARM", 150)
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "180"})
    page = httpx.get(f"{platform.cloud.aws_url}/dashboards/{PREFIX}alerts").text
    assert f'<span class="ALARM">ALARM</span> {PREFIX}EventsFailed' in page


@pytest.mark.parametrize("name", ["overview", "managers", "vectors", "api", "infrastructure", "alerts", "objectives"])
def test_every_dashboard_can_be_drawn(platform: Platform, name: str) -> None:
    page = httpx.get(f"{platform.cloud.aws_url}/dashboards/{PREFIX}{name}")
    assert page.status_code == 200
    assert page.text.count("<section") >= 3
    assert "Not drawn here" not in page.text
    assert f"/dashboards/{PREFIX}{name}" in httpx.get(f"{platform.cloud.aws_url}/dashboards").text
