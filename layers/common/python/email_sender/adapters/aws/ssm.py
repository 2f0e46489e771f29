"""Stores the versions of the settings in one SSM parameter. Implements coordination.configuration.SettingsStore."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from email_sender.coordination.configuration import StoredVersion
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# A parameter's description has at most 1,024 characters.
_MAX_SUBJECT = 500


class SsmSettings:
    """The author of a version is part of the parameter's description, written by the call that makes the version.

    A description stays until another one is set, so it also holds the digest of its value. It is ignored for a value
    that was written directly to the parameter.
    """

    def __init__(self, client: Callable[[], "SSMClient"], name: str) -> None:
        self._client, self._name = client, name

    def latest(self) -> StoredVersion | None:
        with _translated_errors() as client_errors:
            try:
                parameter = self._client().get_parameter(Name=self._name)["Parameter"]
            except client_errors as error:
                if error.response["Error"]["Code"] == "ParameterNotFound":
                    return None
                raise
        return StoredVersion(parameter["Version"], parameter["Value"], parameter["LastModifiedDate"])

    def history(self) -> Sequence[StoredVersion]:
        versions: list[StoredVersion] = []
        with _translated_errors() as client_errors:
            pages = self._client().get_paginator("get_parameter_history").paginate(Name=self._name)
            try:
                for page in pages:
                    versions += [_build_stored_version(entry) for entry in page["Parameters"]]
            except client_errors as error:
                if error.response["Error"]["Code"] == "ParameterNotFound":
                    return []
                raise
        return sorted(versions, key=lambda stored_version: stored_version.version)

    def put(self, text: str, by: str, restored_version: int | None) -> None:
        note = {"by": by[:_MAX_SUBJECT], "again": restored_version, "of": _digest(text)}
        with _translated_errors():
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


@contextmanager
def _translated_errors() -> Iterator[Any]:
    """Translate botocore's errors. Yield the class of the service's own errors."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield ClientError
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("The settings store did not respond.") from error
