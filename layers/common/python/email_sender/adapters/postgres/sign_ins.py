"""Sign-ins in the audit log of the tenant, for the role gateway. Implements security.sessions.SignInLog."""

from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Forbidden


class PostgresSignIns:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, tenant_id: UUID, subject: str) -> None:
        with self._database.platform() as conn:
            row = conn.execute("select record_sign_in(%s, %s) as recorded", [tenant_id, subject]).fetchone()
            conn.commit()
        if row is None or not row["recorded"]:
            raise Forbidden("The tenant is suspended. Ask an operator of the platform.")
