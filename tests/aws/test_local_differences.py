"""Everything that the local cloud changes or leaves out of the template has a test that covers it for AWS instead."""

import pytest

from local.aws.intrinsics import read_template
from local.aws.transform import artefacts, transform
from local.layout import ROOT
from tests.aws.cloudformation import PLAIN

# Part of a reported difference: the test of the same thing for AWS. The reason is in the reported line itself.
COVERED = {
    "its OpenAPI body was replaced": "tests/aws/test_linters.py::test_the_translated_template_has_no_faults",
    "SnapStart of": "tests/aws/test_platform_stack.py::test_snapshots_are_made_only_if_they_are_switched_on",
    "its throttling was left out": (
        "tests/architecture/test_template.py::test_the_api_is_throttled_and_only_named_routes_are_public"
    ),
    "Lambda versions:": "tests/unit/scripts/test_rollback.py::test_all_functions_of_the_stack_go_back_by_one_version",
    "AWS::Events::EventBusPolicy": (
        "tests/architecture/test_template.py::test_no_other_account_can_publish_under_our_source"
    ),
    "AWS::Events::Archive": "tests/aws/test_linters.py::test_the_translated_template_has_no_faults",
    "AWS::CodeDeploy::": "tests/aws/test_platform_stack.py::test_a_rollout_is_watched_by_an_alarm_of_its_function",
}


def differences() -> list[str]:
    template = read_template(ROOT / "template.yaml")
    locations = {artefact.logical_id: "s3://bucket/key" for artefact in artefacts(template)}
    return transform(template, {"Stage": "local", **PLAIN}, locations)[1]


def test_every_difference_is_covered_by_a_test_for_aws() -> None:
    reported = differences()
    assert [line for line in reported if not any(part in line for part in COVERED)] == []
    assert [part for part in COVERED if not any(part in line for line in reported)] == []


@pytest.mark.parametrize("test", sorted(set(COVERED.values())))
def test_the_covering_test_exists(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / path).read_text()
