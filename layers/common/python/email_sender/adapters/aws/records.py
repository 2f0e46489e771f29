"""Small JSON objects in buckets that must outlive the database: seals of the audit log, and erasures.

seals/<tenant>/<sequence, 20 digits>-<mac>.json   in the bucket of audit records, under Object Lock
findings/<tenant>/<first>-<last>.ndjson.gz         in the same bucket, for a SIEM
erasures/<tenant>/<contact>.json                  beside the backups, with which they expire
"""

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.adapters.aws.errors import translate_aws_errors
from email_sender.coordination.audit_seals import Seal
from email_sender.messaging.model import RecordedErasure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNAVAILABLE = "The bucket did not respond."


class S3Records:
    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def put(self, key: str, record: dict[str, Any]) -> None:
        with translate_aws_errors(_UNAVAILABLE):
            self._client().put_object(
                Bucket=self._bucket, Key=key, Body=json.dumps(record).encode(), ContentType="application/json"
            )

    def read_versions(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield every version of every record below the prefix, also of those that were overwritten or deleted."""
        with translate_aws_errors(_UNAVAILABLE):
            pages = self._client().get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Versions", []):
                    response = self._client().get_object(
                        Bucket=self._bucket, Key=found["Key"], VersionId=found["VersionId"]
                    )
                    yield _parsed(response["Body"].read())

    def read_all(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Yield every record below the prefix, in the order of their keys."""
        with translate_aws_errors(_UNAVAILABLE):
            pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            for page in pages:
                for found in page.get("Contents", []):
                    body = self._client().get_object(Bucket=self._bucket, Key=found["Key"])["Body"]
                    yield json.loads(body.read())


class S3Seals:
    """Implements coordination.audit_seals.SealArchive."""

    def __init__(self, records: S3Records) -> None:
        self._records = records

    def put(self, tenant_id: UUID, seal: Seal) -> None:
        # The mac is in the key: a second seal of an entry is a second object, and no new version of the first.
        key = f"seals/{tenant_id}/{seal.sequence:020}-{seal.mac.hex()[:16]}.json"
        self._records.put(
            key,
            {
                "tenant_id": str(tenant_id),
                "sequence": seal.sequence,
                "hash": seal.hash.hex(),
                "mac": seal.mac.hex(),
                "sealed_at": seal.sealed_at.isoformat(),
            },
        )

    def seals(self, tenant_id: UUID) -> list[Seal]:
        # Object Lock keeps versions. Somebody may still hide one behind a newer version or a delete marker.
        return [_seal(record) for record in self._records.read_versions(f"seals/{tenant_id}/")]


def _seal(record: dict[str, Any]) -> Seal:
    """Return the seal. What is no seal becomes one that cannot be verified."""
    try:
        return Seal(
            int(record["sequence"]),
            bytes.fromhex(record["hash"]),
            bytes.fromhex(record["mac"]),
            datetime.fromisoformat(record["sealed_at"]),
        )
    except (KeyError, TypeError, ValueError):
        return Seal(0, b"", b"", datetime.min.replace(tzinfo=UTC))


class S3Erasures:
    def __init__(self, records: S3Records) -> None:
        self._records = records

    def put(self, erasure: RecordedErasure) -> None:
        self._records.put(f"erasures/{erasure.tenant_id}/{erasure.contact_id}.json", encode(erasure))

    def read_all(self) -> list[RecordedErasure]:
        return [decode(record) for record in self._records.read_all("erasures/")]


def encode(erasure: RecordedErasure) -> dict[str, str]:
    return {
        "tenant_id": str(erasure.tenant_id),
        "contact_id": str(erasure.contact_id),
        "address_hash": erasure.address_hash.hex(),
        "erased_by": erasure.erased_by,
        "erased_at": erasure.erased_at.isoformat(),
    }


def decode(record: dict[str, Any]) -> RecordedErasure:
    return RecordedErasure(
        UUID(record["tenant_id"]),
        UUID(record["contact_id"]),
        bytes.fromhex(record["address_hash"]),
        record["erased_by"],
        datetime.fromisoformat(record["erased_at"]),
    )


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


class S3Findings:
    """findings/<tenant>/<first number, 20 digits>-<last number>.ndjson.gz, for a SIEM."""

    def __init__(self, client: Callable[[], "S3Client"], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def put(self, tenant_id: UUID, first: int, last: int, findings: Sequence[dict[str, Any]]) -> None:
        body = "".join(json.dumps(finding, separators=(",", ":")) + "\n" for finding in findings).encode()
        with translate_aws_errors(_UNAVAILABLE):
            self._client().put_object(
                Bucket=self._bucket,
                Key=f"findings/{tenant_id}/{first:020}-{last:020}.ndjson.gz",
                # Without a time, so that a repeat stores the same bytes.
                Body=gzip.compress(body, mtime=0),
                ContentType="application/x-ndjson",
                ContentEncoding="gzip",
            )
