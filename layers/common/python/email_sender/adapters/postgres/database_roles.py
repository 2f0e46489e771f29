"""The roles that functions sign in with, and the platform tenant: what a new database needs before it can be used.

The owner runs this before every migration, so that a changed password reaches the database too.
"""

from collections.abc import Mapping

from psycopg import Connection, sql

from email_sender.coordination.events import PLATFORM_TENANT

ROLES = ("app", "platform", "backup")
# RDS lets members of this role sign in with IAM tokens, and with nothing else.
_IAM_ROLE = "rds_iam"


def prepare_roles(conn: Connection[tuple[object, ...]], passwords: Mapping[str, str]) -> None:
    """Create the roles that are missing, and let each sign in: with its password, or with IAM if it has none.

    A role with a password leaves the IAM role of RDS, whose members cannot use passwords, not even through RDS Proxy.
    """
    has_iam = _has_role(conn, _IAM_ROLE)
    for role in ROLES:
        name = sql.Identifier(role)
        if not _has_role(conn, role):
            conn.execute(sql.SQL("create role {} nologin").format(name))
        password = passwords.get(role, "")
        if password:
            # Hashed here, because a server may log the statement.
            digest = conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            conn.execute(sql.SQL("alter role {} login password {}").format(name, sql.Literal(digest)))
        else:
            conn.execute(sql.SQL("alter role {} login").format(name))
        if has_iam:
            change = "revoke {} from {}" if password else "grant {} to {}"
            conn.execute(sql.SQL(change).format(sql.Identifier(_IAM_ROLE), name))


def add_platform_tenant(conn: Connection[tuple[object, ...]]) -> None:
    """Add the tenant of the operators, unless it exists."""
    conn.execute(
        "insert into email_sender.tenants (id, name, kind) values (%s, 'platform', 'platform') on conflict do nothing",
        [PLATFORM_TENANT],
    )


def _has_role(conn: Connection[tuple[object, ...]], role: str) -> bool:
    return conn.execute("select from pg_roles where rolname = %s", [role]).fetchone() is not None
