"""Every day: sends the report of the day before to the topic of notices."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import ReportSettings, graph
from email_sender.adapters.aws.day_figures import CloudWatchDays
from email_sender.coordination.daily_report import write_report
from email_sender.kit.aws_clients import client
from email_sender.kit.system_clock import now
from email_sender.kit.telemetry import NAMESPACE, logger


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, str]:
    settings = ReportSettings.from_environment()
    start = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    days = CloudWatchDays(lambda: client("cloudwatch"), NAMESPACE, settings.api_id, graph().order)
    text = write_report(settings.stage, start.date(), days.read(start))
    client("sns").publish(
        TopicArn=settings.notice_topic, Subject=f"Email Sender {settings.stage}: {start.date()}", Message=text
    )
    return {"day": start.date().isoformat()}
