"""The deployed resources of each manager, found by tags: functions, the queues they read, and their schedules.

A function's tag `email-sender:manager` names its manager; `email-sender:stage` names its deployment. A schedule's name
holds both, since EventBridge Scheduler tags groups but not schedules: `email-sender-clock-<stage>.<manager>.<what>`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import translate_aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

_UNAVAILABLE = "AWS did not list or change the deployed resources. Try again later."

MANAGER_TAG = "email-sender:manager"
STAGE_TAG = "email-sender:stage"
# The states of an event source mapping that count as enabled.
_ENABLED_STATES = ("Enabled", "Enabling", "Creating")
# Fields that GetSchedule returns and UpdateSchedule does not accept.
_READ_ONLY = ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata")


@dataclass(frozen=True, slots=True)
class Deployment:
    """By manager: the number of functions, and of its queues and schedules that are on (enabled) or off (disabled)."""

    functions: Mapping[str, int]
    arns: Collection[str]
    sources_on: Mapping[str, int]
    sources_off: Mapping[str, int]


class DeployedResources:
    """Implements coordination.lifecycle.ManagerResources."""

    def __init__(
        self,
        tags: Callable[[], "ResourceGroupsTaggingAPIClient"],
        functions: Callable[[], "LambdaClient"],
        schedules: Callable[[], "EventBridgeSchedulerClient"],
        stage: str,
    ) -> None:
        self._tags, self._functions, self._schedules, self._stage = tags, functions, schedules, stage

    def disable(self, manager: str) -> None:
        self._set_enabled(manager, enabled=False)

    def enable(self, manager: str) -> None:
        self._set_enabled(manager, enabled=True)

    def read_deployment(self) -> "Deployment":
        """Read the resources of all managers. Raises Unavailable."""
        with translate_aws_errors(_UNAVAILABLE):
            arns_by_manager = self._function_arns()
            all_arns = [arn for arns in arns_by_manager.values() for arn in arns]
            mappings, schedules = list(self._mappings(all_arns)), list(self._owned_schedules())
        enabled_counts: dict[str, int] = {}
        disabled_counts: dict[str, int] = {}
        for manager, arns in arns_by_manager.items():
            queue_states = [
                mapping["State"] in _ENABLED_STATES for mapping in mappings if _belongs_to(mapping["FunctionArn"], arns)
            ]
            schedule_states = [schedule["State"] == "ENABLED" for owner, schedule in schedules if owner == manager]
            enabled_counts[manager], disabled_counts[manager] = (
                [*queue_states, *schedule_states].count(True),
                [*queue_states, *schedule_states].count(False),
            )
        return Deployment(
            {manager: len(arns) for manager, arns in arns_by_manager.items()},
            frozenset(all_arns),
            enabled_counts,
            disabled_counts,
        )

    def source_counts(self) -> Mapping[str, tuple[int, int]]:
        deployment = self.read_deployment()
        return {
            manager: (enabled_count, deployment.sources_off[manager])
            for manager, enabled_count in deployment.sources_on.items()
        }

    def _set_enabled(self, manager: str, *, enabled: bool) -> None:
        with translate_aws_errors(_UNAVAILABLE):
            arns = self._function_arns().get(manager, [])
            for mapping in self._mappings(arns):
                if (mapping["State"] in _ENABLED_STATES) is not enabled:
                    self._functions().update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)
            desired_state = "ENABLED" if enabled else "DISABLED"
            for owner, schedule in self._owned_schedules():
                if owner == manager and schedule["State"] != desired_state:
                    self._set_schedule_state(schedule, desired_state)

    def _set_schedule_state(self, schedule: Mapping[str, Any], state: str) -> None:
        current_schedule = self._schedules().get_schedule(
            Name=schedule["Name"], GroupName=schedule.get("GroupName", "default")
        )
        arguments: dict[str, Any] = {name: value for name, value in current_schedule.items() if name not in _READ_ONLY}
        self._schedules().update_schedule(**{**arguments, "State": state})

    def _function_arns(self) -> dict[str, list[str]]:
        """Return the ARNs of the functions by manager."""
        arns_by_manager: dict[str, list[str]] = {}
        with translate_aws_errors(_UNAVAILABLE):
            pages = (
                self._tags()
                .get_paginator("get_resources")
                .paginate(
                    TagFilters=[{"Key": STAGE_TAG, "Values": [self._stage]}, {"Key": MANAGER_TAG}],
                    ResourceTypeFilters=["lambda:function"],
                )
            )
            for page in pages:
                for resource in page["ResourceTagMappingList"]:
                    tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
                    arns_by_manager.setdefault(tags[MANAGER_TAG], []).append(resource["ResourceARN"])
        return arns_by_manager

    def _mappings(self, arns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for page in self._functions().get_paginator("list_event_source_mappings").paginate():
            yield from (mapping for mapping in page["EventSourceMappings"] if _belongs_to(mapping["FunctionArn"], arns))

    def _owned_schedules(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield each schedule with the name of its manager."""
        prefix = f"email-sender-clock-{self._stage}."
        for page in self._schedules().get_paginator("list_schedules").paginate(NamePrefix=prefix):
            for schedule in page["Schedules"]:
                yield schedule["Name"].removeprefix(prefix).partition(".")[0], schedule


def _belongs_to(arn: str, functions: Sequence[str]) -> bool:
    """Return whether the ARN, with or without an alias, is one of the functions'."""
    return any(arn == function_arn or arn.startswith(f"{function_arn}:") for function_arn in functions)
