"""A backup's manifest.json: written last, so that a backup without one is none."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from email_sender.backups.model import (
    CollectionDump,
    DatabaseDump,
    Manifest,
    PointsObject,
    StoredObject,
    Table,
)
from email_sender.errors import InvalidInput
from email_sender.vectors.model import Distance
from email_sender.vectors.serving import Served

NAME = "manifest.json"
# Of this document: another shape gets another number.
FORMAT = 1


def to_json(manifest: Manifest) -> dict[str, Any]:
    database = manifest.database
    return {
        "format": FORMAT,
        "backup_id": str(manifest.backup_id),
        "version": manifest.version,
        "started_at": manifest.started_at.isoformat(),
        "finished_at": manifest.finished_at.isoformat() if manifest.finished_at else None,
        "database": {
            "taken_at": database.taken_at.isoformat(),
            "server": database.server,
            "migrations": dict(database.migrations),
            "left_out": list(database.left_out),
            "tables": {
                name: {
                    "rows": table.rows,
                    "checksum": f"{table.checksum:016x}",
                    "columns": list(table.columns),
                    **asdict(table.stored),
                }
                for name, table in database.tables.items()
            },
        },
        "collections": {name: _collection(each) for name, each in manifest.collections.items()},
    }


def from_json(said: Mapping[str, Any]) -> Manifest:
    """Raises InvalidInput where it is not a manifest, or one of another format."""
    try:
        if said["format"] != FORMAT:
            raise InvalidInput(f"The backup has the format {said['format']}; this version reads {FORMAT}.")
        database, finished = said["database"], said["finished_at"]
        return Manifest(
            UUID(said["backup_id"]),
            str(said["version"]),
            datetime.fromisoformat(said["started_at"]),
            datetime.fromisoformat(finished) if finished else None,
            DatabaseDump(
                datetime.fromisoformat(database["taken_at"]),
                str(database["server"]),
                # By name, whatever order the document was kept in.
                dict(sorted(database["migrations"].items())),
                list(database["left_out"]),
                {name: _table(table) for name, table in sorted(database["tables"].items())},
            ),
            {name: _collection_from(name, each) for name, each in sorted(said["collections"].items())},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{NAME} is not one of a backup: {type(error).__name__} at {error}.") from error


def to_bytes(manifest: Manifest) -> bytes:
    return json.dumps(to_json(manifest), indent=1).encode()


def from_bytes(content: bytes) -> Manifest:
    """Raises InvalidInput."""
    try:
        said = json.loads(content)
    except ValueError as error:
        raise InvalidInput(f"{NAME} is not JSON.") from error
    if not isinstance(said, dict):
        raise InvalidInput(f"{NAME} is not one of a backup.")
    return from_json(said)


def summary(manifest: Manifest) -> dict[str, Any]:
    """Without the list of objects of points, which may be long."""
    said = to_json(manifest)
    for each in said["collections"].values():
        each["objects"] = []
    return said


def _collection(dumped: CollectionDump) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(dumped.served).items() if name != "name"},
        "points": dumped.points,
        "checksum": f"{dumped.checksum:016x}",
        "objects": [
            {
                "part": each.part,
                "after": each.after,
                "position": each.position,
                "points": each.points,
                "checksum": f"{each.checksum:016x}",
                **asdict(each.stored),
            }
            for each in dumped.objects
        ],
    }


def _collection_from(name: str, said: Mapping[str, Any]) -> CollectionDump:
    served = Served(
        name,
        str(said["stored_as"]),
        int(said["size"]),
        Distance(said["distance"]),
        said["model"],
        bool(said["lexical"]),
        bool(said["noted"]),
    )
    objects = [
        PointsObject(
            int(each["part"]),
            str(each["after"]),
            str(each["position"]),
            int(each["points"]),
            int(each["checksum"], 16),
            _stored(each),
        )
        for each in said["objects"]
    ]
    dumped = CollectionDump(served, objects)
    if objects and (dumped.points, dumped.checksum) != (said["points"], int(said["checksum"], 16)):
        raise InvalidInput(f"{NAME}: the objects of {name} are not what it says of them together.")
    return dumped


def _table(said: Mapping[str, Any]) -> Table:
    return Table(list(said["columns"]), int(said["rows"]), int(said["checksum"], 16), _stored(said))


def _stored(said: Mapping[str, Any]) -> StoredObject:
    """A key leads below the backup and nowhere else."""
    key = PurePosixPath(said["key"])
    if key.is_absolute() or ".." in key.parts:
        raise InvalidInput(f"{NAME} names an object outside the backup: {key}.")
    return StoredObject(str(key), int(said["bytes"]), str(said["sha256"]))


def with_objects(manifest: Manifest, objects: Mapping[str, list[PointsObject]], finished_at: datetime) -> Manifest:
    """The whole one."""
    collections = {name: replace(each, objects=objects[name]) for name, each in manifest.collections.items()}
    return replace(manifest, collections=collections, finished_at=finished_at)
