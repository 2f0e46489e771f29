"""Tests for the transformation of the SAM template for MiniStack. It is a pure function, so no emulator runs."""

from pathlib import Path
from typing import Any

import pytest

from local.aws import packaging
from local.aws.http_api import UnsupportedApi, explode
from local.aws.intrinsics import read_template, references, replace_references
from local.aws.transform import UnsupportedTemplate, artefacts, transform

SAMPLE = Path(__file__).parents[2] / "functional" / "sample_app"


@pytest.fixture(scope="module")
def sample() -> tuple[dict[str, Any], list[str]]:
    template = read_template(SAMPLE / "template.yaml")
    locations = {artefact.logical_id: f"s3://bucket/{artefact.logical_id}" for artefact in artefacts(template)}
    return transform(template, {"Stage": "test"}, locations)


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


class TestSample:
    def test_no_sam_constructs_remain(self, sample: tuple[dict[str, Any], list[str]]) -> None:
        template, _ = sample
        assert "Transform" not in template
        assert not [r for r in template["Resources"].values() if r["Type"].startswith("AWS::Serverless::")]

    def test_each_operation_is_a_route_with_its_own_authorization(
        self, sample: tuple[dict[str, Any], list[str]]
    ) -> None:
        template, _ = sample
        routes = {r["Properties"]["RouteKey"]: r for r in of_type(template, "AWS::ApiGatewayV2::Route").values()}
        assert set(routes) == {
            "GET /api/v1/health", "ANY /api/v1/{proxy+}", "GET /api/v1/scoped", "GET /api/v1/extra",
        }  # fmt: skip
        assert "AuthorizationType" not in routes["GET /api/v1/health"]["Properties"]
        assert routes["ANY /api/v1/{proxy+}"]["Properties"]["AuthorizationType"] == "JWT"
        assert routes["GET /api/v1/scoped"]["Properties"]["AuthorizationScopes"] == ["sample/write"]

    def test_a_conditional_function_has_a_conditional_route(self, sample: tuple[dict[str, Any], list[str]]) -> None:
        template, _ = sample
        routes = {r["Properties"]["RouteKey"]: r for r in of_type(template, "AWS::ApiGatewayV2::Route").values()}
        condition = routes["GET /api/v1/extra"]["Condition"]
        assert condition in template["Conditions"]
        assert "Condition" not in routes["GET /api/v1/health"]

    def test_the_authorizer_keeps_its_intrinsic_functions(self, sample: tuple[dict[str, Any], list[str]]) -> None:
        (authorizer,) = of_type(sample[0], "AWS::ApiGatewayV2::Authorizer").values()
        jwt = authorizer["Properties"]["JwtConfiguration"]
        assert jwt["Issuer"] == {"Fn::Sub": "https://cognito-idp.${AWS::Region}.amazonaws.com/${Users}"}
        assert jwt["Audience"] == [{"Ref": "Client"}]

    def test_cors_uses_the_keys_that_ministack_reads(self, sample: tuple[dict[str, Any], list[str]]) -> None:
        cors = sample[0]["Resources"]["Api"]["Properties"]["CorsConfiguration"]
        assert cors["allowOrigins"] == ["https://app.example"]
        assert cors["maxAge"] == 600

    def test_references_to_a_dropped_resource_are_replaced_and_reported(
        self, sample: tuple[dict[str, Any], list[str]]
    ) -> None:
        template, messages = sample
        assert "Archive" not in template["Resources"]
        assert template["Resources"]["BusRule"]["DependsOn"] == []
        variables = template["Resources"]["ApiFunction"]["Properties"]["Environment"]["Variables"]
        assert variables["ARCHIVE"] == "left-out-locally-Archive.Arn"
        assert any(line.startswith("Archive (AWS::Events::Archive) was left out: ") for line in messages)
        assert "Archive" not in set(references(template))

    def test_every_invoker_names_the_alias(self, sample: tuple[dict[str, Any], list[str]]) -> None:
        template, _ = sample
        alias = {"Ref": "WorkerAliaslive"}
        assert template["Resources"]["WorkerQueue"]["Properties"]["FunctionName"] == alias
        versions = of_type(template, "AWS::Lambda::Version")
        assert versions
        assert not [version for version in versions.values() if "DeletionPolicy" in version]

    def test_a_new_layer_creates_new_versions(self) -> None:
        template = read_template(SAMPLE / "template.yaml")
        locations = {artefact.logical_id: f"s3://bucket/{artefact.logical_id}" for artefact in artefacts(template)}
        before, _ = transform(template, {}, locations)
        after, _ = transform(template, {}, locations | {"Layer": "s3://bucket/other"})
        assert of_type(before, "AWS::Lambda::Version").keys().isdisjoint(of_type(after, "AWS::Lambda::Version"))

    def test_ids_are_the_same_every_time(self) -> None:
        template = read_template(SAMPLE / "template.yaml")
        locations = {artefact.logical_id: "s3://bucket/key" for artefact in artefacts(template)}
        assert transform(template, {}, locations) == transform(template, {}, locations)


class TestDropping:
    def test_the_alias_of_a_state_machine_becomes_the_state_machine(self) -> None:
        template = {
            "Resources": {
                "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"RoleArn": "r"}},
                "Version": {
                    "Type": "AWS::StepFunctions::StateMachineVersion",
                    "Properties": {"StateMachineArn": {"Ref": "Machine"}},
                },
                "Alias": {
                    "Type": "AWS::StepFunctions::StateMachineAlias",
                    "Properties": {"DeploymentPreference": {"StateMachineVersionArn": {"Ref": "Version"}}},
                },
            },
            "Outputs": {"Arn": {"Value": {"Ref": "Alias"}}, "Said": {"Value": {"Fn::Sub": "run ${Alias}"}}},
        }
        plain, messages = transform(template, {}, {})
        assert list(plain["Resources"]) == ["Machine"]
        assert plain["Outputs"]["Arn"]["Value"] == {"Ref": "Machine"}
        assert plain["Outputs"]["Said"]["Value"] == {"Fn::Sub": ["run ${Alias}", {"Alias": {"Ref": "Machine"}}]}
        assert len(messages) == 2

    def test_errors_of_sam_are_reported(self) -> None:
        template = {"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.13"}}}}
        with pytest.raises(UnsupportedTemplate, match=r"\[F\]"):
            transform(template, {}, {})


class TestHttpApi:
    @pytest.mark.parametrize(
        "operation",
        [
            {"x-amazon-apigateway-integration": {"type": "mock"}},
            {"x-amazon-apigateway-integration": {"type": "aws_proxy", "uri": "u"}, "security": [{"Unknown": []}]},
            {"Fn::If": ["C", {}, {}]},
        ],
    )
    def test_an_unsupported_operation_is_rejected_with_its_path(self, operation: dict[str, Any]) -> None:
        api = {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": {"paths": {"/odd": {"get": operation}}}}}
        with pytest.raises(UnsupportedApi, match="/odd"):
            explode("Api", api)


class TestIntrinsics:
    def test_short_tags_and_dates_are_read(self, tmp_path: Path) -> None:
        path = tmp_path / "t.yaml"
        path.write_text("a: !GetAtt X.Y.Z\nb: !Sub ['${q}', {q: !Ref P}]\nc: 2012-10-17\nd: !If [C, 1, !Ref N]\n")
        assert read_template(path) == {
            "a": {"Fn::GetAtt": ["X", "Y.Z"]},
            "b": {"Fn::Sub": ["${q}", {"q": {"Ref": "P"}}]},
            "c": "2012-10-17",
            "d": {"Fn::If": ["C", 1, {"Ref": "N"}]},
        }

    def test_references_are_found_in_every_form(self) -> None:
        value = {"a": {"Ref": "A"}, "b": [{"Fn::GetAtt": "B.Arn"}], "c": {"Fn::Sub": "${C.Arn} ${!not} ${AWS::Region}"}}
        assert list(references(value)) == ["A", "B", "C", "AWS::Region"]

    def test_a_literal_in_a_sub_stays_unchanged(self) -> None:
        value = {"Fn::Sub": "${!Gone} ${Gone.Arn} ${Kept}"}
        replaced = replace_references(value, lambda name, _: "x" if name == "Gone" else None)
        assert replaced == {"Fn::Sub": "${!Gone} x ${Kept}"}


class TestPackaging:
    def test_an_archive_depends_only_on_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "one" / "package").mkdir(parents=True)
        (tmp_path / "two" / "package").mkdir(parents=True)
        for name in ("b.py", "a.py"):
            (tmp_path / "one" / "package" / name).write_text(name)
        for name in ("a.py", "b.py"):
            (tmp_path / "two" / "package" / name).write_text(name)
        assert packaging.zip_tree(tmp_path / "one") == packaging.zip_tree(tmp_path / "two")
        assert packaging.tree_digest(tmp_path / "one") == packaging.tree_digest(tmp_path / "two")
        (tmp_path / "two" / "package" / "a.py").write_text("other")
        assert packaging.tree_digest(tmp_path / "one") != packaging.tree_digest(tmp_path / "two")
