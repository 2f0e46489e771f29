"""Counts the metrics in the logs of all functions for GET /metrics. CloudWatch Logs sends the lines with metrics.

CloudWatch Logs delivers a batch again if this function fails, for up to 24 hours.
"""

import hashlib
from typing import Any

from aws_lambda_powertools.utilities.data_classes import CloudWatchLogsEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import metric_totals
from email_sender.coordination.metrics import count_metrics
from email_sender.kit.telemetry import HISTOGRAMS, NAMESPACE, logger


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=CloudWatchLogsEvent)
def handler(event: CloudWatchLogsEvent, _context: LambdaContext) -> dict[str, Any]:
    batch = event.parse_logs_data()
    totals = count_metrics((line.message for line in batch.log_events), NAMESPACE, HISTOGRAMS)
    if not totals:
        return {"series": 0, "is_new": False}
    ids = "\n".join([batch.log_group, batch.log_stream, *(line.get_id for line in batch.log_events)])
    is_new = metric_totals().add(hashlib.sha256(ids.encode()).digest(), totals)
    return {"series": len(totals), "is_new": is_new}
