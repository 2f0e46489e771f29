"""Read a backup from a folder, fetch it from a bucket, and verify it against its manifest."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from email_sender.adapters.files.exports import decode_points
from email_sender.adapters.postgres.dump import RowChecksum
from email_sender.backups import manifest as manifests
from email_sender.backups.model import Manifest, PointsObject, StoredObject, Table
from email_sender.errors import InvalidInput
from email_sender.vectors.jobs.transfer import PointPage, StoredPoint
from local.backups import NotRestorable

_CHUNK_BYTES = 1024 * 1024

type Report = Callable[[str], None]


class BackupFolder:
    """A backup in a folder, with a manifest.json."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> Manifest:
        """Return the manifest. Raises NotRestorable if it is missing, because it is written last."""
        try:
            return manifests.from_bytes((self._path / manifests.NAME).read_bytes())
        except FileNotFoundError:
            raise NotRestorable(f"{self._path} has no {manifests.NAME}, so it is not a complete backup.") from None
        except InvalidInput as error:
            raise NotRestorable(error.detail) from error

    def rows(self, table: Table) -> Iterator[bytes]:
        """Yield a table's rows as chunks of COPY's text format."""
        with self._open(table.stored_object) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def points(self, page: PointsObject) -> list[StoredPoint]:
        """Return the points of one object of a collection."""
        with self._open(page.stored_object) as file:
            return decode_points(file.read())

    def verify(self, report: Report) -> Manifest:
        """Check that every object exists, is undamaged and matches the manifest. Return the manifest.

        Raises:
            NotRestorable: with the first object that does not match.
        """
        manifest = self.manifest()
        for table in manifest.database.tables.values():
            self._check_bytes(table.stored_object)
            row_sum = RowChecksum()
            for chunk in self.rows(table):
                row_sum.add(chunk)
            _require_same(table.stored_object.key, (row_sum.rows, row_sum.checksum), (table.rows, table.checksum))
        for collection_dump in manifest.collections.values():
            for page in collection_dump.objects:
                self._check_bytes(page.stored_object)
                points = self.points(page)
                checksum = sum(point.digest for point in points) % 2**64
                _require_same(page.stored_object.key, (len(points), checksum), (page.points, page.checksum))
        objects = len(manifest.database.tables) + sum(
            len(collection.objects) for collection in manifest.collections.values()
        )
        report(f"Verified {objects} objects against the manifest")
        return manifest

    def _check_bytes(self, stored_object: StoredObject) -> None:
        digest, size = sha256(), 0
        try:
            with (self._path / stored_object.key).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
        except FileNotFoundError:
            raise NotRestorable(f"{stored_object.key} is in the manifest but missing from the backup.") from None
        if (size, digest.hexdigest()) != (stored_object.bytes, stored_object.sha256):
            raise NotRestorable(f"{stored_object.key} is damaged: its size or SHA-256 differs from the manifest.")

    @contextmanager
    def _open(self, stored_object: StoredObject) -> Iterator[BinaryIO]:
        try:
            with gzip.open(self._path / stored_object.key, "rb") as file:
                yield cast("BinaryIO", file)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise NotRestorable(f"{stored_object.key} is damaged: {error}") from error


class BackupPointSource:
    """A collection of the backup as a vectors.jobs.transfer.PointSource. A page is one object, whatever the limit."""

    def __init__(self, folder: BackupFolder, pages: list[PointsObject]) -> None:
        self._folder = folder
        self._pages = {(page.part, page.after): page for page in pages}

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:  # noqa: ARG002  # the port's
        page_object = self._pages.get((part, after or ""))
        return PointPage(self._folder.points(page_object), page_object.position) if page_object else None


def fetch(client: Any, uri: str, into: Path, report: Report) -> Path:
    """Download the backup at `uri` (s3://<bucket>/<backup>) into the folder `into`, and return the folder.

    Raises:
        NotRestorable: `uri` is invalid or S3 returned an error.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    if not bucket or not prefix:
        raise NotRestorable(f"{uri} names no backup. Use s3://<bucket>/<backup>.")
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
        raise NotRestorable(f"{uri} could not be fetched: {error}") from error
    report(f"Fetched {count} objects from {uri}")
    return into


def _require_same(key: str, actual: tuple[int, int], expected: tuple[int, int]) -> None:
    if actual != expected:
        raise NotRestorable(f"{key} holds {actual[0]} with checksum {actual[1]:016x}; the manifest has {expected[0]}.")
