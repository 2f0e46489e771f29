"""Read a backup from a folder, fetch it from a bucket, and verify it against its manifest."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from email_sender.adapters.aws.records import decode
from email_sender.adapters.files.backup_points import verify_points
from email_sender.adapters.files.stored_backup import StoredBackup
from email_sender.backups.model import Manifest, NotRestorable
from email_sender.errors import NotFound
from email_sender.messaging.model import RecordedErasure

type Report = Callable[[str], None]

# The hidden folder beside the backups with the people who were erased, and its name in the bucket (see records.py).
ERASURES = ".erasures"
_ERASURES_PREFIX = "erasures"


class BackupFolder(StoredBackup):
    """A backup in a folder, with a manifest.json."""

    def __init__(self, path: Path) -> None:
        super().__init__(lambda key: _open_file(path / key), str(path))

    def verify(self, report: Report) -> Manifest:
        """Check that every object exists, is undamaged and matches the manifest. Return the manifest.

        Raises:
            NotRestorable: with the first object that does not match.
        """
        manifest = self.manifest()
        for table in manifest.database.tables.values():
            self.verify_table(table)
        pages = [page for collection_dump in manifest.collections.values() for page in collection_dump.objects]
        for page in pages:
            verify_points(self, page)
        report(f"Verified {len(manifest.database.tables) + len(pages)} objects against the manifest")
        return manifest


@contextmanager
def _open_file(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist.") from None
    with file:
        yield file


def fetch(client: Any, uri: str, into: Path, report: Report) -> Path:
    """Download the backup at `uri` (s3://<bucket>/<backup>) into the folder `into`, and return the folder.

    Raises:
        NotRestorable: `uri` is invalid or S3 returned an error.
    """
    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    if not bucket or not prefix:
        raise NotRestorable(f"{uri} names no backup. Use s3://<bucket>/<backup>.")
    count = _download(client, bucket, prefix, into)
    report(f"Fetched {count} objects from {uri}")
    return into


def fetch_erasures(client: Any, uri: str, into: Path) -> None:
    """Download who was erased, from the bucket of the backup at `uri`. Raises NotRestorable."""
    _download(client, uri.removeprefix("s3://").partition("/")[0], _ERASURES_PREFIX, into)


def read_erasures(backup: Path) -> list[RecordedErasure]:
    """Return who was erased, from the folder beside that of the backup."""
    return [decode(json.loads(file.read_text())) for file in sorted((backup.parent / ERASURES).glob("*/*.json"))]


def _download(client: Any, bucket: str, prefix: str, into: Path) -> int:
    """Download every object below the prefix. Return how many there are."""
    from botocore.exceptions import BotoCoreError, ClientError

    count = 0
    try:
        for listing in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for entry in listing.get("Contents", []):
                key = PurePosixPath(entry["Key"].removeprefix(f"{prefix}/"))
                if key.is_absolute() or ".." in key.parts:
                    raise NotRestorable(f"{entry['Key']} is not a valid key of a backup.")
                (into / key).parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, entry["Key"], str(into / key))
                count += 1
    except (BotoCoreError, ClientError) as error:
        raise NotRestorable(f"s3://{bucket}/{prefix} could not be fetched: {error}") from error
    return count
