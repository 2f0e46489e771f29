"""Restore the collections of a backup into an empty engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from email_sender.adapters.files.backup_points import BackupPointSource
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections
from email_sender.adapters.qdrant.collection_settings import Placement
from email_sender.backups.model import CollectionDump, NotRestorable
from email_sender.vectors.jobs.model import PartProgress
from email_sender.vectors.jobs.service import ARCHIVE_COLLECTION, total_progress
from email_sender.vectors.jobs.transfer import (
    PART_COUNT,
    Converter,
    PointTexts,
    StoredPoint,
    Transfer,
    embed_again,
    keep_vectors,
)
from email_sender.vectors.model import build_collections
from email_sender.vectors.served_collections import ServedCollection
from local.backups.backup_folder import BackupFolder, Report

# The embedding model of the local cloud.
_MODEL = SentenceEmbedder()


@dataclass(frozen=True, slots=True)
class _Conversion:
    """How to restore a collection. `points_without_text` returns ids that cannot be embedded: no text is stored."""

    collection: ServedCollection
    convert: Converter
    points_without_text: Callable[[Sequence[StoredPoint]], frozenset[str]] = lambda _points: frozenset()


def load(
    channel: Channel,
    folder: BackupFolder,
    collection_dumps: Mapping[str, CollectionDump],
    archive: PointTexts,
    report: Report,
) -> list[ServedCollection]:
    """Restore each collection under its former name in the engine. Return the served collections.

    If the local cloud lacks the model of the message collection, its texts from `archive` are embedded again. Another
    collection with a missing model keeps its vectors, but no longer embeds texts.

    Raises:
        NotRestorable: the restored points do not match the manifest.
    """
    conversions = {
        name: _conversion_for(collection_dump.served, archive) for name, collection_dump in collection_dumps.items()
    }
    models = {
        name: (conversion.collection.model, conversion.collection.size)
        for name, conversion in conversions.items()
        if conversion.collection.model
    }
    engine = QdrantCollections(lambda: channel, build_collections(models), Placement())
    for name, conversion in conversions.items():
        left_out = _load(engine, folder, collection_dumps[name], conversion)
        model_note = (
            ""
            if conversion.collection == collection_dumps[name].served
            else f", now with the model {conversion.collection.model}"
        )
        report(f"Restored {collection_dumps[name].points - left_out} points of {name}{model_note}")
        if left_out:
            report(f"Left out {left_out} points of {name}: the backup has no text for them")
    return [conversion.collection for conversion in conversions.values()]


def _conversion_for(collection: ServedCollection, archive: PointTexts) -> _Conversion:
    if collection.model in (None, _MODEL.model):
        return _Conversion(collection, keep_vectors(collection))
    if collection.name != ARCHIVE_COLLECTION:
        without_model = replace(collection, model=None, lexical=False)
        return _Conversion(without_model, keep_vectors(without_model))
    reembedded = replace(collection, model=_MODEL.model, size=_MODEL.size, lexical=True)

    def points_without_text(points: Sequence[StoredPoint]) -> frozenset[str]:
        return frozenset(point.id for point in points) - archive.texts_of(points).keys()

    return _Conversion(reembedded, embed_again(reembedded, _MODEL, archive), points_without_text)


def _load(
    engine: QdrantCollections, folder: BackupFolder, collection_dump: CollectionDump, conversion: _Conversion
) -> int:
    """Restore one collection. Return how many points were left out."""
    engine.create_if_missing(conversion.collection)
    target = engine.points(conversion.collection.stored_as)
    transfer = Transfer(
        BackupPointSource(folder, collection_dump.objects), target, conversion.convert, conversion.collection
    )
    written = _all_parts(transfer.copy)
    compared = _all_parts(lambda part: transfer.compare(part, conversion.points_without_text))
    left_out = written.failed if conversion.collection != collection_dump.served else 0
    counts = (written.points, compared.points, target.count(), compared.failed)
    if counts != (collection_dump.points - left_out, collection_dump.points, collection_dump.points - left_out, 0):
        raise NotRestorable(
            f"{collection_dump.served.name} has {counts[2]} of {collection_dump.points} points: "
            f"{written.reason or compared.reason}"
        )
    engine.alias(conversion.collection)
    return left_out


def _all_parts(work: Callable[[PartProgress], PartProgress]) -> PartProgress:
    parts = []
    for ordinal in range(PART_COUNT):
        part = PartProgress(ordinal)
        while not part.done:
            part = work(part)
        parts.append(part)
    return total_progress(parts)
