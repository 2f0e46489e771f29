"""The bucket of uploads. Implements vectors.import_model.Uploads and vectors.bulk_model.PlanStore."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from email_sender.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024


@contextmanager
def translated(gone: str) -> Iterator[None]:
    """Nobody above knows botocore. Raises NotFound(gone) where the object is not there, else Unavailable."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion", "404"):
            raise NotFound(gone) from error
        raise Unavailable("The bucket did not answer.") from error
    except BotoCoreError as error:
        raise Unavailable("The bucket did not answer.") from error


class S3Uploads:
    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def upload_url(self, key: str, size_bytes: int, seconds: int) -> str:
        # The length is signed: S3 refuses any other number of bytes.
        return self._client().generate_presigned_url(
            "put_object",
            Params={"Bucket": self._bucket, "Key": key, "ContentLength": size_bytes},
            ExpiresIn=seconds,
        )

    def write(self, key: str, content: bytes) -> None:
        with translated("The bucket is gone."):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=content)

    def read(self, key: str, version: str | None, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        from botocore.exceptions import ClientError

        wanted = {"VersionId": version} if version else {}
        if length is not None:
            wanted["Range"] = f"bytes={offset}-{offset + length - 1}"
        with translated("The uploaded file is gone."):
            try:
                answer = self._client().get_object(Bucket=self._bucket, Key=key, **wanted)  # type: ignore[arg-type]
            except ClientError as error:
                if error.response["Error"]["Code"] == "InvalidRange":
                    # An empty object has no range to read.
                    return
                raise
            yield from answer["Body"].iter_chunks(_CHUNK_BYTES)
