"""Turn the built SAM template into a CloudFormation template that MiniStack can deploy. No I/O.

Every difference from AWS is one line in the second result, so that nothing is left out silently.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from boto3 import Session
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from local.aws.configuration import configuration_fingerprint
from local.aws.http_api import Resources, camel_case_cors, explode
from local.aws.intrinsics import replace_references

_FILES = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}

# Resource types that MiniStack 1.5.33 lacks, with the effect on the local cloud.
UNSUPPORTED_RESOURCES = {
    "AWS::ApplicationAutoScaling::": "nothing scales",
    "AWS::Backup::BackupSelection": "no backups are taken",
    "AWS::CloudWatch::AnomalyDetector": "no anomaly detection",
    "AWS::CodeDeploy::": "new code takes all traffic at once",
    "AWS::Cognito::LogDeliveryConfiguration": "no Cognito logs",
    "AWS::Cognito::UserPoolRiskConfigurationAttachment": "no threat protection",
    "AWS::Events::ApiDestination": "events reach no HTTP endpoint",
    "AWS::Events::Archive": "events are not archived, so not replayed from an archive",
    "AWS::Events::Connection": "events reach no HTTP endpoint",
    "AWS::Events::EventBusPolicy": "any local client may put events on the bus",
    "AWS::Logs::QueryDefinition": "no saved log queries",
    "AWS::RDS::DBProxy": "functions connect directly to PostgreSQL",
    "AWS::SecretsManager::ResourcePolicy": "secrets have no policy of their own",
    "AWS::SecretsManager::RotationSchedule": "secrets do not rotate",
    "AWS::SQS::QueueInlinePolicy": "queues have no inline policy",
    "AWS::StepFunctions::StateMachineAlias": "executions run the state machine itself",
    "AWS::StepFunctions::StateMachineVersion": "executions run the state machine itself",
    "AWS::WAFv2::WebACLAssociation": "no web ACL protects the API",
    "AWS::XRay::": "traces are not sampled",
}
_STATE_MACHINE_REFERENCES = ("AWS::StepFunctions::StateMachineAlias", "AWS::StepFunctions::StateMachineVersion")


class UnsupportedTemplate(ValueError):
    """SAM rejects the template. The message has SAM's reasons."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """A local file or directory from which a resource is created. `path` is relative to the template's directory."""

    logical_id: str
    resource_type: str
    path: str


def artefacts(template: Mapping[str, Any]) -> Iterator[Artefact]:
    """Yield the artefacts that have to be uploaded before the template can be transformed."""
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
    """Return the template to deploy, and one line for each thing that was replaced or left out.

    `template` is the built SAM template with its tags parsed, `locations` maps each artefact's logical id to the s3 URI
    where it was uploaded.

    Raises:
        UnsupportedTemplate: with SAM's reasons, one on each line.
    """
    sam = copy.deepcopy(dict(template))
    for artefact in artefacts(template):
        sam["Resources"][artefact.logical_id]["Properties"][_FILES[artefact.resource_type]] = locations[
            artefact.logical_id
        ]
    _set_configuration(sam, parameters)
    cloudformation_template = _translate(sam, parameters, region)
    differences: list[str] = []
    cloudformation_template["Resources"] = _explode_apis(cloudformation_template["Resources"], differences)
    _remove_snap_start(cloudformation_template["Resources"], differences)
    _remove_throttling(cloudformation_template["Resources"], differences)
    _remove_version_retention(cloudformation_template["Resources"], differences)
    cloudformation_template = _drop_unsupported(cloudformation_template, differences)
    return cloudformation_template, differences


def _set_configuration(template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    """Set CONFIGURATION as scripts/deploy.py does for AWS."""
    environment = template.get("Globals", {}).get("Function", {}).get("Environment", {})
    if "Variables" in environment:
        environment["Variables"]["CONFIGURATION"] = configuration_fingerprint(parameters)


def _translate(template: dict[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    # It warns that switches of AWS's own service are missing here.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    translator = Translator(None, Parser(), boto_session=Session(region_name=region))
    try:
        cloudformation_template: dict[str, Any] = translator.translate(template, dict(parameters))
    except InvalidDocumentException as error:
        causes = "\n".join(f"  {cause.message}" for cause in error.causes)
        raise UnsupportedTemplate(f"SAM rejects the template:\n{causes}") from error
    finally:
        translator.metrics.publish()  # goes nowhere, but SAM warns at exit about unpublished metrics
    cloudformation_template.pop("Transform", None)
    return cloudformation_template


def _explode_apis(resources: Resources, differences: list[str]) -> Resources:
    expanded: Resources = {}
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in properties:
            parts, lines = explode(logical_id, resource)
            expanded |= parts
            differences += lines
            continue
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "CorsConfiguration" in properties:
            properties["CorsConfiguration"] = camel_case_cors(properties["CorsConfiguration"])
        expanded[logical_id] = resource
    return expanded


def _remove_snap_start(resources: Resources, differences: list[str]) -> None:
    """Remove SnapStart: with it, publishing versions would start a process for each function, one after the other."""
    functions = [
        logical_id
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Lambda::Function" and resource["Properties"].pop("SnapStart", None)
    ]
    if functions:
        differences.append(
            f"SnapStart of {_summarize(functions)} was left out: a function starts when it is first called"
        )


def _remove_throttling(resources: Resources, differences: list[str]) -> None:
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::ApiGatewayV2::Stage":
            settings = [resource["Properties"].pop(key, None) for key in ("DefaultRouteSettings", "RouteSettings")]
            if any(settings):
                differences.append(f"{logical_id}: its throttling was left out: requests are not limited")


def _remove_version_retention(resources: Resources, differences: list[str]) -> None:
    """Let an update delete the previous version. SAM retains all, and each would hold a process and an archive."""
    versions = [resource for resource in resources.values() if resource["Type"] == "AWS::Lambda::Version"]
    for version in versions:
        version.pop("DeletionPolicy", None)
    if versions:
        differences.append(
            "Lambda versions: an update deletes the previous version, so a rollback to it is not possible"
        )


def _drop_unsupported(template: dict[str, Any], differences: list[str]) -> dict[str, Any]:
    """Return the template without the resources that MiniStack lacks, and with references to them replaced."""
    resources: Resources = template["Resources"]
    reasons = {logical_id: reason for logical_id, resource in resources.items() if (reason := _reason(resource))}
    state_machines = {
        logical_id: _state_machine_of(logical_id, resources)
        for logical_id in reasons
        if resources[logical_id]["Type"] in _STATE_MACHINE_REFERENCES
    }
    differences += [
        f"{logical_id} ({resources[logical_id]['Type']}) was left out: {reasons[logical_id]}" for logical_id in reasons
    ]

    def replace(name: str, attribute: str | None) -> Any:
        if name in state_machines:
            return {"Ref": state_machines[name]}
        # The value explains itself where it appears in a log or an environment.
        return f"left-out-locally-{name}{f'.{attribute}' if attribute else ''}" if name in reasons else None

    retained: Resources = {}
    for logical_id, resource in resources.items():
        if logical_id in reasons:
            continue
        resource = {key: value for key, value in resource.items() if key not in ("UpdatePolicy", "Metadata")}
        if "DependsOn" in resource:
            names = resource["DependsOn"]
            resource["DependsOn"] = [
                name for name in ([names] if isinstance(names, str) else names) if name not in reasons
            ]
        retained[logical_id] = replace_references(resource, replace)
    outputs = replace_references(template.get("Outputs", {}), replace)
    return template | {"Resources": retained} | ({"Outputs": outputs} if outputs else {})


def _reason(resource: Mapping[str, Any]) -> str | None:
    kind: str = resource["Type"]
    return next((reason for prefix, reason in UNSUPPORTED_RESOURCES.items() if kind.startswith(prefix)), None)


def _state_machine_of(logical_id: str, resources: Resources) -> str:
    """Return the logical id of the state machine of a version or an alias."""
    properties = resources[logical_id]["Properties"]
    if resources[logical_id]["Type"] == "AWS::StepFunctions::StateMachineVersion":
        state_machine_id: str = properties["StateMachineArn"]["Ref"]
        return state_machine_id
    preference = properties.get("DeploymentPreference", {})
    version = (
        preference.get("StateMachineVersionArn") or properties["RoutingConfiguration"][0]["StateMachineVersionArn"]
    )
    return _state_machine_of(version["Ref"], resources)


def _summarize(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} functions"
