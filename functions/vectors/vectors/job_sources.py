"""What a migration's points come from, and how they are made into its target's. Implements job_steps.Sources."""

from collections.abc import Callable, Mapping

from email_sender.adapters.exports import ExportedPoints, S3Exports
from email_sender.adapters.qdrant.channel import Address, Channel
from email_sender.adapters.qdrant.copying import QdrantCopying, check_readable
from email_sender.adapters.qdrant.points import AdoptedPoints, QdrantPoints
from email_sender.errors import Conflict, InvalidInput
from email_sender.vectors.job_model import Job, Source, SourceKind
from email_sender.vectors.jobs import ARCHIVED
from email_sender.vectors.ports import Embedder
from email_sender.vectors.serving import Served
from email_sender.vectors.transfer import (
    PARTS,
    Convert,
    PayloadTexts,
    PointSource,
    Texts,
    embed_again,
    keep_vectors,
)


class JobSources:
    """`secret` reads a secret by its name; `archive` is built where messages are embedded anew."""

    def __init__(
        self,
        engine: QdrantCopying,
        exports: S3Exports,
        models: Mapping[str, Mapping[str, Embedder]],
        archive: Callable[[], Texts],
        secret: Callable[[str], str],
    ) -> None:
        self._engine, self._exports, self._models = engine, exports, models
        self._archive, self._secret = archive, secret
        self._channels: dict[Source, Channel] = {}

    def parts(self, job: Job) -> int:
        source = job.source
        if source.kind is SourceKind.EXPORT:
            return self._parts_of_export(job)
        if source.kind is SourceKind.QDRANT and source.text_key is None:
            check_readable(self._foreign(source), source.collection or "", job.target)
        return 1 if source.tenant_id is not None else PARTS

    def of(self, job: Job) -> PointSource:
        source = job.source
        if source.kind is SourceKind.CURRENT:
            return self._engine.points(job.served.stored_as)
        if source.kind is SourceKind.EXPORT and source.export_id is not None:
            return ExportedPoints(self._exports, source.export_id)
        name = source.collection or ""
        if source.tenant_id is None:
            return QdrantPoints(self._foreign(source), name)
        return AdoptedPoints(QdrantPoints(self._foreign(source), name, parts=1), source.tenant_id, job.collection)

    def convert(self, job: Job) -> Convert:
        source = job.source
        if source.kind is SourceKind.CURRENT:
            return self.convert_served(job, back=False)
        if source.text_key is not None:
            return embed_again(job.target, self._model(job.target), PayloadTexts(source.text_key))
        if source.export_id is None or self._exports.manifest(source.export_id)["model"] == job.target.model:
            return keep_vectors(job.target)
        return embed_again(job.target, self._model(job.target), self._archive())

    def convert_served(self, job: Job, *, back: bool) -> Convert:
        before, after = (job.target, job.served) if back else (job.served, job.target)
        again = job.source.text_key is not None and not back
        if after.model is None or (before.model == after.model and not again):
            return keep_vectors(after)
        if job.source.text_key is not None:
            return embed_again(after, self._model(after), PayloadTexts(job.source.text_key))
        texts = self._archive() if job.collection == ARCHIVED else PayloadTexts("")
        return embed_again(after, self._model(after), texts)

    def check(self, job: Job, points: int, checksum: int) -> None:
        if job.source.export_id is not None:
            self._exports.check(job.source.export_id, points, checksum)

    def _parts_of_export(self, job: Job) -> int:
        if job.source.export_id is None:
            raise InvalidInput("No export is named.")
        manifest = self._exports.manifest(job.source.export_id)
        if job.source.text_key is None:
            # Of messages the archive has the texts, where the model is another.
            if job.collection != ARCHIVED and manifest["model"] != job.target.model:
                raise Conflict(
                    f"The export was embedded by {manifest['model']}, and {job.target.model} is wanted: name the "
                    "payload's key that holds the texts."
                )
            if manifest["model"] == job.target.model and manifest["size"] != job.target.size:
                raise Conflict(f"The export has vectors of {manifest['size']}, not {job.target.size}.")
        return int(manifest["parts"])

    def _model(self, served: Served) -> Embedder:
        found = self._models.get(served.name, {}).get(served.model or "")
        if found is None:
            raise Conflict(f"EMBEDDING_MODELS does not name {served.model} of {served.name}.")
        return found

    def _foreign(self, source: Source) -> Channel:
        found = self._channels.get(source)
        if found is None:
            key = self._secret(source.secret) if source.secret else ""
            address = Address(source.host or "", source.port, source.tls, key)
            found = self._channels[source] = Channel(address)
        return found
