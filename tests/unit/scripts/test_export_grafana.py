"""Dashboards for Grafana, read back with the models of Grafana's own SDK."""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.export_grafana import files
from scripts.export_template import dashboard_bodies

DASHBOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(text) for path, text in files().items()}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafanas_models_read_a_dashboard_without_loss(name: str) -> None:
    read = Dashboard.from_json(DASHBOARDS[name])
    assert json.loads(JSONEncoder().encode(read)) == DASHBOARDS[name]
    assert DASHBOARDS[name]["panels"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_is_declared(name: str) -> None:
    declared = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    used = set(re.findall(r"\$\{(\w+)}", json.dumps(DASHBOARDS[name]["panels"])))
    assert used <= declared
    # A dot would end the name of a variable in Grafana.
    assert not re.search(r"\$\{\w+\.", json.dumps(DASHBOARDS[name]))


def test_the_cloudwatch_dashboards_have_the_widgets_of_the_template() -> None:
    for name, body in dashboard_bodies().items():
        titles = [widget["properties"]["title"] for widget in body["widgets"] if widget["type"] == "metric"]
        assert [panel["title"] for panel in DASHBOARDS[name]["panels"]] == titles
