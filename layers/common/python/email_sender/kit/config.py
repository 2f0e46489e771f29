"""Settings: one validated model a function, read from the environment once a sandbox.

Every field is the environment variable of the same name in capitals. A value that is missing or wrong stops the start
with its name; a secret is never a variable, only the ARN it is read from.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput, Problem

NonEmpty = Annotated[str, Field(min_length=1)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: NonEmpty
    version: str = "0.0.0"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        environment = os.environ if environment is None else environment
        values = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = [Problem(str(item["loc"][0]).upper(), item["msg"]) for item in error.errors(include_input=False)]
            named = "; ".join(f"{problem.pointer}: {problem.message}" for problem in problems)
            raise InvalidInput(f"The environment is not as this function needs it: {named}", problems) from None


class DatabaseSettings(Settings):
    """`database_secret_arn` empty: sign in with an IAM token, over TLS."""

    database_host: NonEmpty
    database_port: int = 5432
    database_name: NonEmpty = "email_sender"
    database_user: NonEmpty = "app"
    database_secret_arn: str = ""
    database_ssl: Literal["require", "verify-full", "disable"] = "require"


class PlatformDatabaseSettings(Settings):
    """The platform's role, for what is asked before a tenant is known. Same server, its own secret."""

    platform_user: NonEmpty = "platform"
    platform_secret_arn: str = ""


class VaultSettings(Settings):
    """`kms:<key id or ARN>`, or `file:<path>` where the stage is local."""

    key_wrapper: Annotated[str, Field(pattern=r"^(kms:.+|file:.+)$")]


class BackupSettings(Settings):
    """The role that reads everything is signed in as where there is something to dump: nowhere else."""

    backups_bucket: NonEmpty
    backup_retention_days: Annotated[int, Field(ge=1)] = 35
    backup_user: NonEmpty = "backup"
    backup_secret_arn: str = ""


class BusSettings(Settings):
    event_bus: NonEmpty
