"""The built SAM template as a CloudFormation template that MiniStack deploys. No I/O.

Everything the local cloud does otherwise than AWS is one line of the second result, so that nothing is left out in
silence.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from boto3 import Session
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.aws.configuration import configuration_word
from local.aws.http_api import Resources, camel_case_cors, explode
from local.aws.intrinsics import replace_references

_FILES = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}

# What MiniStack 1.5.33 lacks, and what that means for who works here.
DROPPED = {
    "AWS::ApplicationAutoScaling::": "nothing scales",
    "AWS::Backup::BackupSelection": "no backups are taken",
    "AWS::CloudWatch::AnomalyDetector": "no anomaly detection",
    "AWS::CloudWatch::CompositeAlarm": "only single alarms",
    "AWS::CodeDeploy::": "new code takes all traffic at once",
    "AWS::Cognito::LogDeliveryConfiguration": "no Cognito logs",
    "AWS::Cognito::UserPoolRiskConfigurationAttachment": "no threat protection",
    "AWS::Events::ApiDestination": "events reach no HTTP endpoint",
    "AWS::Events::Archive": "events are not archived, so not replayed from an archive",
    "AWS::Events::Connection": "events reach no HTTP endpoint",
    "AWS::Events::EventBusPolicy": "anybody here may put events on the bus",
    "AWS::Logs::QueryDefinition": "no saved log queries",
    "AWS::RDS::DBProxy": "functions connect to PostgreSQL itself",
    "AWS::SecretsManager::ResourcePolicy": "secrets have no policy of their own",
    "AWS::SecretsManager::RotationSchedule": "secrets do not rotate",
    "AWS::SQS::QueueInlinePolicy": "queues have no inline policy",
    "AWS::StepFunctions::StateMachineAlias": "executions run the machine itself",
    "AWS::StepFunctions::StateMachineVersion": "executions run the machine itself",
    "AWS::WAFv2::WebACLAssociation": "no web ACL stands before the API",
    "AWS::XRay::": "no traces are sampled",
}
_MACHINE_ALIASES = ("AWS::StepFunctions::StateMachineAlias", "AWS::StepFunctions::StateMachineVersion")


class UnsupportedTemplate(ValueError):
    """SAM refuses the template; the message has its reasons."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A local file or directory that a resource is made from. `path` is as in the template, from its directory."""

    logical_id: str
    resource_type: str
    path: str


def artefacts(template: Mapping[str, Any]) -> Iterator[Artefact]:
    """What has to be uploaded before the template can be transformed."""
    for logical_id, resource in template["Resources"].items():
        key = _FILES.get(resource["Type"])
        path = resource.get("Properties", {}).get(key) if key else None
        if isinstance(path, str) and not path.startswith("s3://"):
            yield Artefact(logical_id, resource["Type"], path)


def transform(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    locations: Mapping[str, str],
    region: str = "us-east-1",
) -> tuple[dict[str, Any], list[str]]:
    """The template to deploy, and one line for each thing that was replaced or dropped.

    `template` is the built SAM template with its tags parsed, `locations` maps each artefact's logical id to the s3 URI
    where it was uploaded.

    Raises:
        UnsupportedTemplate: SAM's reasons, one a line.
    """
    sam = copy.deepcopy(dict(template))
    for artefact in artefacts(template):
        sam["Resources"][artefact.logical_id]["Properties"][_FILES[artefact.resource_type]] = locations[
            artefact.logical_id
        ]
    _stamp(sam, parameters)
    plain = _translate(sam, parameters, region)
    said: list[str] = []
    plain["Resources"] = _explode_apis(plain["Resources"], said)
    _without_snapshots(plain["Resources"], said)
    _without_throttling(plain["Resources"], said)
    _without_old_versions(plain["Resources"], said)
    plain = _drop(plain, said)
    return plain, said


def _stamp(template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """As scripts/deploy.py does for AWS."""
    environment = template.get("Globals", {}).get("Function", {}).get("Environment", {})
    if "Variables" in environment:
        environment["Variables"]["CONFIGURATION"] = configuration_word(parameters)


def _translate(template: dict[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    translator = Translator(None, Parser(), boto_session=Session(region_name=region))
    try:
        plain: dict[str, Any] = translator.translate(template, dict(parameters))
    except InvalidDocumentException as error:
        causes = "\n".join(f"  {cause.message}" for cause in error.causes)
        raise UnsupportedTemplate(f"SAM refuses the template:\n{causes}") from error
    finally:
        translator.metrics.publish()  # to nowhere; it complains at exit about what was not published
    plain.pop("Transform", None)
    return plain


def _explode_apis(resources: Resources, said: list[str]) -> Resources:
    made: Resources = {}
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in properties:
            parts, lines = explode(logical_id, resource)
            made |= parts
            said += lines
            continue
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "CorsConfiguration" in properties:
            properties["CorsConfiguration"] = camel_case_cors(properties["CorsConfiguration"])
        made[logical_id] = resource
    return made


def _without_snapshots(resources: Resources, said: list[str]) -> None:
    """Publishing a version with SnapStart would start a process for it, one function after the other."""
    functions = [
        logical_id
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Function" and resource["Properties"].pop("SnapStart", None)
    ]
    if functions:
        said.append(f"SnapStart of {_list(functions)} was left out: a function starts when it is first called")


def _without_throttling(resources: Resources, said: list[str]) -> None:
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::ApiGatewayV2::Stage":
            settings = [resource["Properties"].pop(key, None) for key in ("DefaultRouteSettings", "RouteSettings")]
            if any(settings):
                said.append(f"{logical_id}: its throttling was left out, requests are not limited")


def _without_old_versions(resources: Resources, said: list[str]) -> None:
    """SAM keeps every version ever published; each would keep a process and its archive here."""
    versions = [resource for resource in resources.values() if resource["Type"] == "AWS::Lambda::Version"]
    for version in versions:
        version.pop("DeletionPolicy", None)
    if versions:
        said.append("Lambda versions: an update removes the one before, there is no rolling back to it")


def _drop(template: dict[str, Any], said: list[str]) -> dict[str, Any]:
    """The template without the resources that MiniStack lacks, and without what refers to them."""
    resources: Resources = template["Resources"]
    reasons = {
        logical_id: reason for logical_id, resource in resources.items() if (reason := _reason(resource["Type"]))
    }
    machines = {
        logical_id: _machine_of(logical_id, resources)
        for logical_id in reasons
        if resources[logical_id]["Type"] in _MACHINE_ALIASES
    }
    said += [
        f"{logical_id} ({resources[logical_id]['Type']}) was left out: {reasons[logical_id]}" for logical_id in reasons
    ]

    def replace(name: str, attribute: str | None) -> Any:
        if name in machines:
            return {"Ref": machines[name]}
        # A value that names itself: whoever meets it in a log or an environment knows what it stands for.
        return f"left-out-locally-{name}{f'.{attribute}' if attribute else ''}" if name in reasons else None

    kept: Resources = {}
    for logical_id, resource in resources.items():
        if logical_id in reasons:
            continue
        resource = {key: value for key, value in resource.items() if key not in ("UpdatePolicy", "Metadata")}
        if "DependsOn" in resource:
            names = resource["DependsOn"]
            resource["DependsOn"] = [
                name for name in ([names] if isinstance(names, str) else names) if name not in reasons
            ]
        kept[logical_id] = replace_references(resource, replace)
    outputs = replace_references(template.get("Outputs", {}), replace)
    return template | {"Resources": kept} | ({"Outputs": outputs} if outputs else {})


def _reason(resource_type: str) -> str | None:
    return next((reason for prefix, reason in DROPPED.items() if resource_type.startswith(prefix)), None)


def _machine_of(logical_id: str, resources: Resources) -> str:
    """The state machine that a version or an alias stands for."""
    properties = resources[logical_id]["Properties"]
    if resources[logical_id]["Type"] == "AWS::StepFunctions::StateMachineVersion":
        machine: str = properties["StateMachineArn"]["Ref"]
        return machine
    preference = properties.get("DeploymentPreference", {})
    version = (
        preference.get("StateMachineVersionArn") or properties["RoutingConfiguration"][0]["StateMachineVersionArn"]
    )
    return _machine_of(version["Ref"], resources)


def _list(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} functions"
