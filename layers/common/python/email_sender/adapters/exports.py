"""Exports in the bucket: objects of JSON lines, gzipped, and one that says that they are all.

    exports/<job>/<part>/<position>.ndjson.gz    a point a line: id, tenant, payload, vector_b64, and its words' weights
    exports/<job>/manifest.json                  what the collection was, how many points, their checksum

A vector is base64 of little-endian float32, as the API takes it. An object's name is where its page began, so that a
page that is written again replaces itself.
"""

import base64
import gzip
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.qdrant.packing import floats
from email_sender.adapters.s3 import translated
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.vectors.job_model import Job, PartDone
from email_sender.vectors.model import Terms
from email_sender.vectors.transfer import PageOf, PointSource, Stored

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Of 1,536 floats, an object has 10 MB.
_POINTS = 1_000
_FIRST = "0"


class S3Exports:
    """Implements vectors.job_steps.Exports."""

    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def write(self, job: Job, done: PartDone, source: PointSource) -> PartDone:
        page = source.page(done.ordinal, done.position, _POINTS)
        if page is None:
            return replace(done, done=True)
        lines = lines_of(page.points)
        key = f"{_part(job.id, done.ordinal)}{done.position or _FIRST}.ndjson.gz"
        # No time in it: the same points give the same bytes.
        self._put(key, gzip.compress(lines, compresslevel=1, mtime=0))
        return replace(
            done,
            position=page.position,
            points=done.points + len(page.points),
            checksum=(done.checksum + sum(each.digest for each in page.points)) % 2**64,
        )

    def close(self, job: Job, whole: PartDone) -> str:
        key = f"exports/{job.id}/manifest.json"
        served = {name: value for name, value in asdict(job.served).items() if name not in ("stored_as", "noted")}
        manifest = {**served, "points": whole.points, "checksum": f"{whole.checksum:016x}", "parts": whole.ordinal}
        self._put(key, json.dumps(manifest, indent=2).encode())
        return f"s3://{self._bucket}/{key}"

    def manifest(self, export_id: UUID) -> Mapping[str, Any]:
        """Raises NotFound where there is no such export, or one that was never ended."""
        try:
            return dict(json.loads(self._get(f"exports/{export_id}/manifest.json")))
        except NotFound:
            raise NotFound(f"There is no whole export {export_id}.") from None

    def check(self, export_id: UUID, points: int, checksum: int) -> None:
        """Raises Conflict where what was read is not what was written."""
        manifest = self.manifest(export_id)
        if (points, f"{checksum:016x}") != (manifest["points"], manifest["checksum"]):
            raise Conflict(
                f"The export has {points} points with the checksum {checksum:016x}; its manifest says "
                f"{manifest['points']} and {manifest['checksum']}."
            )

    def next_object(self, export_id: UUID, part: int, after: str | None) -> tuple[str, bytes] | None:
        """The name of the object that follows, and its lines."""
        prefix = _part(export_id, part)
        with translated("The export is gone."):
            listed = self._client().list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=1, StartAfter=f"{prefix}{after}" if after else prefix
            )
        for found in listed.get("Contents", []):
            try:
                return found["Key"].removeprefix(prefix), gzip.decompress(self._get(found["Key"]))
            except (OSError, EOFError) as error:
                raise InvalidInput(f"The export's object {found['Key']} is damaged.") from error
        return None

    def _put(self, key: str, content: bytes) -> None:
        with translated("The bucket is gone."):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=content)

    def _get(self, key: str) -> bytes:
        with translated("The export is gone."):
            return self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()


class ExportedPoints:
    """An export as vectors.transfer.PointSource. A page is an object, whatever limit is asked for."""

    def __init__(self, exports: S3Exports, export_id: UUID) -> None:
        self._exports, self._export_id = exports, export_id

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PageOf | None:  # noqa: ARG002  # the port's
        found = self._exports.next_object(self._export_id, part, after)
        return PageOf(points_of(found[1]), found[0]) if found else None


def lines_of(points: Sequence[Stored]) -> bytes:
    """A point a line."""
    return b"".join(map(_line, points))


def points_of(lines: bytes) -> list[Stored]:
    """What `lines_of` was given."""
    return list(_points(lines))


def _part(export_id: UUID, ordinal: int) -> str:
    return f"exports/{export_id}/{ordinal:02}/"


def _line(point: Stored) -> bytes:
    said: dict[str, Any] = {
        "id": point.id,
        "payload": point.payload,
        "vector_b64": base64.b64encode(floats(point.vector)).decode(),
    }
    if point.terms is not None:
        said["terms"] = {"indices": list(point.terms.indices), "values": list(point.terms.values)}
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _points(lines: bytes) -> Iterator[Stored]:
    for line in lines.splitlines():
        said = json.loads(line)
        terms = Terms(said["terms"]["indices"], said["terms"]["values"]) if "terms" in said else None
        yield Stored(said["id"], array("f", base64.b64decode(said["vector_b64"])), said["payload"], terms)
