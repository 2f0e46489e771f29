"""The settings' versions: those of one parameter of SSM's. Implements coordination.configuring.SettingsStore."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from email_sender.coordination.configuring import Stored
from email_sender.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# A description has 1,024 characters at most.
_MAX_SUBJECT = 500


class SsmSettings:
    """Who made a version stands in its description, written by the very call that makes it.

    A description stays until another is given, so it names its value by digest: it is not believed of a value that
    somebody wrote past us.
    """

    def __init__(self, client: Callable[[], "SSMClient"], name: str) -> None:
        self._client, self._name = client, name

    def latest(self) -> Stored | None:
        with _translated() as client_errors:
            try:
                found = self._client().get_parameter(Name=self._name)["Parameter"]
            except client_errors as error:
                if error.response["Error"]["Code"] == "ParameterNotFound":
                    return None
                raise
        return Stored(found["Version"], found["Value"], found["LastModifiedDate"])

    def history(self) -> Sequence[Stored]:
        versions: list[Stored] = []
        with _translated() as client_errors:
            pages = self._client().get_paginator("get_parameter_history").paginate(Name=self._name)
            try:
                for page in pages:
                    versions += [_stored(each) for each in page["Parameters"]]
            except client_errors as error:
                if error.response["Error"]["Code"] == "ParameterNotFound":
                    return []
                raise
        return sorted(versions, key=lambda each: each.version)

    def put(self, text: str, by: str, again: int | None) -> None:
        note = {"by": by[:_MAX_SUBJECT], "again": again, "of": _digest(text)}
        with _translated():
            # Free of charge up to 4 KB, 5 cents a month up to 8.
            self._client().put_parameter(
                Name=self._name,
                Value=text,
                Type="String",
                Tier="Intelligent-Tiering",
                Overwrite=True,
                Description=json.dumps(note, ensure_ascii=False),
            )


def _stored(found: Any) -> Stored:
    try:
        note = json.loads(found.get("Description", ""))
        by, again = (str(note["by"]), note["again"]) if note["of"] == _digest(found["Value"]) else ("", None)
    except (ValueError, KeyError, TypeError):
        by, again = "", None
    return Stored(
        found["Version"], found["Value"], found["LastModifiedDate"], by or found.get("LastModifiedUser", ""), again
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def _translated() -> Iterator[Any]:
    """Nobody above knows botocore. Gives the class of the service's own errors."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield ClientError
    except (BotoCoreError, ClientError) as error:
        raise Unavailable("The store of settings did not answer.") from error
