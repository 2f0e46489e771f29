"""A backup in a folder: fetched from a bucket, and verified against its manifest."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from email_sender.adapters.exports import points_of
from email_sender.adapters.postgres.dump import RowSum
from email_sender.backups import manifest as manifests
from email_sender.backups.model import Manifest, PointsObject, StoredObject, Table
from email_sender.errors import InvalidInput
from email_sender.vectors.transfer import PageOf, Stored
from local.restoring import NotRestorable

_CHUNK_BYTES = 1024 * 1024

type Report = Callable[[str], None]


class BackupFolder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self) -> Manifest:
        """Raises NotRestorable where there is none, since it is written last: the backup is not whole."""
        try:
            return manifests.from_bytes((self._path / manifests.NAME).read_bytes())
        except FileNotFoundError:
            raise NotRestorable(f"There is no {manifests.NAME} in {self._path}: that is no whole backup.") from None
        except InvalidInput as error:
            raise NotRestorable(error.detail) from error

    def rows(self, table: Table) -> Iterator[bytes]:
        """COPY's text, in pieces."""
        with self._open(table.stored) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def points(self, page: PointsObject) -> list[Stored]:
        with self._open(page.stored) as file:
            return points_of(file.read())

    def verified(self, report: Report) -> Manifest:
        """Every object is there, has its bytes, and holds what the manifest says.

        Raises:
            NotRestorable: naming the first that is not so.
        """
        manifest = self.manifest()
        for table in manifest.database.tables.values():
            self._check_bytes(table.stored)
            found = RowSum()
            for chunk in self.rows(table):
                found.add(chunk)
            _same(table.stored.key, (found.rows, found.checksum), (table.rows, table.checksum))
        for dumped in manifest.collections.values():
            for page in dumped.objects:
                self._check_bytes(page.stored)
                points = self.points(page)
                checksum = sum(each.digest for each in points) % 2**64
                _same(page.stored.key, (len(points), checksum), (page.points, page.checksum))
        objects = len(manifest.database.tables) + sum(len(each.objects) for each in manifest.collections.values())
        report(f"verified: {objects} objects, as the manifest says")
        return manifest

    def _check_bytes(self, stored: StoredObject) -> None:
        hashed, size = sha256(), 0
        try:
            with (self._path / stored.key).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    hashed.update(chunk)
                    size += len(chunk)
        except FileNotFoundError:
            raise NotRestorable(f"{stored.key} is not there, and the manifest names it.") from None
        if (size, hashed.hexdigest()) != (stored.bytes, stored.sha256):
            raise NotRestorable(f"{stored.key} is damaged: its SHA-256 is not what the manifest says.")

    @contextmanager
    def _open(self, stored: StoredObject) -> Iterator[BinaryIO]:
        try:
            with gzip.open(self._path / stored.key, "rb") as file:
                yield cast("BinaryIO", file)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise NotRestorable(f"{stored.key} is damaged: {error}") from error


class PointsOfFolder:
    """A collection of the backup as vectors.transfer.PointSource. A page is an object, whatever limit is asked for."""

    def __init__(self, folder: BackupFolder, pages: list[PointsObject]) -> None:
        self._folder = folder
        self._pages = {(each.part, each.after): each for each in pages}

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PageOf | None:  # noqa: ARG002  # the port's
        found = self._pages.get((part, after or ""))
        return PageOf(self._folder.points(found), found.position) if found else None


def fetch(client: Any, uri: str, into: Path, report: Report) -> Path:
    """A backup of a bucket, by a client of S3, into a folder.

    Raises:
        NotRestorable: what the bucket said.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
    if not bucket or not prefix:
        raise NotRestorable(f"{uri} names no backup: s3://<bucket>/<backup>")
    count = 0
    try:
        for listed in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
            for found in listed.get("Contents", []):
                key = PurePosixPath(found["Key"].removeprefix(f"{prefix}/"))
                if key.is_absolute() or ".." in key.parts:
                    raise NotRestorable(f"{found['Key']} is no key of a backup.")
                (into / key).parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, found["Key"], str(into / key))
                count += 1
    except (BotoCoreError, ClientError) as error:
        raise NotRestorable(f"{uri} could not be fetched: {error}") from error
    report(f"fetched: {count} objects of {uri}")
    return into


def _same(key: str, found: tuple[int, int], wanted: tuple[int, int]) -> None:
    if found != wanted:
        raise NotRestorable(f"{key} holds {found[0]} with the checksum {found[1]:016x}; the manifest says {wanted[0]}.")
