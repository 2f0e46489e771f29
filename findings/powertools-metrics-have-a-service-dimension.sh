#!/bin/sh
# aws-lambda-powertools 3.37.0 adds the dimension "service" to every metric in a function that has POWERTOOLS_SERVICE_NAME.
#
# The variable names the function for its logs. `single_metric` says that it is for metrics "with different dimensions", and
# takes no service; still the variable becomes a dimension of it. CloudWatch keeps a metric by its whole set of dimensions, so
# an alarm on the dimensions that the code names finds no data, and one that treats missing data as good never goes off.
# `EphemeralMetrics(service="")` is the only way that was found to leave it out.
#
# Seen: single_metric [['manager', 'service']]
#       EphemeralMetrics(service="") [['manager']]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aws-lambda-powertools==3.37.0
POWERTOOLS_SERVICE_NAME=orders "$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io
import json
import sys

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit, single_metric


def dimensions(emit):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        emit()
    return json.loads(output.getvalue())["_aws"]["CloudWatchMetrics"][0]["Dimensions"]


def single():
    with single_metric(name="status", unit=MetricUnit.Count, value=1, namespace="Shop") as metric:
        metric.add_dimension("manager", "billing")


def ephemeral():
    metrics = EphemeralMetrics(namespace="Shop", service="")
    metrics.add_dimension("manager", "billing")
    metrics.add_metric("status", MetricUnit.Count, 1)
    metrics.flush_metrics()


print("single_metric", dimensions(single))
print('EphemeralMetrics(service="")', dimensions(ephemeral))
sys.exit(0 if dimensions(single) == [["manager", "service"]] else "changed: single_metric has the named dimensions only")
PYTHON
