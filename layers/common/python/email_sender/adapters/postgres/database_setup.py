"""What the owner of the database does besides migrations: the roles that functions sign in with, and tenants.

The roles are prepared before every migration, so that a changed password reaches the database too.
"""

from collections.abc import Mapping
from uuid import UUID

from psycopg import Connection, sql

from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import NotFound
from email_sender.security.tenants import check_tenant

ROLES = ("app", "platform", "backup", "gateway")
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


def find_tenant(conn: Connection[tuple[object, ...]], name: str) -> UUID:
    """Return the id of the tenant with this name. Raises NotFound."""
    row = conn.execute("select id from email_sender.tenants where name = %s", [name]).fetchone()
    if row is None:
        raise NotFound(f"There is no tenant named {name}.")
    return UUID(str(row[0]))


def add_tenant(conn: Connection[tuple[object, ...]], tenant_id: UUID, name: str, sender: str) -> UUID:
    """Add a tenant, and return its id: that of the tenant with this name, if there is one already.

    Raises:
        InvalidInput: the name or the sender is invalid.
    """
    check_tenant(name, sender)
    row = conn.execute("select id from email_sender.tenants where name = %s", [name]).fetchone()
    if row is not None:
        return UUID(str(row[0]))
    conn.execute(
        "insert into email_sender.tenants (id, name, mail_from) values (%s, %s, %s)", [tenant_id, name, sender]
    )
    return tenant_id


def _has_role(conn: Connection[tuple[object, ...]], role: str) -> bool:
    return conn.execute("select from pg_roles where rolname = %s", [role]).fetchone() is not None
