"""Tests for the SAM template and for the CloudFormation template that SAM makes of it."""

import re
from functools import cache
from typing import Any

import pytest

from email_sender.coordination.registry import MANAGERS
from local.aws.intrinsics import read_template, references
from local.aws.transform import _translate
from local.layout import ROOT
from scripts.deploy import stamp_configuration

type Json = dict[str, Any]
TEMPLATE = read_template(ROOT / "template.yaml")
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]
GLOBALS: Json = TEMPLATE["Globals"]["Function"]


def of_type(kind: str) -> dict[str, Json]:
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")


@cache
def translated(
    layer: str = "one", *, versioned: bool = True, word: str = "as-written", host: str = ""
) -> dict[str, Json]:
    """Return the resources that SAM creates, with placeholder locations for the artefacts."""
    template = read_template(ROOT / "template.yaml")
    template["Globals"]["Function"]["Environment"]["Variables"]["CONFIGURATION"] = word
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if "CodeUri" in properties:
            properties["CodeUri"] = "s3://bucket/code.zip"
        if "ContentUri" in properties:
            properties["ContentUri"] = f"s3://bucket/{layer}.zip"
            properties["PublishLambdaVersion"] = versioned
        if "DefinitionUri" in properties:
            properties["DefinitionUri"] = "s3://bucket/machine.json"
    return dict(_translate(template, {"Stage": "dev", "DatabaseHost": host}, "us-east-1")["Resources"])


def test_no_parameter_has_the_name_of_a_resource() -> None:
    """A reference to the parameter would be a reference to the resource, often a circular one."""
    assert not TEMPLATE["Parameters"].keys() & RESOURCES.keys()


def test_every_function_has_a_description_and_logs_with_a_retention() -> None:
    logs = of_type("AWS::Logs::LogGroup")
    assert len(FUNCTIONS) > 20
    for name, properties in FUNCTIONS.items():
        assert properties["Description"], name
        assert properties["LoggingConfig"]["LogGroup"]["Ref"] in logs, name
        assert "AutoPublishAlias" not in properties, name
    assert all("RetentionInDays" in log_group for log_group in logs.values())
    assert GLOBALS["AutoPublishAlias"] == "live"


def test_only_functions_that_people_wait_for_have_snapshots() -> None:
    with_snapshots = {name for name, properties in FUNCTIONS.items() if "SnapStart" in properties}
    assert with_snapshots == set(functions_with_routes())
    assert "SnapStart" not in GLOBALS


def test_every_function_names_its_manager_in_a_tag_and_a_variable() -> None:
    manager_names = {manager.name for manager in MANAGERS}
    for name, properties in FUNCTIONS.items():
        owner = properties["Tags"]["email-sender:manager"]
        assert owner in manager_names, name
        assert properties["Environment"]["Variables"]["MANAGER"] == owner, name
    assert GLOBALS["Tags"] == {"email-sender:stage": {"Ref": "Stage"}}


def test_the_name_of_a_clock_contains_its_stage_and_manager() -> None:
    """The adapter that closes a manager finds its clocks by these names."""
    clocks = [
        resource["Properties"] for resource in translated().values() if resource["Type"] == "AWS::Scheduler::Schedule"
    ]
    names = [schedule["Name"]["Fn::Sub"] for schedule in clocks]
    assert len(names) == len(set(names)) >= 5
    for name, clock in zip(names, clocks, strict=True):
        prefix, manager, suffix = name.split(".")
        assert prefix == "email-sender-clock-${Stage}"
        assert len(name.replace("${Stage}", "x" * 16)) <= 64, "EventBridge Scheduler allows 64 characters"
        owners = {FUNCTIONS[function_name]["Tags"]["email-sender:manager"] for function_name in clock_functions(clock)}
        assert owners == {manager}, suffix


def clock_functions(clock: Any) -> set[str]:
    """Return the functions that a clock starts: its targets, or the first function of a state machine."""
    target_names = set(references(clock["Target"]["Arn"]))
    functions = {name for name in FUNCTIONS for target_name in target_names if target_name.startswith(name)}
    if functions:
        return functions
    (substitutions,) = (RESOURCES[name]["Properties"]["DefinitionSubstitutions"] for name in target_names)
    return {reference.removesuffix(".Alias") for reference in references(substitutions["StepsFunction"])} & set(
        FUNCTIONS
    )


def test_every_function_has_its_own_role_without_wildcard_actions() -> None:
    resources = translated()
    roles = [
        definition["Properties"]["Role"]
        for definition in resources.values()
        if definition["Type"] == "AWS::Lambda::Function"
    ]
    assert len({str(role) for role in roles}) == len(roles) == len(FUNCTIONS)
    for name, resource in resources.items():
        if resource["Type"] not in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Role"):
            continue
        for action in actions_of(resource["Properties"]):
            assert action != "*", name
            assert not action.endswith(":*"), (name, action)


def actions_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = value.get("Action", [])
        actions = [own] if isinstance(own, str) else list(own)
        return actions + [action for inner in value.values() for action in actions_of(inner)]
    if isinstance(value, list):
        return [action for inner in value for action in actions_of(inner)]
    return []


def granted_to_functions(prefix: str) -> dict[str, set[str]]:
    """Return the actions of a service that each function is allowed, without the functions that have none."""
    granted = {
        name: {action for action in actions_of(function.get("Policies", [])) if action.startswith(prefix)}
        for name, function in FUNCTIONS.items()
    }
    return {name: actions for name, actions in granted.items() if actions}


def test_only_functions_that_send_mail_may_call_ses() -> None:
    assert granted_to_functions("ses:") == {
        "SenderFunction": {"ses:SendRawEmail"},
        "NotificationsFunction": {"ses:SendRawEmail"},
        "NotificationSweepFunction": {"ses:SendRawEmail"},
        "CoordinatorFunction": {"ses:GetSendQuota"},
        "ObserveFunction": {"ses:GetSendQuota"},
    }


def test_only_the_coordinator_writes_settings_and_readers_may_read_nothing_else() -> None:
    read_actions = {"ssm:GetParameter"}
    follow_actions = read_actions | {"ssm:GetParameterHistory"}
    granted = granted_to_functions("ssm:")
    assert granted.pop("CoordinatorFunction") == follow_actions | {"ssm:PutParameter"}
    assert granted.pop("ObserveFunction") == follow_actions
    assert set(map(frozenset, granted.values())) == {frozenset(read_actions)}
    for function in FUNCTIONS.values():
        for policy in function.get("Policies", []):
            for statement in policy["Statement"]:
                if any(action.startswith("ssm:") for action in actions_of(statement)):
                    assert statement["Resource"]["Fn::Sub"].endswith(":parameter/email-sender/${Stage}/settings")
    # A deployment that contained the parameter would overwrite an operator's changes.
    assert not of_type("AWS::SSM::Parameter")


def test_every_consumed_queue_and_schedule_has_a_dead_letter_queue() -> None:
    queues = of_type("AWS::SQS::Queue")
    for name, properties in FUNCTIONS.items():
        for event in properties.get("Events", {}).values():
            # The function that reads dead letters gives up on none: messages come again until it has stored them.
            if event["Type"] == "SQS" and name != "DeadLettersFunction":
                queue = (
                    queues[event["Properties"]["Queue"]["Fn::GetAtt"].split(".")[0]]
                    if isinstance(event["Properties"]["Queue"]["Fn::GetAtt"], str)
                    else queues[event["Properties"]["Queue"]["Fn::GetAtt"][0]]
                )
                assert "RedrivePolicy" in queue, name
                assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
                assert queue["VisibilityTimeout"] >= 6 * int(properties.get("Timeout") or GLOBALS["Timeout"]), name
            if event["Type"] == "ScheduleV2":
                assert "DeadLetterConfig" in event["Properties"], name
    assert all(queue_properties["SqsManagedSseEnabled"] for queue_properties in queues.values())
    # While a manager is stopped its queues keep messages for 14 days, the most that SQS allows.
    assert {queue_properties["MessageRetentionPeriod"] for queue_properties in queues.values()} == {14 * 24 * 3600}


def test_every_consumer_sends_to_a_dead_letter_queue_that_is_read() -> None:
    queues = of_type("AWS::SQS::Queue")
    environment = FUNCTIONS["DeadLettersFunction"]["Environment"]["Variables"]
    consumer_queues = str(environment["CONSUMER_QUEUES"])
    assert str(FUNCTIONS["CoordinatorFunction"]["Environment"]["Variables"]["CONSUMER_QUEUES"]) == consumer_queues
    read_queues = {str(source["Properties"]["Queue"]) for source in FUNCTIONS["DeadLettersFunction"]["Events"].values()}
    assert (
        str({"Fn::GetAtt": ["DeadLetters", "Arn"]}) in read_queues
        or str({"Fn::GetAtt": "DeadLetters.Arn"}) in read_queues
    )
    for name, properties in FUNCTIONS.items():
        for event in properties.get("Events", {}).values():
            if event["Type"] != "SQS" or name == "DeadLettersFunction":
                continue
            queue_reference = event["Properties"]["Queue"]["Fn::GetAtt"]
            queue = queue_reference.split(".")[0] if isinstance(queue_reference, str) else queue_reference[0]
            policy = queues[queue]["RedrivePolicy"]
            dead_letter_reference = policy["deadLetterTargetArn"]["Fn::GetAtt"]
            dead_letters = (
                dead_letter_reference.split(".")[0]
                if isinstance(dead_letter_reference, str)
                else dead_letter_reference[0]
            )
            variables = properties["Environment"]["Variables"]
            assert variables["DEAD_LETTERS"] == {"Ref": dead_letters}, name
            assert variables["MAX_RECEIVES"] == str(policy["maxReceiveCount"]), name
            assert f"${{{queue}}}" in consumer_queues, name
            assert f"${{{dead_letters}.Arn}}" in consumer_queues, name
            assert any(dead_letters in read_queue for read_queue in read_queues), name


def test_the_user_pool_issues_tokens_as_the_contract_requires() -> None:
    (pool,), (client,) = of_type("AWS::Cognito::UserPool").values(), of_type("AWS::Cognito::UserPoolClient").values()
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["LambdaConfig"]["PreTokenGenerationConfig"]["LambdaVersion"] == "V2_0"
    assert client["RefreshTokenRotation"]["Feature"] == "ENABLED"
    flows = ["ALLOW_USER_PASSWORD_AUTH"]
    assert client["ExplicitAuthFlows"] == {"Fn::If": ["HasPasskeys", [*flows, "ALLOW_USER_AUTH"], flows]}
    assert client["WriteAttributes"] == ["name"]
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (
        {"Ref": "AccessTokenMinutes"}, "minutes",
    )  # fmt: skip
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_no_other_account_can_publish_under_our_source() -> None:
    policies = of_type("AWS::Events::EventBusPolicy")
    statement = policies["BusPolicy"]["Statement"]
    # Other accounts may publish under their own sources: an explicit deny overrides an allow.
    assert policies["AccountsPolicy"]["Statement"]["Principal"] == {"AWS": {"Ref": "EventAccounts"}}
    assert len(policies) == 2
    assert (statement["Effect"], statement["Action"]) == ("Deny", "events:PutEvents")
    assert statement["Condition"]["StringLike"] == {"events:source": "email_sender.*"}


def test_the_api_is_throttled_and_only_named_routes_are_public() -> None:
    (api,) = of_type("AWS::Serverless::HttpApi").values()
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] == 167
    assert api["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 100
    public = {
        path
        for path, operations in api["DefinitionBody"]["paths"].items()
        if any(operation.get("security") == [{"NONE": []}] for operation in operations.values())
    }
    # Every other route has the default authorizer.
    assert all(set(operation.get("security", [{"NONE": []}])[0]) == {"NONE"} for operation in all_operations())
    # The console verifies its sessions itself.
    assert {path.removeprefix("/api/v1") for path in public} == {
        "/console", "/console/{proxy+}",
        "/auth/token", "/auth/refresh", "/auth/password", "/auth/logout",
        "/auth/totp", "/auth/totp/setup", "/auth/totp/confirm",
        "/health", "/version", "/docs", "/docs/{asset}", "/openapi.json",
        "/unsubscribe/{token}", "/hooks/{token}", "/hooks/callbacks/{token}", "/hooks/{token}/runs/{run_id}",
    }  # fmt: skip


def test_the_function_that_makes_callback_urls_knows_the_public_address() -> None:
    function = of_type("AWS::Serverless::Function")["WorkflowsTasksFunction"]
    assert function["Environment"]["Variables"]["PUBLIC_URL"] == {"Ref": "PublicUrl"}


def test_the_api_may_call_every_function_that_it_has_routes_for() -> None:
    permissions = of_type("AWS::Lambda::Permission").values()
    callable_by_api = [
        permission["FunctionName"]["Ref"].removesuffix(".Alias")
        for permission in permissions
        if permission["Principal"] == "apigateway.amazonaws.com"
    ]
    assert sorted(callable_by_api) == sorted(functions_with_routes())


def all_operations() -> list[Json]:
    (api,) = of_type("AWS::Serverless::HttpApi").values()
    return [operation for operations in api["DefinitionBody"]["paths"].values() for operation in operations.values()]


def functions_with_routes() -> set[str]:
    uris = [operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"] for operation in all_operations()]
    return {re.findall(r"functions/\$\{(\w+)\.Alias}", uri)[0] for uri in uris}


def versions(resources: dict[str, Json]) -> set[str]:
    return {name for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Version"}


def test_a_changed_layer_publishes_a_new_version_of_every_function() -> None:
    before, after = versions(translated("one")), versions(translated("two"))
    assert len(before) == len(after) == len(FUNCTIONS)
    assert not before & after
    assert versions(translated("one")) == before


def test_without_layer_versions_a_changed_layer_would_publish_nothing() -> None:
    before, after = versions(translated("one", versioned=False)), versions(translated("two", versioned=False))
    assert before == after


def test_changed_parameters_publish_every_function_through_the_configuration_variable() -> None:
    text = (ROOT / "template.yaml").read_text()
    first_template, second_template = (
        stamp_configuration(text, {"DatabaseHost": host}) for host in ("a.example", "b.example")
    )
    assert stamp_configuration(first_template, {"DatabaseHost": "b.example"}) == second_template
    words = [yaml.split("CONFIGURATION: ")[1].split("\n")[0] for yaml in (first_template, second_template)]
    before, after = (versions(translated(word=word)) for word in words)
    assert not before & after
    with pytest.raises(ValueError, match="0 times"):
        stamp_configuration(text.replace("CONFIGURATION", "OTHER"), {})


def test_without_the_configuration_variable_changed_parameters_would_publish_nothing() -> None:
    assert versions(translated(host="a.example")) == versions(translated(host="b.example"))


def test_every_caller_uses_the_alias() -> None:
    for name, resource in translated().items():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            assert "Alias" in str(resource["Properties"]["FunctionName"]), name
    targets = RESOURCES["WorkflowsFunction"]["Properties"]["Environment"]["Variables"]["WORKFLOW_FUNCTIONS"]
    assert str(targets).count(".Alias}") == str(targets).count("${")


def test_resources_with_data_outlive_the_stack() -> None:
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Cognito::UserPool", "AWS::SecretsManager::Secret"):
        for name, resource in RESOURCES.items():
            if resource["Type"] == kind:
                assert resource["UpdateReplacePolicy"] == "Retain", name
                # Retain would keep what a failed first deployment created, and the next one could not create it again.
                assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
