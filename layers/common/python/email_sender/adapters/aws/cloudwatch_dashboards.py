"""Reads dashboards and their figures from CloudWatch. Implements coordination.dashboards.DashboardSource."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.coordination.dashboards import Panel, Series, ShownAlarm, Widget

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_UNAVAILABLE = "CloudWatch did not respond."


class CloudWatchDashboards:
    """`prefix` is the start of the names of this stage's dashboards and alarms, which callers leave out."""

    def __init__(self, client: Callable[[], "CloudWatchClient"], prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def names(self) -> Sequence[str]:
        with translate_aws_errors(_UNAVAILABLE):
            pages = self._client().get_paginator("list_dashboards").paginate(DashboardNamePrefix=self._prefix)
            entries = [entry for page in pages for entry in page["DashboardEntries"]]
        return [entry["DashboardName"].removeprefix(self._prefix) for entry in entries]

    def body(self, name: str) -> str | None:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE):
            try:
                return client.get_dashboard(DashboardName=self._prefix + name)["DashboardBody"]
            except client.exceptions.ResourceNotFound:
                return None

    def panel(self, widget: Widget, start: datetime, end: datetime) -> Panel:
        if widget.alarms:
            return Panel(widget.title, shows_number=False, alarms=self._alarms(widget.alarms))
        queries: list[Any] = [{**query, "ReturnData": query["Id"] in widget.visible} for query in widget.queries]
        with translate_aws_errors(_UNAVAILABLE):
            pages = (
                self._client()
                .get_paginator("get_metric_data")
                .paginate(MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending")
            )
            results = [result for page in pages for result in page["MetricDataResults"]]
        failed = next(
            (result for result in results if result.get("StatusCode") in ("InternalError", "Forbidden")), None
        )
        if failed is not None:
            messages = [message["Value"] for message in failed.get("Messages", [])]
            return Panel(widget.title, widget.shows_number, error=" ".join(messages) or "CloudWatch has no figures.")
        return Panel(widget.title, widget.shows_number, _series(results))

    def _alarms(self, arns: Sequence[str]) -> Sequence[ShownAlarm]:
        names = [arn.rpartition(":alarm:")[2] for arn in arns]
        with translate_aws_errors(_UNAVAILABLE):
            pages = self._client().get_paginator("describe_alarms")
            alarms: list[Any] = []
            for page in pages.paginate(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"]):
                alarms += [*page.get("MetricAlarms", []), *page.get("CompositeAlarms", [])]
        shown = [
            ShownAlarm(one["AlarmName"].removeprefix(self._prefix), one["StateValue"], one.get("StateReason", ""))
            for one in alarms
        ]
        return sorted(shown, key=lambda alarm: alarm.name)


def _series(results: Sequence[Mapping[str, Any]]) -> Sequence[Series]:
    """Return the series of a query's results. Pages of one series are put together."""
    points: dict[tuple[str, str], list[tuple[datetime, float]]] = {}
    for result in results:
        values = points.setdefault((result["Id"], result["Label"]), [])
        values.extend(zip(result["Timestamps"], result["Values"], strict=True))
    return [Series(label, values) for (_, label), values in points.items()]
