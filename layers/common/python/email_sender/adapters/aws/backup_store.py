"""Backups in a bucket. Implements backups.model.BackupStore, and opens their objects for a restore.

    <time>-<id>/database/<attempt>/<table>.copy.gz            rows in the format of PostgreSQL's COPY, gzipped
    <time>-<id>/vectors/<collection>/<part>/<page>.ndjson.gz   points in the format of exports (exports.py)
    <time>-<id>/manifest.json                                 the contents, with counts and checksums

The bucket encrypts its objects.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, cast

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.adapters.aws.s3 import translate_s3_errors
from email_sender.backups.model import NotRestorable, StoredObject
from email_sender.errors import DomainError, NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# An upload has at most 10,000 parts, so an object at most 160 GB. A writer holds one part in memory.
_PART_BYTES = 16 * 1024 * 1024
_BUCKET_MISSING = "The bucket of backups does not exist."


class S3Backups:
    def __init__(self, client: Callable[[], "S3Client"], bucket: str, part_bytes: int = _PART_BYTES) -> None:
        self._client, self._bucket, self._part_bytes = client, bucket, part_bytes

    def location(self, folder: str) -> str:
        return f"s3://{self._bucket}/{folder}"

    @contextmanager
    def open(self, folder: str, key: str) -> Iterator[BinaryIO]:
        """Open an object for reading, from its beginning to its end.

        Raises:
            NotFound: the object does not exist.
            NotRestorable: the bucket does not exist, or this function may not read it.
        """

        def translate(error: AwsError) -> Exception | None:
            if error.code == "NoSuchKey":
                return NotFound(f"{folder}/{key} does not exist.")
            if error.code in ("NoSuchBucket", "AccessDenied"):
                return NotRestorable(
                    f"The bucket {self._bucket} does not exist, or this platform may not read it. "
                    "Name another bucket in the parameter RestoreBucket."
                )
            return None

        with translate_aws_errors("The bucket did not respond.", translate):
            body = self._client().get_object(Bucket=self._bucket, Key=f"{folder}/{key}")["Body"]
            with closing(body):
                yield cast("BinaryIO", body)

    def put(self, folder: str, key: str, content: bytes) -> StoredObject:
        with self.open_writer(folder, key) as writer:
            writer.write(content)
        return writer.stored_object

    @contextmanager
    def open_writer(self, folder: str, key: str) -> Iterator["S3Writer"]:
        writer = S3Writer(self._client(), self._bucket, folder, key, self._part_bytes)
        try:
            yield writer
            writer.close()
        except BaseException:
            writer.abort()
            raise


class S3Writer:
    """Writes an object of unknown length, in parts if it is larger than one. Implements backups.model.ObjectWriter."""

    def __init__(self, client: "S3Client", bucket: str, folder: str, key: str, part_bytes: int) -> None:
        self._client, self._bucket, self._key, self._part_bytes = client, bucket, f"{folder}/{key}", part_bytes
        self._short_key = key
        self._buffer = bytearray()
        self._hash = sha256()
        self._size = 0
        self._upload_id: str | None = None
        self._completed_parts: list[CompletedPartTypeDef] = []
        self._closed = False

    def write(self, data: bytes, /) -> int:
        self._hash.update(data)
        self._size += len(data)
        self._buffer += data
        while len(self._buffer) > self._part_bytes:
            self._send(bytes(self._buffer[: self._part_bytes]))
            del self._buffer[: self._part_bytes]
        return len(data)

    def flush(self) -> None:
        """Do nothing: a part is sent when it is full."""

    def close(self) -> None:
        with translate_s3_errors(_BUCKET_MISSING):
            if self._upload_id is None:
                self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer))
            else:
                self._send(bytes(self._buffer))
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=self._key,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": self._completed_parts},
                )
        self._upload_id, self._closed = None, True

    def abort(self) -> None:
        """Discard the parts that were sent."""
        if self._upload_id is not None:
            # If this fails too, the bucket's lifecycle discards them. The first exception is the one to report.
            with suppress(DomainError), translate_s3_errors(_BUCKET_MISSING):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload_id)

    @property
    def stored_object(self) -> StoredObject:
        if not self._closed:
            raise ValueError(f"The writer of {self._key} is not closed.")
        return StoredObject(self._short_key, self._size, self._hash.hexdigest())

    def _send(self, part: bytes) -> None:
        bucket, key = self._bucket, self._key
        with translate_s3_errors(_BUCKET_MISSING):
            if self._upload_id is None:
                self._upload_id = self._client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
            number = len(self._completed_parts) + 1
            response = self._client.upload_part(
                Bucket=bucket, Key=key, UploadId=self._upload_id, PartNumber=number, Body=part
            )
        self._completed_parts.append({"PartNumber": number, "ETag": response["ETag"]})
