"""Count what the deployed stack uses of AWS's limits. `python -m tests.aws.limits` writes docs/reference/limits.md.

The limits are those of AWS's documentation on 2026-11-28 ("Quotas" of each service), adjustable ones by default.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.aws.evaluation import Json
from local.layout import BUILD, ROOT
from tests.aws.cloudformation import as_list, compact, deployed, functions_of, translated_template

PAGE = ROOT / "docs/reference/limits.md"
# Above this part of a limit, the test fails: the next feature would not fit.
HEADROOM = 0.8
_LAYERS = {"common": "CommonLayer", "vectors": "VectorsLayer", "bulk": "BulkLayer"}


@dataclass(frozen=True, slots=True)
class Limit:
    """What is limited, what the stack uses, and what AWS allows. `where` names the largest user."""

    service: str
    measure: str
    used: int
    allowed: int
    where: str = ""

    @property
    def part(self) -> float:
        return self.used / self.allowed


def limits() -> list[Limit]:
    """Return every limit that the template can reach, without the sizes of packages, which need a build."""
    resources = deployed()
    return [*_stack_limits(resources), *_function_limits(resources), *_other_limits(resources)]


def package_limits() -> list[Limit]:
    """Return the unzipped sizes of functions with their layers. Needs `make build`."""
    template = translated_template()["Resources"]
    sizes = {}
    for name in functions_of(template):
        layers = [_layer_name(layer) for layer in template[name]["Properties"].get("Layers", [])]
        sizes[name] = _megabytes(BUILD / name) + sum(_megabytes(folder) for folder in layers if folder)
    largest = max(sizes, key=lambda name: sizes[name])
    return [Limit("Lambda", "function and layers, unzipped, MB", round(sizes[largest]), 250, largest)]


def _stack_limits(resources: Mapping[str, Json]) -> Iterator[Limit]:
    template = translated_template()
    yield Limit("CloudFormation", "resources in a stack", len(resources), 500)
    yield Limit("CloudFormation", "size of the template, bytes", len(compact(template)), 1_000_000)
    yield Limit("CloudFormation", "parameters", len(template["Parameters"]), 200)
    yield Limit("CloudFormation", "outputs", len(template["Outputs"]), 200)


def _function_limits(resources: Mapping[str, Json]) -> Iterator[Limit]:
    functions = {name: resources[name]["Properties"] for name in functions_of(resources)}
    yield _largest("Lambda", "layers of a function", 5, {n: len(f.get("Layers", [])) for n, f in functions.items()})
    variables = {n: len(compact(f["Environment"]["Variables"])) for n, f in functions.items()}
    yield _largest("Lambda", "environment variables, bytes", 4_096, variables)
    yield _largest("Lambda", "resource policy of an alias, bytes", 20_480, _resource_policies(resources))
    roles = {name: role["Properties"] for name, role in resources.items() if role["Type"] == "AWS::IAM::Role"}
    attached = {name: len(role.get("ManagedPolicyArns", [])) for name, role in roles.items()}
    yield _largest("IAM", "managed policies of a role", 10, attached)
    inline = {
        name: sum(len(compact(policy["PolicyDocument"])) for policy in role.get("Policies", []))
        for name, role in roles.items()
    }
    yield _largest("IAM", "inline policies of a role, characters", 10_240, inline)
    yield Limit("IAM", "roles in an account, for one stage", len(roles), 1_000)
    mapped = sum(
        int(resource["Properties"]["ScalingConfig"]["MaximumConcurrency"])
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    )
    yield Limit("Lambda", "concurrent executions that queues can cause", mapped, 1_000)


def _resource_policies(resources: Mapping[str, Json]) -> Mapping[str, int]:
    """Return the size of each function's policy: every route of the API is one statement."""
    sizes: dict[str, int] = defaultdict(int)
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Permission":
            properties = resource["Properties"]
            statement = {
                "Sid": f"email-sender-dev-{name}-1ABCDEFGHIJKL",
                "Effect": "Allow",
                "Principal": {"Service": properties["Principal"]},
                "Action": properties["Action"],
                "Resource": properties["FunctionName"],
                "Condition": {"ArnLike": {"AWS:SourceArn": properties.get("SourceArn", "")}},
            }
            sizes[properties["FunctionName"].split(":")[6]] += len(compact(statement))
    return sizes


def _other_limits(resources: Mapping[str, Json]) -> Iterator[Limit]:
    kinds = Counter(resource["Type"] for resource in resources.values())
    api: Any = next(one["Properties"] for one in resources.values() if one["Type"] == "AWS::ApiGatewayV2::Api")
    yield Limit("API Gateway", "routes", sum(len(methods) for methods in api["Body"]["paths"].values()), 300)
    yield Limit("API Gateway", "size of the API's definition, bytes", len(compact(api["Body"])), 6 * 1024 * 1024)
    yield Limit("EventBridge", "rules of the stack on a bus", kinds["AWS::Events::Rule"], 300)
    targets = {
        name: len(resource["Properties"]["Targets"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Events::Rule"
    }
    yield _largest("EventBridge", "targets of a rule", 5, targets)
    bus = sum(
        len(compact(one["Properties"]["Statement"]))
        for one in resources.values()
        if one["Type"] == "AWS::Events::EventBusPolicy"
    )
    yield Limit("EventBridge", "policy of the bus, bytes", bus, 10_240)
    definitions = {path.name: len(path.read_bytes()) for path in (ROOT / "statemachines").glob("*.json")}
    yield _largest("Step Functions", "size of a definition, bytes", 1_048_576, definitions)
    names = {
        one["Properties"]["StateMachineName"]: len(one["Properties"]["StateMachineName"])
        for one in resources.values()
        if one["Type"] == "AWS::StepFunctions::StateMachine"
    }
    yield _largest("Step Functions", "name of a state machine, characters", 80, names)
    buckets = {
        name: len(compact(one["Properties"]["PolicyDocument"]))
        for name, one in resources.items()
        if one["Type"] == "AWS::S3::BucketPolicy"
    }
    yield _largest("S3", "policy of a bucket, bytes", 20_480, buckets)
    queue = next(one for one in resources.values() if one["Type"] == "AWS::SQS::QueuePolicy")
    yield Limit("SQS", "policy of a queue, bytes", len(compact(queue["Properties"]["PolicyDocument"])), 8_192)
    key = next(one for one in resources.values() if one["Type"] == "AWS::KMS::Key")
    yield Limit("KMS", "policy of a key, bytes", len(compact(key["Properties"]["KeyPolicy"])), 32_768)


def _largest(service: str, measure: str, allowed: int, used: Mapping[str, int]) -> Limit:
    name = max(used, key=lambda one: used[one])
    return Limit(service, measure, used[name], allowed, name)


def _layer_name(layer: Any) -> Path | None:
    """Return the folder of a layer's build, or None for a layer of another stack."""
    names = [one for one in _LAYERS.values() if any(one in str(part) for part in as_list(layer))]
    return BUILD / names[0] if names else None


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def render() -> str:
    rows = "".join(
        f"| {one.service} | {one.measure} | {one.used:,} | {one.allowed:,} | {one.part:.0%} | {one.where or ''} |\n"
        for one in limits()
    )
    return _TEXT.format(rows=rows)


_TEXT = """# AWS's limits, and what a stage uses of them
Written by `python -m tests.aws.limits` from the translated template. A test fails above 80 %. The limits are AWS's
defaults on 2026-11-28; many can be raised. Function packages are checked by the same test after a build.

| service | limit | used | allowed | part | largest user |
| --- | --- | ---: | ---: | ---: | --- |
{rows}
## Limits that tenants' data can reach
These depend on use, so no test can count them. Watch them, and raise them in time.

| service | limit | default | what uses it |
| --- | --- | ---: | --- |
| Lambda | concurrent executions of the account | 1,000 | every request and every step |
| EventBridge | rules on a bus | 300 | one for each event trigger of a workflow |
| EventBridge Scheduler | schedules | 1,000,000 | one for each schedule of a trigger |
| Step Functions | state machines of the account | 100,000 | one for each published version of a workflow |
| Step Functions | events of an execution | 25,000 | about ten for each step and item |
| Step Functions | input and output of a state | 262,144 bytes | results of steps; larger ones are refused |
| SES | messages in 24 hours | 200 in the sandbox | every sent mail |
| Bedrock | requests a minute to a model | by model and account | questions, imported messages and generated texts |
| RDS | connections | by instance class | one for each running function |
"""


def main() -> int:
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
