"""Templates and their versions."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Row
from email_sender.errors import Conflict
from email_sender.messaging.model import Template, Variable

_SELECT = """
select t.id, t.name, t.version, t.updated_at, v.subject, v.body_text, v.body_html, v.variables, v.language
from templates t join template_versions v on v.template_id = t.id and v.version = t.version
"""


class PostgresTemplates:
    def __init__(self, conn: Connection[Row], tenant_id: UUID) -> None:
        self._conn, self._tenant_id = conn, tenant_id

    def add(self, template: Template, created_by: str) -> None:
        row = self._conn.execute(
            "insert into templates (id, tenant_id, name, version) values (%s, %s, %s, %s) "
            "on conflict (tenant_id, name) do nothing returning id",
            [template.id, self._tenant_id, template.name, template.version],
        ).fetchone()
        if row is None:
            raise Conflict(f"A template with the name {template.name!r} already exists.")
        self._add_version(template, created_by)

    def add_version(self, template: Template, created_by: str) -> None:
        name_owner = self._conn.execute(
            "select 1 from templates where name = %s and id <> %s", [template.name, template.id]
        ).fetchone()
        if name_owner is not None:
            raise Conflict(f"A template with the name {template.name!r} already exists.")
        result = self._conn.execute(
            "update templates set name = %s, version = %s, updated_at = now() where id = %s and version = %s",
            [template.name, template.version, template.id, template.version - 1],
        )
        if result.rowcount != 1:
            raise Conflict("Another request has just changed the template. Read it again before you change it.")
        self._add_version(template, created_by)

    def get(self, template_id: UUID) -> Template | None:
        row = self._conn.execute(_SELECT + "where t.id = %s", [template_id]).fetchone()
        return _template(row) if row else None

    def by_name(self, name: str) -> Template | None:
        row = self._conn.execute(_SELECT + "where t.name = %s", [name]).fetchone()
        return _template(row) if row else None

    def page(self, after: UUID | None, limit: int) -> Sequence[Template]:
        rows = self._conn.execute(
            _SELECT + "where t.id > %s order by t.id limit %s", [after or UUID(int=0), limit]
        ).fetchall()
        return [_template(row) for row in rows]

    def delete(self, template_id: UUID) -> bool:
        return self._conn.execute("delete from templates where id = %s", [template_id]).rowcount == 1

    def _add_version(self, template: Template, created_by: str) -> None:
        self._conn.execute(
            """
            insert into template_versions
                (tenant_id, template_id, version, subject, body_text, body_html, variables, language, created_by)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                self._tenant_id,
                template.id,
                template.version,
                template.subject,
                template.body_text,
                template.body_html,
                Jsonb([asdict(variable) for variable in template.variables]),
                template.language,
                created_by,
            ],
        )


def _template(row: Row) -> Template:
    return Template(
        id=row["id"],
        name=row["name"],
        version=row["version"],
        subject=row["subject"],
        body_text=row["body_text"],
        body_html=row["body_html"],
        variables=tuple(Variable(**variable) for variable in row["variables"]),
        updated_at=row["updated_at"],
        language=row["language"],
    )
