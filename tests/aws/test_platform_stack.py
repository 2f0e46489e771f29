"""What AWS charges for or drops without a word: no linter finds it."""

import tomllib

import pytest

from email_sender.kit.telemetry import record_request_duration
from gateway_lambda.version_checks import CHECKS
from local.aws.intrinsics import read_template
from local.layout import ROOT
from tests.aws.cloudformation import PARAMETERS, deployed, translated_template

SOURCE = read_template(ROOT / "template.yaml")


def test_an_unreachable_issuer_fails_the_deployment_instead_of_dropping_the_authorizer() -> None:
    (api,) = (one for one in deployed().values() if one["Type"] == "AWS::ApiGatewayV2::Api")
    assert api["Properties"]["FailOnWarnings"] is True


def test_browsers_can_upload_to_presigned_urls() -> None:
    (rule,) = deployed()["Uploads"]["Properties"]["CorsConfiguration"]["CorsRules"]
    assert (rule["AllowedMethods"], rule["AllowedOrigins"]) == (
        ["PUT"],
        ["https://localhost", "https://mail.example.com"],
    )


def test_every_queue_limits_how_many_functions_it_starts() -> None:
    mappings = [one["Properties"] for one in deployed().values() if one["Type"] == "AWS::Lambda::EventSourceMapping"]
    assert len(mappings) == 19
    # SQS accepts 2 or more. Each running function has a database connection.
    assert {2, 5, 10} == {mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings}


def test_connections_to_the_database_check_the_certificate_by_default() -> None:
    assert SOURCE["Parameters"]["DatabaseSsl"]["Default"] == "verify-full"


def test_logs_can_only_have_a_retention_that_cloudwatch_accepts() -> None:
    assert set(SOURCE["Parameters"]["LogRetentionDays"]["AllowedValues"]) >= {1, 7, 30, 90, 365, 3653}
    assert 31 not in SOURCE["Parameters"]["LogRetentionDays"]["AllowedValues"]


def test_nothing_waits_for_a_person_in_a_deployment() -> None:
    samconfig = tomllib.loads((ROOT / "samconfig.toml").read_text())
    for name in ("default", "staging", "prod"):
        assert samconfig[name]["deploy"]["parameters"]["confirm_changeset"] is False


def test_no_metric_is_paid_for_twice(capsys: pytest.CaptureFixture[str]) -> None:
    (stage,) = (one["Properties"] for one in deployed().values() if one["Type"] == "AWS::ApiGatewayV2::Stage")
    assert "DetailedMetricsEnabled" not in stage["DefaultRouteSettings"]
    record_request_duration("GET", "/contacts", 200, 0.01)
    printed = capsys.readouterr().out
    assert printed.count('"Unit":"Seconds"') == 1


def test_snapshots_are_made_only_if_they_are_switched_on() -> None:
    for value, state in (("off", "None"), ("on", "PublishedVersions")):
        resources = deployed(parameters={**PARAMETERS, "Snapshots": value})
        states = [
            one["Properties"]["SnapStart"]["ApplyOn"]
            for one in resources.values()
            if one["Type"] == "AWS::Lambda::Function" and "SnapStart" in one["Properties"]
        ]
        assert states == [state] * 6


def test_a_rollout_is_watched_by_an_alarm_of_its_function() -> None:
    resources = translated_template()["Resources"]
    groups = {
        name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CodeDeploy::DeploymentGroup"
    }
    assert {name.removesuffix("DeploymentGroup") for name in groups} == set(CHECKS)
    for name, group in groups.items():
        (alarm,) = group["AlarmConfiguration"]["Alarms"]
        assert alarm["Name"]["Ref"] == name.replace("DeploymentGroup", "Alarm")
    hooks = [
        one["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"].get("BeforeAllowTrafficHook")
        for one in resources.values()
        if "CodeDeployLambdaAliasUpdate" in one.get("UpdatePolicy", {})
    ]
    assert hooks == [{"Ref": "PreTrafficFunction"}] * 6
    # CodeDeploy's own role may call only functions with this prefix.
    assert deployed()["PreTrafficFunction"]["Properties"]["FunctionName"] == "CodeDeployHook_email-sender-dev"
