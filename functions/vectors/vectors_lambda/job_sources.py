"""The sources of jobs: the served collection, another Qdrant or an export.

Implements vectors.jobs.ports.MigrationSources.
"""

from collections.abc import Callable, Mapping

from email_sender.adapters.files.exports import ExportedPoints, S3Exports
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.collection_engine import QdrantCollections, check_readable
from email_sender.adapters.qdrant.point_store import AdoptedPoints, QdrantPoints
from email_sender.errors import Conflict, InvalidInput
from email_sender.vectors.jobs.model import Job, Source, SourceKind
from email_sender.vectors.jobs.service import ARCHIVE_COLLECTION
from email_sender.vectors.jobs.transfer import (
    PART_COUNT,
    Converter,
    PayloadTexts,
    PointSource,
    PointTexts,
    embed_again,
    keep_vectors,
)
from email_sender.vectors.ports import Embedder
from email_sender.vectors.served_collections import ServedCollection


class JobSources:
    """`secret` reads a secret by its name. `archive` builds the texts of the mail archive, when they are needed."""

    def __init__(
        self,
        engine: QdrantCollections,
        exports: S3Exports,
        models: Mapping[str, Mapping[str, Embedder]],
        archive: Callable[[], PointTexts],
        secret: Callable[[str], str],
    ) -> None:
        self._engine, self._exports, self._models = engine, exports, models
        self._archive, self._secret = archive, secret
        self._channels: dict[Source, Channel] = {}

    def count_parts(self, job: Job) -> int:
        source = job.source
        if source.kind is SourceKind.EXPORT:
            return self._count_export_parts(job)
        if source.kind is SourceKind.QDRANT and source.text_key is None:
            check_readable(self._foreign_channel(source), source.collection or "", job.target)
        return 1 if source.tenant_id is not None else PART_COUNT

    def source_for(self, job: Job) -> PointSource:
        source = job.source
        if source.kind is SourceKind.CURRENT:
            return self._engine.points(job.served.stored_as)
        if source.kind is SourceKind.EXPORT and source.export_id is not None:
            return ExportedPoints(self._exports, source.export_id)
        name = source.collection or ""
        if source.tenant_id is None:
            return QdrantPoints(self._foreign_channel(source), name)
        return AdoptedPoints(
            QdrantPoints(self._foreign_channel(source), name, parts=1), source.tenant_id, job.collection
        )

    def converter_for(self, job: Job) -> Converter:
        source = job.source
        if source.kind is SourceKind.CURRENT:
            return self.change_converter_for(job, reverse=False)
        if source.text_key is not None:
            return embed_again(job.target, self._get_embedder(job.target), PayloadTexts(source.text_key))
        if source.export_id is None or self._exports.manifest(source.export_id)["model"] == job.target.model:
            return keep_vectors(job.target)
        return embed_again(job.target, self._get_embedder(job.target), self._archive())

    def change_converter_for(self, job: Job, *, reverse: bool) -> Converter:
        before, after = (job.target, job.served) if reverse else (job.served, job.target)
        must_reembed = job.source.text_key is not None and not reverse
        if after.model is None or (before.model == after.model and not must_reembed):
            return keep_vectors(after)
        if job.source.text_key is not None:
            return embed_again(after, self._get_embedder(after), PayloadTexts(job.source.text_key))
        texts = self._archive() if job.collection == ARCHIVE_COLLECTION else PayloadTexts("")
        return embed_again(after, self._get_embedder(after), texts)

    def verify(self, job: Job, points: int, checksum: int) -> None:
        if job.source.export_id is not None:
            self._exports.verify(job.source.export_id, points, checksum)

    def _count_export_parts(self, job: Job) -> int:
        if job.source.export_id is None:
            raise InvalidInput("The job's source names no export.")
        manifest = self._exports.manifest(job.source.export_id)
        if job.source.text_key is None:
            # The texts of messages are in the archive, so another model can embed them without a text_key.
            if job.collection != ARCHIVE_COLLECTION and manifest["model"] != job.target.model:
                raise Conflict(
                    f"The export was embedded by {manifest['model']}, not by {job.target.model}. Name the payload key "
                    "that holds the texts."
                )
            if manifest["model"] == job.target.model and manifest["size"] != job.target.size:
                raise Conflict(f"The export has vectors of {manifest['size']} dimensions instead of {job.target.size}.")
        return int(manifest["parts"])

    def _get_embedder(self, collection: ServedCollection) -> Embedder:
        embedder = self._models.get(collection.name, {}).get(collection.model or "")
        if embedder is None:
            raise Conflict(f"EMBEDDING_MODELS does not name the model {collection.model} for {collection.name}.")
        return embedder

    def _foreign_channel(self, source: Source) -> Channel:
        channel = self._channels.get(source)
        if channel is None:
            key = self._secret(source.secret) if source.secret else ""
            address = Address(source.host or "", source.port, source.tls, key)
            channel = self._channels[source] = Channel(address)
        return channel
