"""A backup's manifest.json. It is written last: a backup without a manifest is incomplete."""

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
from email_sender.vectors.served_collections import ServedCollection

NAME = "manifest.json"
# Version of this document's format. A change of its structure needs a new number.
FORMAT = 1


def to_json(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as a JSON document."""
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
                    **asdict(table.stored_object),
                }
                for name, table in database.tables.items()
            },
        },
        "collections": {name: _collection_to_json(collection) for name, collection in manifest.collections.items()},
    }


def from_json(document: Mapping[str, Any]) -> Manifest:
    """Parse a manifest. Raise InvalidInput if `document` is not a manifest or has another format."""
    try:
        if document["format"] != FORMAT:
            raise InvalidInput(f"The backup has format {document['format']}, but this version reads format {FORMAT}.")
        database, finished = document["database"], document["finished_at"]
        return Manifest(
            UUID(document["backup_id"]),
            str(document["version"]),
            datetime.fromisoformat(document["started_at"]),
            datetime.fromisoformat(finished) if finished else None,
            DatabaseDump(
                datetime.fromisoformat(database["taken_at"]),
                str(database["server"]),
                # Sorted by name: PostgreSQL does not keep the order of a JSON document.
                dict(sorted(database["migrations"].items())),
                list(database["left_out"]),
                {name: _table_from_json(table) for name, table in sorted(database["tables"].items())},
            ),
            {
                name: _collection_from_json(name, collection)
                for name, collection in sorted(document["collections"].items())
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{NAME} is not a backup manifest: {type(error).__name__} at {error}.") from error


def to_bytes(manifest: Manifest) -> bytes:
    return json.dumps(to_json(manifest), indent=1).encode()


def from_bytes(content: bytes) -> Manifest:
    """Parse the content of manifest.json. Raise InvalidInput if it is not a manifest."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise InvalidInput(f"{NAME} is not valid JSON.") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{NAME} is not a backup manifest.")
    return from_json(document)


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as JSON without its points objects, which may be many."""
    document = to_json(manifest)
    for collection in document["collections"].values():
        collection["objects"] = []
    return document


def _collection_to_json(dump: CollectionDump) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(dump.served).items() if name != "name"},
        "points": dump.points,
        "checksum": f"{dump.checksum:016x}",
        "objects": [
            {
                "part": points_object.part,
                "after": points_object.after,
                "position": points_object.position,
                "points": points_object.points,
                "checksum": f"{points_object.checksum:016x}",
                **asdict(points_object.stored_object),
            }
            for points_object in dump.objects
        ],
    }


def _collection_from_json(name: str, document: Mapping[str, Any]) -> CollectionDump:
    served = ServedCollection(
        name,
        str(document["stored_as"]),
        int(document["size"]),
        Distance(document["distance"]),
        document["model"],
        bool(document["lexical"]),
        bool(document["noted"]),
    )
    objects = [
        PointsObject(
            int(entry["part"]),
            str(entry["after"]),
            str(entry["position"]),
            int(entry["points"]),
            int(entry["checksum"], 16),
            _stored_object_from_json(entry),
        )
        for entry in document["objects"]
    ]
    dump = CollectionDump(served, objects)
    if objects and (dump.points, dump.checksum) != (document["points"], int(document["checksum"], 16)):
        raise InvalidInput(f"{NAME}: the objects of {name} do not add up to the points and checksum of the collection.")
    return dump


def _table_from_json(document: Mapping[str, Any]) -> Table:
    return Table(
        list(document["columns"]),
        int(document["rows"]),
        int(document["checksum"], 16),
        _stored_object_from_json(document),
    )


def _stored_object_from_json(document: Mapping[str, Any]) -> StoredObject:
    """Return the stored object. Raise InvalidInput if its key leads out of the backup's folder."""
    key = PurePosixPath(document["key"])
    if key.is_absolute() or ".." in key.parts:
        raise InvalidInput(f"{NAME} names an object outside the backup: {key}.")
    return StoredObject(str(key), int(document["bytes"]), str(document["sha256"]))


def with_objects(manifest: Manifest, objects: Mapping[str, list[PointsObject]], finished_at: datetime) -> Manifest:
    """Return the complete manifest."""
    collections = {
        name: replace(collection, objects=objects[name]) for name, collection in manifest.collections.items()
    }
    return replace(manifest, collections=collections, finished_at=finished_at)
