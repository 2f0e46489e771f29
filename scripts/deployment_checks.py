"""What `make deploy` refuses before it changes anything: values that a later stack would refuse, and lost parts."""

import re
from collections.abc import Mapping
from typing import Any

from scripts import stacks
from scripts.stacks import Deployed, Stack


class DeploymentRefused(ValueError):
    """The environment or a parameter is invalid. The message says what to change."""


def complete(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values with those that follow from them.

    Own parts replace all that the outputs of the data stack say about its parts: a value from before must not stay.
    """
    completed = dict(values)
    if values.get("DomainName"):
        completed.setdefault("PublicUrl", f"https://{values['DomainName']}")
        completed.setdefault("TrustedProxies", "1")
    if values.get("DatabaseHost"):
        completed.setdefault("DatabaseOwnerHost", "")
        completed.setdefault("DatabaseOwnerUser", "postgres")
    if values.get("QdrantHost"):
        completed.setdefault("QdrantTls", "true")
    return completed


def check_values(values: Mapping[str, str], *, is_update: bool = False) -> None:
    """Raise DeploymentRefused if a stack that is needed would refuse the values, or lack one.

    With `is_update`, nothing is lacking: an existing stack keeps the values that are given nowhere.
    """
    network, data = stacks.STACKS[:2]
    for subnets, groups in (("SubnetIds", "SecurityGroupIds"), ("SandboxSubnetIds", "SandboxSecurityGroupIds")):
        if bool(values.get(subnets)) != bool(values.get(groups)):
            raise DeploymentRefused(f"{subnets} and {groups} belong together: give both, or neither.")
    if data.is_needed(values) and not network.is_needed(values) and not values.get("VpcId"):
        raise DeploymentRefused(
            "SubnetIds is given, so VpcId is needed too: the database and Qdrant get security groups."
        )
    if values.get("QdrantHost") and not values.get("QdrantHealthUrl"):
        raise DeploymentRefused("QdrantHealthUrl is needed with QdrantHost: the URL of its /healthz.")
    if values.get("Embedder") == "bundled" and not values.get("EmbeddingsLayerArn"):
        raise DeploymentRefused(
            "EmbeddingsLayerArn is needed with Embedder bundled: publish the layer of the bundled model first "
            "(docs/guides/deploying.md#embedding-models)."
        )
    if values.get("JwtIssuer") and not values.get("JwksUrl"):
        raise DeploymentRefused("JwksUrl is needed with JwtIssuer: the URL of the issuer's keys.")
    produced: set[str] = set()
    for stack in stacks.STACKS:
        if stack.is_needed(values):
            template = stacks.template_of(stack)
            for name, parameter in template["Parameters"].items():
                _check_value(name, parameter, values, is_produced=is_update or name in produced)
            produced |= set(template.get("Outputs", {}))


def _check_value(name: str, parameter: Mapping[str, Any], values: Mapping[str, str], *, is_produced: bool) -> None:
    if name not in values:
        if "Default" not in parameter and not is_produced:
            raise DeploymentRefused(f"{name} is needed. {parameter.get('Description', '')}".strip())
        return
    value, pattern = values[name], parameter.get("AllowedPattern")
    allowed = [str(one) for one in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise DeploymentRefused(f"{name} is {value}. It must be one of {', '.join(allowed)}.")
    if pattern and not re.fullmatch(pattern, value):
        raise DeploymentRefused(
            f"{name} is {value}, which does not match {pattern}. {parameter.get('Description', '')}"
        )


def warnings(values: Mapping[str, str]) -> list[str]:
    """Return what is allowed and probably not meant, as sentences."""
    own = f"https://{values.get('DomainName')}"
    if values.get("DomainName") and values.get("PublicUrl") != own:
        return [
            f"Unsubscribe links will start with PublicUrl, {values.get('PublicUrl')}, although the domain is {own}. "
            "Remove PublicUrl from your values to use the domain."
        ]
    return []


def check_stacks(
    deployed: Mapping[str, Deployed | None], values: Mapping[str, str], environment: str, region: str
) -> None:
    """Compare the existing stacks, by the names of STACKS, with those that these values need.

    Raises:
        DeploymentRefused: a stack has to be deleted first, or the platform uses parts that these values do not name.
    """
    for stack in stacks.STACKS:
        state = deployed[stack.name]
        if state is not None and state.is_stuck:
            name = stacks.stack_name(environment, stack)
            options = f"--stack-name {name} --region {stack.region or region}"
            raise DeploymentRefused(
                f"The first deployment of {name} failed ({state.status}). Its events show the reason. Delete it, then "
                f"deploy again:\n  aws cloudformation delete-stack {options}\n"
                f"  aws cloudformation wait stack-delete-complete {options}"
            )
        if _would_replace_own_part(stack, deployed, values):
            raise DeploymentRefused(
                f"The platform runs without the stack {stacks.stack_name(environment, stack)}: it uses parts of yours, "
                f"but these values do not name them ({', '.join(stack.needed_unless)}). Pass the whole file of values. "
                "To move to a new, empty part on purpose, deploy that stack by hand first."
            )


def _would_replace_own_part(stack: Stack, deployed: Mapping[str, Deployed | None], values: Mapping[str, str]) -> bool:
    is_new = stack.needed_unless and deployed[stack.name] is None and stack.is_needed(values)
    return bool(is_new and deployed["platform"] is not None)
