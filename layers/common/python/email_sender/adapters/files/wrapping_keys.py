"""Tenants' wrapping keys in a folder, for development. Implements security.ports.WrappingKeys."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import UUID

from email_sender.errors import KeyDestroyed, Unavailable


class FileWrappingKeys:
    """A file for each tenant. That of a destroyed key is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, tenant_id: UUID) -> bytes | None:
        try:
            wrapped = self._path(tenant_id).read_bytes()
        except FileNotFoundError:
            return None
        if not wrapped:
            raise KeyDestroyed("The tenant was deleted, and its key was destroyed.")
        return wrapped

    def add(self, tenant_id: UUID, wrapped: bytes) -> bytes:
        with suppress(FileExistsError):
            self._write(tenant_id, wrapped, replace=False)
        stored = self.get(tenant_id)
        if stored is None:
            raise Unavailable("The wrapping key of the tenant could not be stored.")
        return stored

    def destroy(self, tenant_id: UUID) -> None:
        self._write(tenant_id, b"", replace=True)

    def _write(self, tenant_id: UUID, content: bytes, *, replace: bool) -> None:
        """Write the whole file or nothing. Raises FileExistsError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with NamedTemporaryFile(dir=self._folder, delete=False) as partial:
            partial.write(content)
            partial.flush()
            os.fsync(partial.fileno())
        try:
            if replace:
                Path(partial.name).replace(self._path(tenant_id))
            else:
                self._path(tenant_id).hardlink_to(partial.name)
        finally:
            Path(partial.name).unlink(missing_ok=True)

    def _path(self, tenant_id: UUID) -> Path:
        return self._folder / str(tenant_id)
