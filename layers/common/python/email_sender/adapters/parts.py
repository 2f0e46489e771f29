"""What is deployed of each manager, found by tags: functions, the queues they read, the clocks that ring them.

A function's tag `email-sender:manager` says whose it is; `email-sender:stage` says of which deployment. A clock's name
says both, since EventBridge Scheduler tags groups and not schedules: `email-sender-clock-<stage>.<manager>.<what>`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_scheduler import EventBridgeSchedulerClient

MANAGER_TAG = "email-sender:manager"
STAGE_TAG = "email-sender:stage"
# States of an event source mapping.
_ON = ("Enabled", "Enabling", "Creating")
# What GetSchedule answers and UpdateSchedule does not take.
_READ_ONLY = ("Arn", "CreationDate", "LastModificationDate", "ResponseMetadata")


@dataclass(frozen=True, slots=True)
class Deployment:
    """By manager: how many functions, how many queues and clocks that are on, how many that are off."""

    functions: Mapping[str, int]
    arns: Collection[str]
    sources_on: Mapping[str, int]
    sources_off: Mapping[str, int]


class DeployedParts:
    """Implements coordination.managers.Parts."""

    def __init__(
        self,
        tags: Callable[[], "ResourceGroupsTaggingAPIClient"],
        functions: Callable[[], "LambdaClient"],
        schedules: Callable[[], "EventBridgeSchedulerClient"],
        stage: str,
    ) -> None:
        self._tags, self._functions, self._schedules, self._stage = tags, functions, schedules, stage

    def close(self, manager: str) -> None:
        self._set(manager, enabled=False)

    def open(self, manager: str) -> None:
        self._set(manager, enabled=True)

    def seen(self) -> "Deployment":
        """Everything in one look."""
        with _translated():
            found = self._found()
            every = [arn for arns in found.values() for arn in arns]
            mappings, clocks = list(self._mappings(every)), list(self._clocks())
        on: dict[str, int] = {}
        off: dict[str, int] = {}
        for manager, arns in found.items():
            queues = [each["State"] in _ON for each in mappings if _is_of(each["FunctionArn"], arns)]
            rings = [clock["State"] == "ENABLED" for whose, clock in clocks if whose == manager]
            on[manager], off[manager] = [*queues, *rings].count(True), [*queues, *rings].count(False)
        return Deployment({manager: len(arns) for manager, arns in found.items()}, frozenset(every), on, off)

    def switched(self) -> Mapping[str, tuple[int, int]]:
        seen = self.seen()
        return {manager: (on, seen.sources_off[manager]) for manager, on in seen.sources_on.items()}

    def _set(self, manager: str, *, enabled: bool) -> None:
        with _translated():
            arns = self._found().get(manager, [])
            for mapping in self._mappings(arns):
                if (mapping["State"] in _ON) is not enabled:
                    self._functions().update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)
            wanted = "ENABLED" if enabled else "DISABLED"
            for whose, clock in self._clocks():
                if whose == manager and clock["State"] != wanted:
                    self._set_clock(clock, wanted)

    def _set_clock(self, clock: Mapping[str, Any], state: str) -> None:
        whole = self._schedules().get_schedule(Name=clock["Name"], GroupName=clock.get("GroupName", "default"))
        given: dict[str, Any] = {name: value for name, value in whole.items() if name not in _READ_ONLY}
        self._schedules().update_schedule(**{**given, "State": state})

    def _found(self) -> dict[str, list[str]]:
        """The functions' ARNs by manager."""
        found: dict[str, list[str]] = {}
        with _translated():
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
                    tags = {each["Key"]: each["Value"] for each in resource["Tags"]}
                    found.setdefault(tags[MANAGER_TAG], []).append(resource["ResourceARN"])
        return found

    def _mappings(self, arns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        for page in self._functions().get_paginator("list_event_source_mappings").paginate():
            yield from (each for each in page["EventSourceMappings"] if _is_of(each["FunctionArn"], arns))

    def _clocks(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """With the name of whose it is."""
        prefix = f"email-sender-clock-{self._stage}."
        for page in self._schedules().get_paginator("list_schedules").paginate(NamePrefix=prefix):
            for clock in page["Schedules"]:
                yield clock["Name"].removeprefix(prefix).partition(".")[0], clock


def _is_of(arn: str, functions: Sequence[str]) -> bool:
    """With or without the alias."""
    return any(arn == each or arn.startswith(f"{each}:") for each in functions)


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("AWS did not say what is deployed, or did not change it.") from error
