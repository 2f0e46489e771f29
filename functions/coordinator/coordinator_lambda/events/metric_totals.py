"""Reads what all functions write to their logs: counts the metrics for GET /metrics, and sends spans to a collector.

Lambda repeats a failed batch twice, within some minutes. Counts of a longer outage of the database are lost: Prometheus
sees counters that stand still, never ones that jump. A log group has at most two subscriptions, and one of them is for
the export of logs, so this one function reads both kinds of lines.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.data_classes import CloudWatchLogsEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import metric_totals, span_exporter
from email_sender.coordination.metrics import count_metrics
from email_sender.errors import Unavailable
from email_sender.kit.telemetry import HISTOGRAMS, NAMESPACE, logger


@logger.inject_lambda_context(clear_state=True)
@event_source(data_class=CloudWatchLogsEvent)
def handler(event: CloudWatchLogsEvent, _context: LambdaContext) -> dict[str, Any]:
    batch = event.parse_logs_data()
    lines = [line.message for line in batch.log_events]
    # Spans first: the batch comes again if its metrics cannot be counted, and a collector ignores a span that it has.
    spans = _export_spans(lines)
    totals = count_metrics(lines, NAMESPACE, HISTOGRAMS)
    ids = "\n".join([batch.log_group, batch.log_stream, *(line.get_id for line in batch.log_events)])
    is_new = bool(totals) and metric_totals().add(hashlib.sha256(ids.encode()).digest(), totals)
    return {"series": len(totals), "is_new": is_new, "spans": spans}


def _export_spans(lines: Sequence[str]) -> int:
    exporter = span_exporter()
    if exporter is None:
        return 0
    try:
        return exporter.export(lines)
    except Unavailable:
        # Metrics must not wait for a collector. The tracing-manager shows that it does not respond.
        logger.warning("spans were lost: the collector did not accept them")
        return 0
