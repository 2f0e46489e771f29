"""Exports in the bucket: gzipped objects of JSON lines, and a manifest that marks the export as complete.

    exports/<job>/<part>/<position>.ndjson.gz    one point per line: id, payload, vector_b64 and terms
    exports/<job>/manifest.json                  the collection's settings, the number of points and their checksum

A vector is base64 of little-endian float32, as in the API. An object is named after the position where its page begins,
so writing a page again replaces the same object.
"""

import base64
import gzip
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.s3 import translate_s3_errors
from email_sender.adapters.qdrant.packing import pack_floats
from email_sender.errors import Conflict, InvalidInput, NotFound
from email_sender.vectors.jobs.model import Job, PartProgress
from email_sender.vectors.jobs.transfer import PointPage, PointSource, StoredPoint
from email_sender.vectors.model import Terms

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Points per object. With 1,536 floats per point, an object has 10 MB.
_POINTS = 1_000
_FIRST = "0"


class S3Exports:
    """Implements vectors.jobs.ports.ExportWriter, and reads exports."""

    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def write_page(self, job: Job, progress: PartProgress, source: PointSource) -> PartProgress:
        page = source.page(progress.ordinal, progress.position, _POINTS)
        if page is None:
            return replace(progress, done=True)
        lines = encode_points(page.points)
        key = f"{_part_prefix(job.id, progress.ordinal)}{progress.position or _FIRST}.ndjson.gz"
        # No timestamp in the gzip header: the same points must produce the same bytes.
        self._put(key, gzip.compress(lines, compresslevel=1, mtime=0))
        return replace(
            progress,
            position=page.position,
            points=progress.points + len(page.points),
            checksum=(progress.checksum + sum(point.digest for point in page.points)) % 2**64,
        )

    def write_manifest(self, job: Job, total: PartProgress) -> str:
        key = f"exports/{job.id}/manifest.json"
        settings = {name: value for name, value in asdict(job.served).items() if name not in ("stored_as", "noted")}
        manifest = {**settings, "points": total.points, "checksum": f"{total.checksum:016x}", "parts": total.ordinal}
        self._put(key, json.dumps(manifest, indent=2).encode())
        return f"s3://{self._bucket}/{key}"

    def manifest(self, export_id: UUID) -> Mapping[str, Any]:
        """Return the manifest. Raises NotFound if the export does not exist or is incomplete."""
        try:
            return dict(json.loads(self._get(f"exports/{export_id}/manifest.json")))
        except NotFound:
            raise NotFound(f"The export {export_id} does not exist or is incomplete.") from None

    def verify(self, export_id: UUID, points: int, checksum: int) -> None:
        """Raises Conflict if the points that were read do not match the manifest."""
        manifest = self.manifest(export_id)
        if (points, f"{checksum:016x}") != (manifest["points"], manifest["checksum"]):
            raise Conflict(
                f"The export has {points} points with the checksum {checksum:016x}, but its manifest says "
                f"{manifest['points']} points and {manifest['checksum']}."
            )

    def next_object(self, export_id: UUID, part: int, after: str | None) -> tuple[str, bytes] | None:
        """Return the name and the lines of the object that follows `after`, or None at the end of the part."""
        prefix = _part_prefix(export_id, part)
        with translate_s3_errors("The export no longer exists."):
            listing = self._client().list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=1, StartAfter=f"{prefix}{after}" if after else prefix
            )
        for stored_object in listing.get("Contents", []):
            try:
                return stored_object["Key"].removeprefix(prefix), gzip.decompress(self._get(stored_object["Key"]))
            except (OSError, EOFError) as error:
                raise InvalidInput(f"The export's object {stored_object['Key']} is damaged.") from error
        return None

    def _put(self, key: str, content: bytes) -> None:
        with translate_s3_errors("The bucket no longer exists."):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=content)

    def _get(self, key: str) -> bytes:
        with translate_s3_errors("The export no longer exists."):
            return self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()


class ExportedPoints:
    """An export as vectors.jobs.transfer.PointSource. A page is one object, whatever the limit is."""

    def __init__(self, exports: S3Exports, export_id: UUID) -> None:
        self._exports, self._export_id = exports, export_id

    def page(self, part: int, after: str | None, limit: int, *, vectors: bool = True) -> PointPage | None:  # noqa: ARG002  # the port's
        exported_object = self._exports.next_object(self._export_id, part, after)
        return PointPage(decode_points(exported_object[1]), exported_object[0]) if exported_object else None


def encode_points(points: Sequence[StoredPoint]) -> bytes:
    """Encode points as JSON lines, one point per line."""
    return b"".join(map(_encode_point, points))


def decode_points(lines: bytes) -> list[StoredPoint]:
    """Decode the JSON lines of `encode_points`."""
    return list(_decode_lines(lines))


def _part_prefix(export_id: UUID, ordinal: int) -> str:
    return f"exports/{export_id}/{ordinal:02}/"


def _encode_point(point: StoredPoint) -> bytes:
    record: dict[str, Any] = {
        "id": point.id,
        "payload": point.payload,
        "vector_b64": base64.b64encode(pack_floats(point.vector)).decode(),
    }
    if point.terms is not None:
        record["terms"] = {"indices": list(point.terms.indices), "values": list(point.terms.values)}
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _decode_lines(lines: bytes) -> Iterator[StoredPoint]:
    for line in lines.splitlines():
        record = json.loads(line)
        terms = Terms(record["terms"]["indices"], record["terms"]["values"]) if "terms" in record else None
        yield StoredPoint(record["id"], array("f", base64.b64decode(record["vector_b64"])), record["payload"], terms)
