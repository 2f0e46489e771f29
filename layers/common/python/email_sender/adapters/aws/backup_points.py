"""Stores the points of a backup in its bucket. Implements backups.points.PointsStore.

Apart from backup_store.py, since it loads the engine's protocol, which only the functions of vectors have.
"""

import gzip
from collections.abc import Sequence
from hashlib import sha256

from email_sender.adapters.aws.backup_store import S3Backups
from email_sender.adapters.files.exports import encode_points
from email_sender.backups.model import StoredObject
from email_sender.vectors.jobs.transfer import StoredPoint


class S3BackupPoints:
    def __init__(self, store: S3Backups) -> None:
        self._store = store

    def put(self, folder: str, prefix: str, points: Sequence[StoredPoint]) -> StoredObject:
        # Without a timestamp, so that the same points give the same bytes.
        content = gzip.compress(encode_points(points), compresslevel=1, mtime=0)
        return self._store.put(folder, f"{prefix}-{sha256(content).hexdigest()[:16]}.ndjson.gz", content)
