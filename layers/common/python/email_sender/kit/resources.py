"""Databases, the manager gate, key wrappers and secrets, built from the settings of a function."""

import json
from functools import partial
from pathlib import Path

from psycopg.conninfo import make_conninfo

from email_sender.adapters.postgres.certificate_authorities import AUTHORITIES
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.managers import StoppedManagers
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.errors import InvalidInput
from email_sender.kit.aws_clients import client
from email_sender.kit.environment import BackupSettings, DatabaseSettings, PlatformDatabaseSettings, VaultSettings
from email_sender.kit.telemetry import log_level
from email_sender.security.ports import PerTenantKeyWrapper, WrappingKeys

# A server that is gone sends nothing, not even a refusal: without these, a query waits for a quarter of an hour. In
# milliseconds and seconds (PostgreSQL's documentation, "Parameter Key Words").
_LOST_SERVER = {
    "tcp_user_timeout": "5000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
}

_READER_SECONDS = 1.0


def database(settings: DatabaseSettings, timeout: float = 5.0) -> Database:
    """Return a database that connects at the first query, so that no snapshot contains a connection."""
    reader = None
    if settings.database_reader_host:
        of_reader = settings.model_copy(update={"database_host": settings.database_reader_host})
        # A short timeout, because the primary serves the read if the reader does not respond.
        reader = Database(partial(conninfo, of_reader), timeout=_READER_SECONDS)
    return Database(partial(conninfo, settings), timeout=timeout, reader=reader)


def platform_database(timeout: float = 5.0) -> Database:
    """Return a database for the platform role."""
    settings, platform = DatabaseSettings.from_environment(), PlatformDatabaseSettings.from_environment()
    return database(
        settings.model_copy(
            update={"database_user": platform.platform_user, "database_secret_arn": platform.platform_secret_arn}
        ),
        timeout,
    )


def manager_gate(database: Database) -> ManagerGate:
    """Return the gate that refuses the work of stopped managers."""
    return ManagerGate(StoppedManagers(database, log_level.set_temporary))


def backup_database() -> Database:
    """Return a database for the backup role, which reads every table and writes none."""
    settings, backup = DatabaseSettings.from_environment(), BackupSettings.from_environment()
    return database(
        settings.model_copy(
            update={"database_user": backup.backup_user, "database_secret_arn": backup.backup_secret_arn}
        )
    )


def key_wrapper(settings: VaultSettings) -> PerTenantKeyWrapper:
    """Return what wraps the data keys of tenants, by a wrapping key of each tenant."""
    from email_sender.adapters.aws.key_wrappers import FileKeyWrapper, KmsKeyWrapper
    from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper

    kind, _, location = settings.key_wrapper.partition(":")
    if kind == "kms":
        return TenantKeyWrapper(wrapping_keys(settings), KmsKeyWrapper(client("kms"), location))
    if settings.stage != "local":
        raise InvalidInput("KEY_WRAPPER: A key file is allowed in the stage local only.")
    return TenantKeyWrapper(wrapping_keys(settings), FileKeyWrapper(Path(location)))


def wrapping_keys(settings: VaultSettings) -> WrappingKeys:
    """Return the store of the tenants' wrapping keys."""
    kind, _, location = settings.key_wrapper.partition(":")
    if kind == "kms":
        from email_sender.adapters.aws.wrapping_keys import DynamoDbWrappingKeys

        return DynamoDbWrappingKeys(lambda: client("dynamodb"), settings.tenant_keys_table)
    from email_sender.adapters.files.wrapping_keys import FileWrappingKeys

    return FileWrappingKeys(Path(location).parent / "tenants")


def secret_text(arn: str) -> str:
    """Return the value of a secret that is plain text; "" without an ARN."""
    return str(client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]) if arn else ""


def secret_password(arn: str) -> str:
    """Return the password in the secret of a database role."""
    return str(json.loads(secret_text(arn))["password"])


def conninfo(settings: DatabaseSettings) -> str:
    """Return a connection string with the stored password, or with a new IAM token."""
    user, password = settings.database_user, ""
    if settings.database_secret_arn:
        response = client("secretsmanager").get_secret_value(SecretId=settings.database_secret_arn)
        secret = json.loads(response["SecretString"])
        user, password = secret["username"], secret["password"]
    else:
        password = client("rds").generate_db_auth_token(settings.database_host, settings.database_port, user)
    return make_conninfo(
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=user,
        password=password,
        sslmode=settings.database_ssl,
        **_LOST_SERVER,
        # Without a file, verify-full would look for one in the home directory, which a function does not have.
        **({"sslrootcert": str(AUTHORITIES)} if settings.database_ssl == "verify-full" else {}),
    )
