"""Read a backup, from a folder or a bucket, and compare it with its manifest."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import BinaryIO, cast

from email_sender.adapters.postgres.dump import RowChecksum
from email_sender.backups import manifest as manifests
from email_sender.backups.model import Manifest, NotRestorable, StoredObject, Table
from email_sender.errors import InvalidInput, NotFound

_CHUNK_BYTES = 1024 * 1024

# Opens an object of the backup by its key. Raises NotFound.
type OpenStored = Callable[[str], AbstractContextManager[BinaryIO]]


class StoredBackup:
    """A backup with a manifest.json. `name` is what messages call it."""

    def __init__(self, open_stored: OpenStored, name: str) -> None:
        self._open_stored, self._name = open_stored, name

    def manifest(self) -> Manifest:
        """Return the manifest. Raises NotRestorable if it is missing, because it is written last."""
        try:
            with self._open_stored(manifests.NAME) as file:
                return manifests.from_bytes(file.read())
        except NotFound:
            raise NotRestorable(f"{self._name} has no {manifests.NAME}, so it is not a complete backup.") from None
        except InvalidInput as error:
            raise NotRestorable(error.detail) from error

    def rows(self, table: Table) -> Iterator[bytes]:
        """Yield a table's rows as chunks of COPY's text format."""
        with self.open(table.stored_object) as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    def verify_table(self, table: Table) -> None:
        """Raise NotRestorable if the bytes or the rows of a table differ from the manifest."""
        self.verify_bytes(table.stored_object)
        row_sum = RowChecksum()
        for chunk in self.rows(table):
            row_sum.add(chunk)
        require_same(table.stored_object.key, (row_sum.rows, row_sum.checksum), (table.rows, table.checksum))

    def verify_bytes(self, stored_object: StoredObject) -> None:
        """Raise NotRestorable if the size or the SHA-256 of an object differs from the manifest."""
        digest, size = sha256(), 0
        try:
            with self._open_stored(stored_object.key) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
        except NotFound:
            raise NotRestorable(f"{stored_object.key} is in the manifest but missing from the backup.") from None
        if (size, digest.hexdigest()) != (stored_object.bytes, stored_object.sha256):
            raise NotRestorable(f"{stored_object.key} is damaged: its size or SHA-256 differs from the manifest.")

    @contextmanager
    def open(self, stored_object: StoredObject) -> Iterator[BinaryIO]:
        """Open an object's content, decompressed. Raises NotRestorable if it is missing or damaged."""
        try:
            with self._open_stored(stored_object.key) as stored, gzip.open(stored, "rb") as file:
                yield cast("BinaryIO", file)
        except NotFound:
            raise NotRestorable(f"{stored_object.key} is in the manifest but missing from the backup.") from None
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise NotRestorable(f"{stored_object.key} is damaged: {error}") from error


def require_same(key: str, actual: tuple[int, int], expected: tuple[int, int]) -> None:
    """Compare (count, checksum) of an object with the manifest. Raises NotRestorable."""
    if actual != expected:
        raise NotRestorable(f"{key} holds {actual[0]} with checksum {actual[1]:016x}; the manifest has {expected[0]}.")
