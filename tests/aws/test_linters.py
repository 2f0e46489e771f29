"""Independent tools check the templates: cfn-lint against AWS's schemas, parliament against IAM's actions."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.aws.evaluation import Json
from local.layout import ROOT
from tests.aws.cloudformation import PLAIN, as_list, deployed, functions_of, statements_of, translated_template

LINTERS = ROOT / ".local/linters/bin"
STACKS = sorted((ROOT / "stacks").glob("*.yaml"))

# Findings of cfn-lint that are no faults.
ACCEPTED_RULES = {
    # SAM writes Fn::Sub around the names of the routes' permissions, whether they contain variables or not.
    "W1020",
}
# SAM reads this parameter itself and leaves nothing for CloudFormation.
ACCEPTED_MESSAGES = {"Parameter Rollout not used."}
# Statements that need every resource of a service, with the reason. All other findings of parliament fail.
ACCEPTED_WILDCARDS = {
    "lambda:UpdateEventSourceMapping": "A mapping's id is random; the condition limits it to the stack.",
}


def cfn_lint(*paths: Path) -> list[str]:
    completed = subprocess.run(
        [LINTERS / "cfn-lint", "--format", "json", "--regions", "eu-west-1", "--", *paths],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    findings = json.loads(completed.stdout or "[]")
    return [
        f"{found['Rule']['Id']} {found['Message']} {found['Location']['Path']}"
        for found in findings
        if found["Rule"]["Id"] not in ACCEPTED_RULES and found["Message"] not in ACCEPTED_MESSAGES
    ]


def parliament(policies: dict[str, Json]) -> list[Json]:
    completed = subprocess.run(
        [LINTERS / "python", "-W", "ignore", Path(__file__).with_name("linters") / "check_policies.py"],
        input=json.dumps(policies), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return list(json.loads(completed.stdout))


def policy(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def is_fault(found: Json, statements: list[Json]) -> bool:
    """Tell a fault from a finding that lists only the resource types that a statement does not name.

    parliament wants a resource of every type that an action accepts. One is enough.
    """
    if found["issue"] == "RESOURCE_STAR":
        return not set(found["detail"]) <= set(ACCEPTED_WILDCARDS)
    if found["issue"] != "RESOURCE_MISMATCH":
        return True
    return any(
        not resource_fits(detail["action"], statement)
        for detail in found["detail"]
        for statement in statements
        if detail["action"] in as_list(statement["Action"])
    )


# The resource types of actions that have several, from AWS's service authorization reference.
RESOURCE_TYPES = {
    "bedrock:InvokeModel": ("::foundation-model/", ":inference-profile/"),
    "states:DescribeExecution": (":execution:",),
}


def resource_fits(action: str, statement: Json) -> bool:
    types = RESOURCE_TYPES.get(action, ())
    return all(any(kind in resource for kind in types) for resource in as_list(statement["Resource"]))


def test_the_translated_template_has_no_faults(tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(translated_template()))
    assert cfn_lint(path) == []


@pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.stem)
def test_the_stacks_have_no_faults(stack: Path) -> None:
    assert cfn_lint(stack) == []


@pytest.mark.parametrize("parameters", [None, PLAIN], ids=["with secrets", "with IAM"])
def test_the_roles_of_functions_name_actions_and_resources_that_exist(parameters: dict[str, str] | None) -> None:
    resources = deployed(parameters=parameters)
    policies = {name: policy(*statements_of(name, resources)) for name in functions_of(resources)}
    policies = {name: document for name, document in policies.items() if document["Statement"]}
    assert len(policies) > 30
    faults = [found for found in parliament(policies) if is_fault(found, policies[found["policy"]]["Statement"])]
    assert faults == []


@pytest.mark.parametrize(
    ("action", "resource", "issue"),
    [
        ("sqs:SendMesage", "*", "UNKNOWN_ACTION"),
        ("s3:GetObject", "arn:aws:s3:::bucket", "RESOURCE_MISMATCH"),
        ("tag:GetResources", "arn:aws:s3:::bucket", "RESOURCE_MISMATCH"),
        ("kms:Decrypt", "*", "RESOURCE_STAR"),
    ],
)
def test_a_wrong_statement_would_be_found(action: str, resource: str, issue: str) -> None:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    (found,) = parliament({"wrong": policy(statement)})
    assert found["issue"] == issue
    assert is_fault(found, [statement])


def test_actions_that_accept_no_resource_have_none() -> None:
    """parliament accepts a rule's ARN for events:ListRules, but AWS's reference lists no resource type for it."""
    without_resources = {
        "events:ListRules", "events:TestEventPattern", "tag:GetResources", "lambda:ListFunctions",
        "lambda:ListEventSourceMappings", "ses:GetSendQuota", "cloudwatch:ListMetrics", "cloudwatch:GetMetricData",
        "cloudwatch:GetMetricStatistics", "cloudwatch:ListDashboards",
    }  # fmt: skip
    resources = deployed()
    for name in functions_of(resources):
        for statement in statements_of(name, resources):
            if without_resources & set(as_list(statement["Action"])):
                assert statement["Resource"] == "*", name
