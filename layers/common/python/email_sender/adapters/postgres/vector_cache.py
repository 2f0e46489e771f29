"""Write versions and shared embeddings. Implements Versions and EmbeddingCache of vectors.cache."""

import logging
from array import array
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from email_sender.adapters.postgres.database import Database
from email_sender.errors import Unavailable
from email_sender.vectors.cache import Vector

_log = logging.getLogger(__name__)

_NEVER = UUID(int=0)
_PUT = """
insert into embeddings (tenant_id, model, text_hash, vector, expires_at)
select %(tenant)s, %(model)s, t.text_hash, t.vector, now() + %(kept)s
from unnest(%(hashes)s::bytea[], %(vectors)s::bytea[]) as t (text_hash, vector)
order by t.text_hash
on conflict (tenant_id, model, text_hash) do update set expires_at = excluded.expires_at
"""


class PostgresVersions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, tenant_id: UUID, collection: str) -> UUID:
        with self._database.tenant(tenant_id) as conn:
            row = conn.execute("select version from vector_writes where collection = %s", [collection]).fetchone()
        return row["version"] if row else _NEVER


class PostgresEmbeddings:
    """Embeddings expire `retention` after their text was last embedded."""

    def __init__(self, database: Database, retention: timedelta = timedelta(days=7)) -> None:
        self._database, self._retention = database, retention

    def get(self, tenant_id: UUID, model: str, keys: Sequence[bytes]) -> Mapping[bytes, Vector]:
        try:
            with self._database.tenant(tenant_id) as conn:
                rows = conn.execute(
                    "select text_hash, vector from embeddings "
                    "where model = %s and text_hash = any(%s) and expires_at > now()",
                    [model, list(keys)],
                ).fetchall()
        except Unavailable:
            _log.warning("could not read the embedding cache")
            return {}
        return {row["text_hash"]: array("f", row["vector"]) for row in rows}

    def put(self, tenant_id: UUID, model: str, vectors: Mapping[bytes, Vector]) -> None:
        values = {
            "tenant": tenant_id,
            "model": model,
            "kept": self._retention,
            "hashes": list(vectors),
            "vectors": [array("f", vector).tobytes() for vector in vectors.values()],
        }
        try:
            with self._database.tenant(tenant_id) as conn:
                conn.execute(_PUT, values)
                conn.commit()
        except Unavailable:
            _log.warning("could not write the embedding cache")
