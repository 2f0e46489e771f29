#!/bin/sh
# In MiniStack 1.5.33, CloudFormation's Ref of a secret is its name instead of its ARN.
#
# AWS documents that Ref of AWS::SecretsManager::Secret returns the ARN. IAM compares ARNs: a policy with such a Ref as its
# resource works on AWS, but an evaluator that reads the emulator's policies finds a resource that no ARN matches.
#
# Seen: Ref = 'probe/name'
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ministack==1.5.33 boto3==1.43.0
cd "$folder"
GATEWAY_PORT=45667 PERSIST_STATE=0 "$folder/venv/bin/ministack" > "$folder/log" 2>&1 &
server=$!
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import time

import boto3

options = {
    "endpoint_url": "http://127.0.0.1:45667", "region_name": "us-east-1",
    "aws_access_key_id": "000000000000", "aws_secret_access_key": "test",
}
client = boto3.client("cloudformation", **options)
template = {
    "Resources": {"Probe": {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "probe/name", "SecretString": "x"}}},
    "Outputs": {"Reference": {"Value": {"Ref": "Probe"}}},
}
for attempt in range(60):
    try:
        client.create_stack(StackName="probe", TemplateBody=json.dumps(template))
        break
    except Exception:
        time.sleep(1)
for attempt in range(60):
    stack = client.describe_stacks(StackName="probe")["Stacks"][0]
    if stack["StackStatus"] == "CREATE_COMPLETE":
        break
    time.sleep(0.5)
value = stack["Outputs"][0]["OutputValue"]
print("Ref =", repr(value))
sys.exit(0 if not value.startswith("arn:") else "changed: Ref is an ARN")
PYTHON
