#!/bin/sh
# In MiniStack 1.5.33, an alarm on the metric of one function goes off when another function fails.
#
# In CloudWatch, a metric is a name with exactly its dimensions, and an alarm watches one of them. The emulator evaluates
# alarms over all metrics of that name. Its GetMetricData reads the dimensions, so the graph beside the alarm is flat.
#
# Seen: calm's alarm is ALARM, calm's errors are []
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ministack==1.5.33 boto3==1.43.0
cd "$folder"
GATEWAY_PORT=45668 PERSIST_STATE=0 "$folder/venv/bin/ministack" > "$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3

client = boto3.client(
    "cloudwatch", endpoint_url="http://127.0.0.1:45668", region_name="us-east-1",
    aws_access_key_id="000000000000", aws_secret_access_key="test",
)


def dimensions(function):
    return [{"Name": "FunctionName", "Value": function}]


for attempt in range(60):
    try:
        client.put_metric_alarm(
            AlarmName="calm", Namespace="Probe", MetricName="Errors", Dimensions=dimensions("calm"), Statistic="Sum",
            Period=60, EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
        )
        break
    except Exception:
        time.sleep(1)
client.put_metric_data(
    Namespace="Probe", MetricData=[{"MetricName": "Errors", "Dimensions": dimensions("broken"), "Value": 5}]
)
time.sleep(1)
state = client.describe_alarms(AlarmNames=["calm"])["MetricAlarms"][0]["StateValue"]
now = datetime.now(timezone.utc)
stat = {"Metric": {"Namespace": "Probe", "MetricName": "Errors", "Dimensions": dimensions("calm")}, "Period": 60, "Stat": "Sum"}
values = client.get_metric_data(
    MetricDataQueries=[{"Id": "m", "MetricStat": stat}], StartTime=now - timedelta(minutes=5), EndTime=now
)["MetricDataResults"][0]["Values"]
print(f"calm's alarm is {state}, calm's errors are {values}")
sys.exit(0 if (state, values) == ("ALARM", []) else "changed: the alarm watches its own metric")
PYTHON
