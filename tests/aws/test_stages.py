"""Two stages in one account and region: nothing that AWS identifies by a name may be the same."""

import re
from collections.abc import Iterator
from typing import Any

from local.aws.evaluation import ACCOUNT, NAME_PROPERTIES, REGION, Json
from tests.aws.cloudformation import deployed, functions_of, statements_of, translated_template

# Further properties that are physical ids, by AWS's documentation of each resource type's return values.
IDS = (*NAME_PROPERTIES, "StatementId", "ConfigurationSetName", "RuleSetName")
# Names within another resource of the stack.
NESTED = {"AWS::SES::ConfigurationSetEventDestination", "AWS::ApiGatewayV2::Stage", "AWS::Lambda::Alias"}


def names(resources: dict[str, Json]) -> dict[tuple[str, str], str]:
    """Return the names and ids that the template gives, by type and value."""
    return {
        (resource["Type"], str(resource["Properties"][key])): name
        for name, resource in resources.items()
        if resource["Type"] not in NESTED
        for key in IDS
        if isinstance(resource.get("Properties", {}).get(key), str)
    }


def test_two_stages_have_no_name_or_id_in_common() -> None:
    dev, prod = names(deployed("dev")), names(deployed("prod"))
    assert len(dev) == len(prod) > 20
    assert set(dev) & set(prod) == set()


def own_resources(resources: dict[str, Json]) -> Iterator[tuple[str, str]]:
    for name in functions_of(resources):
        for statement in statements_of(name, resources):
            listed = statement["Resource"]
            for resource in listed if isinstance(listed, list) else [listed]:
                yield name, resource


def test_no_right_of_a_stage_reaches_a_stage_whose_name_begins_with_its_own() -> None:
    """`stateMachine:email-sender-dev-*` would match those of a stage `dev-2`, which is why names have no hyphens."""
    own = {
        resource
        for _, resource in own_resources(deployed("dev"))
        if resource.endswith("*") and f"{REGION}:{ACCOUNT}" in resource and "email-sender-dev" in resource
    }
    assert len(own) >= 5
    others = [name for _, name in names(deployed("dev2"))]
    for pattern in own:
        name_pattern = next(part for part in re.split("[:/]", pattern) if part.startswith("email-sender-dev"))
        form = re.compile(re.escape(name_pattern).replace(r"\*", ".*"))
        assert [name for name in others if form.fullmatch(name)] == [], pattern


def test_a_stage_sees_only_its_own_executions() -> None:
    detail: Any = deployed("dev")["ExecutionsRule"]["Properties"]["EventPattern"]["detail"]
    (arn,) = detail["stateMachineArn"]
    assert arn["prefix"].endswith(":stateMachine:email-sender-dev-")


def test_the_names_of_roles_keep_the_whole_name_of_the_stack() -> None:
    """CloudFormation shortens generated names of 64 characters, but keeps the first 24 of the stack's name.

    The bus, and the right to stop functions, recognise a stage's roles and functions by that name.
    """
    pattern = translated_template()["Parameters"]["Stage"]["AllowedPattern"]
    longest = "a" * 11
    assert re.fullmatch(pattern, longest)
    assert not re.fullmatch(pattern, longest + "a")
    assert len(f"email-sender-{longest}") <= 24
