"""Write docs/grafana: the CloudWatch dashboards for Grafana, and a dashboard on the series of GET /metrics.

python scripts/export_grafana.py          # write
python scripts/export_grafana.py --check  # fail if a file is out of date
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders import cloudwatch, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.cloudwatch import CloudWatchQueryMode, MetricEditorMode, MetricQueryType
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from email_sender.coordination.dashboards import widget_queries
from scripts.export_template import dashboard_bodies

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "grafana"
_SOURCE = DataSourceRef(uid="${datasource}")
_PLACEHOLDER = re.compile(r"\$\{([\w.:]+)}")


def files() -> dict[Path, str]:
    """Return the text of each file."""
    panels = yaml.safe_load((ROOT / "template" / "prometheus.yaml").read_text())
    texts = {"prometheus": _encode(_prometheus_dashboard(panels))}
    for name, body in dashboard_bodies().items():
        texts[name] = _encode(_cloudwatch_dashboard(name, body["widgets"]))
    return {TARGET / f"{name}.json": text for name, text in texts.items()}


def _encode(built: dashboard.Dashboard) -> str:
    return str(JSONEncoder(sort_keys=True, indent=1).encode(built.build())) + "\n"


def _new_dashboard(name: str, source_type: str) -> dashboard.Dashboard:
    source = dashboard.DatasourceVariable("datasource").label("Data source").type(source_type)
    return (
        dashboard.Dashboard(f"Email Sender: {name}")
        .uid(f"email-sender-{name}")
        .tags(["email-sender"])
        .refresh("1m")
        .time("now-6h", "now")
        .with_variable(source)
    )


def _prometheus_dashboard(panels: Sequence[Mapping[str, str]]) -> dashboard.Dashboard:
    built = _new_dashboard("prometheus", "prometheus")
    for panel in panels:
        query = prometheus.Dataquery().expr(panel["query"]).legend_format(panel["legend"])
        built = built.with_panel(_panel(panel["title"]).unit(panel["unit"]).with_target(query))
    return built


def _cloudwatch_dashboard(name: str, widgets: Sequence[Mapping[str, Any]]) -> dashboard.Dashboard:
    """Return a dashboard whose variables are the names and ids that CloudFormation would fill in."""
    built = _new_dashboard(name, "cloudwatch")
    drawn = [widget for widget in widgets if widget["type"] == "metric"]
    names = {match for widget in drawn for match in _PLACEHOLDER.findall(str(widget["properties"]["metrics"]))}
    for variable in sorted(names):
        built = built.with_variable(dashboard.TextBoxVariable(_variable(variable)).label(variable))
    for widget in drawn:
        properties = widget["properties"]
        panel = _panel(properties["title"])
        for query in _cloudwatch_queries(properties):
            panel = panel.with_target(query)
        built = built.with_panel(panel)
    return built


def _panel(title: str) -> timeseries.Panel:
    return timeseries.Panel().title(title).datasource(_SOURCE).span(8).height(8)


def _cloudwatch_queries(properties: Mapping[str, Any]) -> Iterator[cloudwatch.CloudWatchMetricsQuery]:
    queries, visible_ids = widget_queries(properties)
    for query in queries:
        built = (
            cloudwatch.CloudWatchMetricsQuery()
            .ref_id(query["Id"])
            .id(query["Id"])
            .label(_replace(query["Label"]))
            .region("default")
            .query_mode(CloudWatchQueryMode.METRICS)
            .metric_query_type(MetricQueryType.SEARCH)
            .hide(query["Id"] not in visible_ids)
            .period(str(properties["period"]))
        )
        if "Expression" in query:
            yield built.metric_editor_mode(MetricEditorMode.CODE).expression(_replace(query["Expression"]))
            continue
        metric = query["MetricStat"]["Metric"]
        dimensions: dict[str, str | list[str]] = {
            dimension["Name"]: [_replace(dimension["Value"])] for dimension in metric["Dimensions"]
        }
        yield (
            built.metric_editor_mode(MetricEditorMode.BUILDER)
            .namespace(_replace(metric["Namespace"]))
            .metric_name(metric["MetricName"])
            .dimensions(dimensions)
            .match_exact(True)
            .statistic(properties["stat"])
        )


def _replace(text: str) -> str:
    return _PLACEHOLDER.sub(lambda match: f"${{{_variable(match[1])}}}", text)


def _variable(placeholder: str) -> str:
    """Return a name that Grafana accepts: word characters only."""
    return re.sub(r"\W", "_", placeholder)


def main() -> int:
    if "--check" in sys.argv:
        outdated = [path.name for path, text in files().items() if not path.is_file() or path.read_text() != text]
        if outdated:
            print(f"docs/grafana: {', '.join(outdated)} out of date. Run `make generate`.", file=sys.stderr)
        return int(bool(outdated))
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
