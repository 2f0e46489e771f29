"""Settings of functions: one validated model per function, read from the environment once per execution environment.

Each field is read from the environment variable with the same name in upper case. If a value is missing or invalid, the
function does not start and the error names the variable. Secrets are never variables; only their ARNs are.
"""

import json
import os
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from email_sender.errors import InvalidInput, Problem
from email_sender.kit.pydantic_problems import sentence_of

NonEmpty = Annotated[str, Field(min_length=1)]


def json_variable(empty: object) -> BeforeValidator:
    """Parse a variable that contains JSON. An empty variable has the value `empty`."""

    def parse(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else empty
        except ValueError as error:
            raise ValueError(f"The value is not valid JSON: {error}") from None

    return BeforeValidator(parse)


class Settings(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    stage: NonEmpty
    """The stage of the deployment: dev, staging, prod or local."""
    version: str = "0.0.0"
    """The software version."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environment`, by default from the process.

        Raises:
            InvalidInput: variables are missing or invalid; pointers are the variables' names.
        """
        environment = os.environ if environment is None else environment
        values = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = []
            for detail in error.errors(include_input=False):
                name = str(detail["loc"][0]).upper() if detail["loc"] else "The environment"
                sentence = sentence_of(detail, name)
                problems.append(Problem(name, sentence if sentence.startswith(name) else f"{name}: {sentence}"))
            summary = " ".join(problem.message for problem in problems)
            raise InvalidInput(f"Environment variables are missing or invalid: {summary}", problems) from None


class DatabaseSettings(Settings):
    """Without `database_secret_arn`, the function signs in with an IAM token over TLS."""

    database_host: NonEmpty
    """Host name of PostgreSQL or RDS Proxy."""
    database_reader_host: str = ""
    """Host name of a replica, for reads that may be some seconds old; empty: the primary serves them too."""
    database_port: int = 5432
    """Port of PostgreSQL."""
    database_name: NonEmpty = "email_sender"
    """Name of the database."""
    database_user: NonEmpty = "app"
    """Database role of the function."""
    database_secret_arn: str = ""
    """Secret with `username` and `password`; empty: IAM authentication."""
    database_ssl: Literal["verify-full", "require", "disable"] = "verify-full"
    """libpq `sslmode` of the connection."""


class PlatformDatabaseSettings(Settings):
    """The platform role, for queries that run before the tenant is known. Same server, separate secret."""

    platform_user: NonEmpty = "platform"
    """Database role for queries that run before the tenant is known."""
    platform_secret_arn: str = ""
    """Secret of that role; empty: IAM authentication."""


class VaultSettings(Settings):
    """`key_wrapper` is `kms:<key id or ARN>`, or `file:<path>` in the stage local."""

    key_wrapper: Annotated[str, Field(pattern=r"^(kms:.+|file:.+)$")]
    """What wraps the keys of tenants: `kms:<key id or ARN>`, or `file:<path>` in the stage local."""
    tenant_keys_table: str = ""
    """DynamoDB table with the wrapping keys of tenants. With a key file, they are in the folder `tenants` beside it."""


class BackupSettings(Settings):
    """The role that reads every table. Only functions that dump the database sign in with it."""

    backups_bucket: NonEmpty
    """Bucket for backups."""
    backup_retention_days: Annotated[int, Field(ge=1)] = 35
    """Days after which backups are deleted."""
    backup_user: NonEmpty = "backup"
    """Database role that reads every table."""
    backup_secret_arn: str = ""
    """Secret of that role; empty: IAM authentication."""


class BusSettings(Settings):
    event_bus: NonEmpty
    """Name of the event bus."""


def own_manager() -> str:
    """Return the name of the manager that this function belongs to."""
    return os.environ["MANAGER"]
