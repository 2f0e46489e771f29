"""Backups in a bucket. Implements backups.model.BackupStore.

    <when>-<id>/database/<attempt>/<table>.copy.gz            rows as PostgreSQL's COPY writes them, gzipped
    <when>-<id>/vectors/<collection>/<part>/<page>.ndjson.gz   points, as exports have them (exports.py)
    <when>-<id>/manifest.json                                 what is in it, with counts and checksums

The bucket encrypts what it is given.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from email_sender.adapters.s3 import translated
from email_sender.backups.model import StoredObject
from email_sender.errors import DomainError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# Of at most 10,000 parts: an object of 160 GB. It is what a writer holds in memory.
_PART_BYTES = 16 * 1024 * 1024
_GONE = "The bucket of backups is gone."


class S3Backups:
    def __init__(self, client: Callable[[], "S3Client"], bucket: str, part_bytes: int = _PART_BYTES) -> None:
        self._client, self._bucket, self._part_bytes = client, bucket, part_bytes

    def location(self, folder: str) -> str:
        return f"s3://{self._bucket}/{folder}"

    def put(self, folder: str, key: str, content: bytes) -> StoredObject:
        with self.writing(folder, key) as writer:
            writer.write(content)
        return writer.stored

    @contextmanager
    def writing(self, folder: str, key: str) -> Iterator["S3Writer"]:
        writer = S3Writer(self._client(), self._bucket, folder, key, self._part_bytes)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abort()
            raise


class S3Writer:
    """An object of unknown length, sent in parts where it is larger than one. Implements backups.model.ObjectWriter."""

    def __init__(self, client: "S3Client", bucket: str, folder: str, key: str, part_bytes: int) -> None:
        self._client, self._bucket, self._key, self._part_bytes = client, bucket, f"{folder}/{key}", part_bytes
        self._short_key = key
        self._buffer = bytearray()
        self._hash = sha256()
        self._bytes = 0
        self._upload: str | None = None
        self._parts: list[CompletedPartTypeDef] = []
        self._closed = False

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        self._bytes += len(data)
        self._buffer += data
        while len(self._buffer) > self._part_bytes:
            self._send(bytes(self._buffer[: self._part_bytes]))
            del self._buffer[: self._part_bytes]
        return len(data)

    def flush(self) -> None:
        """A part is sent when it is full."""

    def close(self) -> None:
        with translated(_GONE):
            if self._upload is None:
                self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer))
            else:
                self._send(bytes(self._buffer))
                self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=self._key, UploadId=self._upload, MultipartUpload={"Parts": self._parts}
                )
        self._upload, self._closed = None, True

    def abort(self) -> None:
        """What was sent is thrown away."""
        if self._upload is not None:
            # Where even that fails, the bucket's lifecycle does it; what stopped the writing is what is to be told.
            with suppress(DomainError), translated(_GONE):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload)

    @property
    def stored(self) -> StoredObject:
        if not self._closed:
            raise ValueError(f"{self._key} was not closed")
        return StoredObject(self._short_key, self._bytes, self._hash.hexdigest())

    def _send(self, part: bytes) -> None:
        where = {"Bucket": self._bucket, "Key": self._key}
        with translated(_GONE):
            if self._upload is None:
                self._upload = self._client.create_multipart_upload(**where)["UploadId"]  # type: ignore[arg-type]
            number = len(self._parts) + 1
            sent = self._client.upload_part(**where, UploadId=self._upload, PartNumber=number, Body=part)  # type: ignore[arg-type]
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
