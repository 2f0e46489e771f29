"""Stores the versions of the settings in one SSM parameter. Implements coordination.configuration.SettingsStore."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.coordination.configuration import StoredVersion
from email_sender.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# A parameter's description has at most 1,024 characters.
_MAX_SUBJECT = 500
_UNAVAILABLE = "The settings store did not respond."


class SsmSettings:
    """The author of a version is part of the parameter's description, written by the call that makes the version.

    A description stays until another one is set, so it also holds the digest of its value. It is ignored for a value
    that was written directly to the parameter.
    """

    def __init__(self, client: Callable[[], "SSMClient"], name: str) -> None:
        self._client, self._name = client, name

    def latest(self) -> StoredVersion | None:
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                parameter = self._client().get_parameter(Name=self._name)["Parameter"]
        except NotFound:
            return None
        return StoredVersion(parameter["Version"], parameter["Value"], parameter["LastModifiedDate"])

    def history(self) -> Sequence[StoredVersion]:
        versions: list[StoredVersion] = []
        try:
            with translate_aws_errors(_UNAVAILABLE, _translate):
                for page in self._client().get_paginator("get_parameter_history").paginate(Name=self._name):
                    versions += [_build_stored_version(entry) for entry in page["Parameters"]]
        except NotFound:
            return []
        return sorted(versions, key=lambda stored_version: stored_version.version)

    def put(self, text: str, by: str, restored_version: int | None) -> None:
        note = {"by": by[:_MAX_SUBJECT], "again": restored_version, "of": _digest(text)}
        with translate_aws_errors(_UNAVAILABLE):
            # Free up to 4 KB; 5 cents a month up to 8 KB.
            self._client().put_parameter(
                Name=self._name,
                Value=text,
                Type="String",
                Tier="Intelligent-Tiering",
                Overwrite=True,
                Description=json.dumps(note, ensure_ascii=False),
            )


def _build_stored_version(parameter: Any) -> StoredVersion:
    try:
        note = json.loads(parameter.get("Description", ""))
        by, restored_version = (
            (str(note["by"]), note["again"]) if note["of"] == _digest(parameter["Value"]) else ("", None)
        )
    except (ValueError, KeyError, TypeError):
        by, restored_version = "", None
    return StoredVersion(
        parameter["Version"],
        parameter["Value"],
        parameter["LastModifiedDate"],
        by or parameter.get("LastModifiedUser", ""),
        restored_version,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _translate(error: AwsError) -> Exception | None:
    return NotFound("The settings parameter does not exist.") if error.code == "ParameterNotFound" else None
