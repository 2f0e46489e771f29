"""The bucket of uploads. Implements vectors.imports.model.Uploads and vectors.imports.point_files.PlanStore."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import IO, TYPE_CHECKING, cast

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import NotFound

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024
_UNAVAILABLE = "The bucket did not respond."


class _EmptyObject(Exception):  # not a failure
    """A range of an empty object was requested."""


def translate_s3_errors(not_found_message: str) -> AbstractContextManager[None]:
    """Translate botocore's errors: NotFound(not_found_message) if the object does not exist, else Unavailable."""

    def translate(error: AwsError) -> Exception | None:
        if error.code in ("NoSuchKey", "NoSuchVersion", "404"):
            return NotFound(not_found_message)
        return _EmptyObject() if error.code == "InvalidRange" else None

    return translate_aws_errors(_UNAVAILABLE, translate)


class _Stream:
    """A file object that reads from an iterator."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._buffer = iter(pieces), bytearray()

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        end = len(self._buffer) if size < 0 else size
        content = bytes(self._buffer[:end])
        del self._buffer[:end]
        return content


class S3Unpacker:
    """Unpacks archives of mail within the bucket. Implements archive.mailbox_import.MailUnpacker."""

    def __init__(self, uploads: "S3Uploads") -> None:
        self._uploads = uploads

    def unpack(self, key: str, version: str | None, size: int) -> str | None:
        from email_sender.adapters.files import mail_archives
        from email_sender.adapters.files.range_file import SeekableFile
        from email_sender.vectors.imports.point_files import RangedFile

        head = b"".join(self._uploads.read(key, version, 0, 512))
        if not mail_archives.is_archive(head):
            return None
        unpacked_key = f"unpacked/{key.removeprefix('imports/')}"
        file = SeekableFile(RangedFile(self._uploads, key, version, size), size, b"")
        self._uploads.write_stream(unpacked_key, mail_archives.unpack(cast("IO[bytes]", file), size))
        return unpacked_key


class S3Uploads:
    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        # The content length is signed: S3 rejects any other number of bytes.
        return self._client().generate_presigned_url(
            "put_object",
            Params={"Bucket": self._bucket, "Key": key, "ContentLength": size_bytes},
            ExpiresIn=seconds,
        )

    def write(self, key: str, content: bytes) -> None:
        with translate_s3_errors("The bucket no longer exists."):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=content)

    def write_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """Store an object of any size. It appears once all of it was written."""
        from boto3.s3.transfer import TransferConfig

        # Two parts of 16 MB at a time stay far below the memory of a function.
        transfer = TransferConfig(multipart_chunksize=16 * 1024 * 1024, max_concurrency=2, use_threads=False)
        with translate_s3_errors("The bucket no longer exists."):
            self._client().upload_fileobj(_Stream(pieces), self._bucket, key, Config=transfer)  # type: ignore[arg-type]

    def delete(self, key: str) -> None:
        with translate_s3_errors("The uploaded file no longer exists."):
            self._client().delete_object(Bucket=self._bucket, Key=key)

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        options = {"VersionId": version} if version else {}
        if length is not None:
            options["Range"] = f"bytes={offset}-{offset + length - 1}"
        try:
            with translate_s3_errors("The uploaded file no longer exists."):
                response = self._client().get_object(Bucket=self._bucket, Key=key, **options)  # type: ignore[arg-type]
                yield from response["Body"].iter_chunks(_CHUNK_BYTES)
        except _EmptyObject:
            return
