"""The bucket of uploads. Implements vectors.imports.model.Uploads and vectors.imports.point_files.PlanStore."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from email_sender.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024


@contextmanager
def translate_errors(not_found_message: str) -> Iterator[None]:
    """Translate botocore's errors: NotFound(not_found_message) if the object does not exist, else Unavailable."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion", "404"):
            raise NotFound(not_found_message) from error
        raise Unavailable("The bucket did not answer.") from error
    except BotoCoreError as error:
        raise Unavailable("The bucket did not answer.") from error


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
        with translate_errors("The bucket no longer exists."):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=content)

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        from botocore.exceptions import ClientError

        options = {"VersionId": version} if version else {}
        if length is not None:
            options["Range"] = f"bytes={offset}-{offset + length - 1}"
        with translate_errors("The uploaded file no longer exists."):
            try:
                response = self._client().get_object(Bucket=self._bucket, Key=key, **options)  # type: ignore[arg-type]
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRange":
                    # An empty object has no range that can be read.
                    return
                raise
            yield from response["Body"].iter_chunks(_CHUNK_BYTES)
