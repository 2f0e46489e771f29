"""Read {name: IAM policy} as JSON from standard input, and print parliament's findings as a JSON list."""

import json
import sys

import parliament

findings = []
for name, document in json.load(sys.stdin).items():
    policy = parliament.analyze_policy_string(json.dumps(document))
    findings += [{"policy": name, "issue": found.issue, "detail": found.detail} for found in policy.findings]
json.dump(findings, sys.stdout)
