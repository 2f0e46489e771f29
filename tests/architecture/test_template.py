"""What the template promises, on the template and on what SAM makes of it."""

from functools import cache
from typing import Any

import pytest

from email_sender.coordination.registry import MANAGERS
from local.aws.intrinsics import read_template, references
from local.aws.transform import _translate
from local.layout import ROOT
from scripts.deploy import stamped

type Json = dict[str, Any]
TEMPLATE = read_template(ROOT / "template.yaml")
RESOURCES: dict[str, Json] = TEMPLATE["Resources"]
GLOBALS: Json = TEMPLATE["Globals"]["Function"]


def of_type(kind: str) -> dict[str, Json]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")


@cache
def translated(
    layer: str = "one", *, versioned: bool = True, word: str = "as-written", host: str = ""
) -> dict[str, Json]:
    """The resources SAM makes, with artefacts at made-up places."""
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


def test_no_parameter_has_a_resources_name() -> None:
    """A reference to it would be one to the resource, and mostly a circle."""
    assert not TEMPLATE["Parameters"].keys() & RESOURCES.keys()


def test_every_function_says_what_it_is_for_and_logs_with_a_retention() -> None:
    logs = of_type("AWS::Logs::LogGroup")
    assert len(FUNCTIONS) > 20
    for name, properties in FUNCTIONS.items():
        assert properties["Description"], name
        assert properties["LoggingConfig"]["LogGroup"]["Ref"] in logs, name
        assert "AutoPublishAlias" not in properties, name
    assert all("RetentionInDays" in each for each in logs.values())
    assert GLOBALS["AutoPublishAlias"] == "live"
    assert GLOBALS["SnapStart"] == {"ApplyOn": "PublishedVersions"}


def test_the_stack_is_within_what_cloudformation_takes() -> None:
    """500 resources, of which a new function with a route takes six."""
    assert len(translated()) < 450


def test_every_function_says_whose_it_is_by_its_tag_and_to_itself() -> None:
    known = {each.name for each in MANAGERS}
    for name, properties in FUNCTIONS.items():
        owner = properties["Tags"]["email-sender:manager"]
        assert owner in known, name
        assert properties["Environment"]["Variables"]["MANAGER"] == owner, name
    assert GLOBALS["Tags"] == {"email-sender:stage": {"Ref": "Stage"}}


def test_a_clock_has_a_name_that_says_of_which_stage_and_manager_it_is() -> None:
    """By which it is found: adapters.parts."""
    clocks = [each["Properties"] for each in translated().values() if each["Type"] == "AWS::Scheduler::Schedule"]
    names = [each["Name"]["Fn::Sub"] for each in clocks]
    assert len(names) == len(set(names)) >= 5
    for name, clock in zip(names, clocks, strict=True):
        prefix, manager, what = name.split(".")
        assert prefix == "email-sender-clock-${Stage}"
        assert len(name.replace("${Stage}", "x" * 16)) <= 64, "what EventBridge Scheduler takes"
        owners = {FUNCTIONS[each]["Tags"]["email-sender:manager"] for each in clock_functions(clock)}
        assert owners == {manager}, what


def clock_functions(clock: Any) -> set[str]:
    """What it rings: functions, or the first function of a machine."""
    rung = set(references(clock["Target"]["Arn"]))
    functions = {name for name in FUNCTIONS for each in rung if each.startswith(name)}
    if functions:
        return functions
    (machine,) = (RESOURCES[name]["Properties"]["DefinitionSubstitutions"] for name in rung)
    return {each.removesuffix(".Alias") for each in references(machine["StepsFunction"])} & set(FUNCTIONS)


def test_every_function_has_a_role_of_its_own_and_nothing_may_do_everything() -> None:
    made = translated()
    roles = [each["Properties"]["Role"] for each in made.values() if each["Type"] == "AWS::Lambda::Function"]
    assert len({str(role) for role in roles}) == len(roles) == len(FUNCTIONS)
    for name, resource in made.items():
        if resource["Type"] not in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Role"):
            continue
        for action in actions_of(resource["Properties"]):
            assert action != "*", name
            assert not action.endswith(":*"), (name, action)


def actions_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = value.get("Action", [])
        found = [own] if isinstance(own, str) else list(own)
        return found + [each for inner in value.values() for each in actions_of(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in actions_of(inner)]
    return []


def test_only_what_sends_may_call_ses() -> None:
    sending = {
        name for name, each in of_type("AWS::IAM::ManagedPolicy").items() if "ses:SendRawEmail" in actions_of(each)
    }
    assert sending == {"SendMail"}
    users = {name for name, each in FUNCTIONS.items() if "SendMail" in set(references(each.get("Policies", [])))}
    assert users == {"SenderFunction", "NotifyFunction", "NotifySweepFunction"}
    everywhere = [action for each in RESOURCES.values() for action in actions_of(each) if action.startswith("ses:")]
    assert everywhere == ["ses:SendRawEmail", "ses:GetSendQuota"]


def test_only_the_coordinator_writes_settings_and_who_reads_them_may_read_nothing_else() -> None:
    policies = of_type("AWS::IAM::ManagedPolicy")
    granted = {
        name: {each for each in actions_of(policy) if each.startswith("ssm:")} for name, policy in policies.items()
    }
    read, follow, write = {"ssm:GetParameter"}, {"ssm:GetParameterHistory"}, {"ssm:PutParameter"}
    assert {name: each for name, each in granted.items() if each} == {
        "ReadSettings": read, "FollowSettings": read | follow, "WriteSettings": read | follow | write,
    }  # fmt: skip
    for name in ("ReadSettings", "FollowSettings", "WriteSettings"):
        (statement,) = policies[name]["PolicyDocument"]["Statement"]
        assert statement["Resource"]["Fn::Sub"].endswith(":parameter/email-sender/${Stage}/settings")
    users = {
        policy: {name for name, each in FUNCTIONS.items() if policy in set(references(each.get("Policies", [])))}
        for policy in ("ReadSettings", "FollowSettings", "WriteSettings")
    }
    assert users["WriteSettings"] == {"CoordinatorFunction"}
    assert users["FollowSettings"] == {"ObserveFunction"}
    # A deployment that knew the parameter would put back what an operator changed.
    assert not of_type("AWS::SSM::Parameter")


def test_what_is_consumed_has_a_dead_letter_queue() -> None:
    queues = of_type("AWS::SQS::Queue")
    for name, properties in FUNCTIONS.items():
        for event in properties.get("Events", {}).values():
            # What reads dead letters gives up on nothing: they come again until they are kept.
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
    assert all(each["SqsManagedSseEnabled"] for each in queues.values())
    # Queues keep what comes while their manager is stopped: as long as SQS keeps anything.
    assert {each["MessageRetentionPeriod"] for each in queues.values()} == {14 * 24 * 3600}


def test_every_consumer_buries_with_a_reason_and_its_dead_letters_are_read() -> None:
    queues = of_type("AWS::SQS::Queue")
    environment = FUNCTIONS["DeadLettersFunction"]["Environment"]["Variables"]
    known = str(environment["CONSUMER_QUEUES"])
    assert str(FUNCTIONS["CoordinatorFunction"]["Environment"]["Variables"]["CONSUMER_QUEUES"]) == known
    read = {str(each["Properties"]["Queue"]) for each in FUNCTIONS["DeadLettersFunction"]["Events"].values()}
    assert str({"Fn::GetAtt": ["DeadLetters", "Arn"]}) in read or str({"Fn::GetAtt": "DeadLetters.Arn"}) in read
    for name, properties in FUNCTIONS.items():
        for event in properties.get("Events", {}).values():
            if event["Type"] != "SQS" or name == "DeadLettersFunction":
                continue
            asked = event["Properties"]["Queue"]["Fn::GetAtt"]
            queue = asked.split(".")[0] if isinstance(asked, str) else asked[0]
            policy = queues[queue]["RedrivePolicy"]
            dead = policy["deadLetterTargetArn"]["Fn::GetAtt"]
            dead_letters = dead.split(".")[0] if isinstance(dead, str) else dead[0]
            variables = properties["Environment"]["Variables"]
            assert variables["DEAD_LETTERS"] == {"Ref": dead_letters}, name
            assert variables["MAX_RECEIVES"] == str(policy["maxReceiveCount"]), name
            assert f"${{{queue}}}" in known, name
            assert f"${{{dead_letters}.Arn}}" in known, name
            assert any(dead_letters in each for each in read), name


def test_the_user_pool_gives_tokens_as_the_contract_says() -> None:
    (pool,), (client,) = of_type("AWS::Cognito::UserPool").values(), of_type("AWS::Cognito::UserPoolClient").values()
    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["LambdaConfig"]["PreTokenGenerationConfig"]["LambdaVersion"] == "V2_0"
    assert client["RefreshTokenRotation"]["Feature"] == "ENABLED"
    assert client["ExplicitAuthFlows"] == ["ALLOW_USER_PASSWORD_AUTH"]
    assert client["WriteAttributes"] == ["name"]
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (1, "hours")
    assert client["PreventUserExistenceErrors"] == "ENABLED"


def test_nobody_else_speaks_as_us_on_the_bus() -> None:
    policies = of_type("AWS::Events::EventBusPolicy")
    statement = policies["BusPolicy"]["Statement"]
    # Others may speak, as themselves: a denial is stronger than what allows them.
    assert policies["AccountsPolicy"]["Statement"]["Principal"] == {"AWS": {"Ref": "EventAccounts"}}
    assert len(policies) == 2
    assert (statement["Effect"], statement["Action"]) == ("Deny", "events:PutEvents")
    assert statement["Condition"]["StringLike"] == {"events:source": "email_sender.*"}


def test_the_api_is_throttled_and_only_named_routes_are_public() -> None:
    (api,) = of_type("AWS::Serverless::HttpApi").values()
    assert api["DefaultRouteSettings"]["ThrottlingRateLimit"] == 167
    assert api["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 100
    public = {
        event["Properties"]["Path"]
        for properties in FUNCTIONS.values()
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi" and "Auth" in event["Properties"]
    }
    assert {path.removeprefix("/api/v1") for path in public} == {
        "/auth/token", "/auth/refresh", "/health", "/version", "/docs", "/docs/{asset}", "/openapi.json",
        "/unsubscribe/{token}", "/hooks/{token}", "/hooks/{token}/runs/{run_id}",
    }  # fmt: skip


def versions(resources: dict[str, Json]) -> set[str]:
    return {name for name, each in resources.items() if each["Type"] == "AWS::Lambda::Version"}


def test_a_changed_layer_alone_publishes_every_function_anew() -> None:
    before, after = versions(translated("one")), versions(translated("two"))
    assert len(before) == len(after) == len(FUNCTIONS)
    assert not before & after
    assert versions(translated("one")) == before


def test_without_the_layers_setting_it_would_not() -> None:
    before, after = versions(translated("one", versioned=False)), versions(translated("two", versioned=False))
    assert before == after


def test_other_parameters_publish_every_function_anew_by_the_word_that_make_deploy_writes() -> None:
    text = (ROOT / "template.yaml").read_text()
    one, other = (stamped(text, {"DatabaseHost": host}) for host in ("a.example", "b.example"))
    assert stamped(one, {"DatabaseHost": "b.example"}) == other
    words = [yaml.split("CONFIGURATION: ")[1].split("\n")[0] for yaml in (one, other)]
    before, after = (versions(translated(word=word)) for word in words)
    assert not before & after
    with pytest.raises(ValueError, match="0 times"):
        stamped(text.replace("CONFIGURATION", "OTHER"), {})


def test_without_that_word_they_would_not() -> None:
    assert versions(translated(host="a.example")) == versions(translated(host="b.example"))


def test_every_caller_names_the_alias() -> None:
    for name, resource in translated().items():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            assert "Alias" in str(resource["Properties"]["FunctionName"]), name
    targets = RESOURCES["WorkflowsFunction"]["Properties"]["Environment"]["Variables"]["WORKFLOW_FUNCTIONS"]
    assert str(targets).count(".Alias}") == str(targets).count("${")


def test_data_outlives_the_stack() -> None:
    for kind in ("AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Cognito::UserPool", "AWS::SecretsManager::Secret"):
        for name, resource in RESOURCES.items():
            if resource["Type"] == kind:
                assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name
