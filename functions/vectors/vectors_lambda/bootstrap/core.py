"""Composition root of the vectors functions. Each object is built once per execution environment."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

from email_sender.adapters.aws.eventbridge import EventBridgeBus
from email_sender.adapters.aws.s3 import S3Unpacker, S3Uploads
from email_sender.adapters.aws.step_functions import StepFunctionsImports, StepFunctionsJobs
from email_sender.adapters.models.bedrock_embeddings import BedrockEmbedder
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.adapters.postgres.archive import PostgresArchiveUnits
from email_sender.adapters.postgres.breakers import CircuitBreakerStates
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.deleted_contacts import PostgresDeletedContacts
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.adapters.postgres.message_candidates import PostgresCandidates, PostgresPassages
from email_sender.adapters.postgres.quotas import check_stored_vectors
from email_sender.adapters.postgres.served_collections import PostgresServedCollectionStore, PostgresWriteLock
from email_sender.adapters.postgres.unit_of_work import Units
from email_sender.adapters.postgres.vector_cache import PostgresEmbeddings, PostgresVersions
from email_sender.adapters.postgres.vector_jobs import PostgresJobUnits
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.archive.mailbox_import import ImportSteps
from email_sender.archive.message_index import COLLECTION, MessageWriter
from email_sender.coordination.events import PLATFORM_TENANT, EventFactory
from email_sender.coordination.manager_gate import ManagerGate
from email_sender.kit.aws_clients import client, slow_client
from email_sender.kit.denials import Denials
from email_sender.kit.environment import BusSettings, DatabaseSettings, VaultSettings
from email_sender.kit.resources import database, key_wrapper, manager_gate, secret_text
from email_sender.kit.system_clock import new_id, now
from email_sender.kit.telemetry import count_cache_lookups
from email_sender.vectors.batch import BatchService
from email_sender.vectors.cache import CachedSearch, EmbeddingCache, Embeddings
from email_sender.vectors.collection_settings import SettingsService
from email_sender.vectors.imports.deletions import ContactCleaner
from email_sender.vectors.imports.model import ImportKind
from email_sender.vectors.imports.service import ImportService
from email_sender.vectors.jobs.service import JobService
from email_sender.vectors.model import Collection, build_collections
from email_sender.vectors.ports import Embedder, PointSearch
from email_sender.vectors.served_collections import CollectionCatalogue, LockingWriter, ServedCollection
from email_sender.vectors.service import VectorService
from email_sender.vectors.stored_quota import QuotaWriter
from vectors_lambda.bootstrap.settings import ModelSettings, engine_settings, import_settings

if TYPE_CHECKING:
    from email_sender.adapters.postgres.vault import PostgresVault
    from email_sender.adapters.qdrant.channel import Channel
    from email_sender.adapters.qdrant.collection_settings import Placement
    from email_sender.adapters.qdrant.tenant_points import QdrantIndex
    from email_sender.archive.search.message_search import MessageSearch

# Cache sizes, out of the 1,769 MB of the function. Write versions keep results current; the time limit covers an engine
# that was restored from a backup.
_RESULTS_BYTES, _RESULTS_SECONDS = 64 * 1024 * 1024, 60.0
# How long a model may take for one text.
_EMBEDDING_SECONDS = 20
_EMBEDDINGS_BYTES, _EMBEDDINGS_SECONDS = 16 * 1024 * 1024, 3600.0


@cache
def app_database() -> Database:
    return database(DatabaseSettings.from_environment())


@cache
def bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), BusSettings.from_environment().event_bus)


@cache
def engine_channel() -> "Channel":
    from email_sender.adapters.qdrant.channel import Address, Channel

    settings = engine_settings()
    key = secret_text(settings.qdrant_secret_arn)
    address = Address(settings.qdrant_host, settings.qdrant_grpc_port, settings.qdrant_tls, key)
    # A separate pool: the breaker may open while the only connection of the shared pool is in use.
    breaker_states = CircuitBreakerStates(database(DatabaseSettings.from_environment()), "qdrant", str(new_id()))
    return Channel(address, on_state_change=breaker_states)


@cache
def point_writer() -> LockingWriter:
    """Return the writer of points. Its writes hold the write lock."""
    return LockingWriter(engine_index(), PostgresWriteLock(app_database(), _catalogue().invalidate), _catalogue())


@cache
def client_writer() -> QuotaWriter:
    """Return the writer for what clients insert, which counts towards their quota. Mail is stored in any case."""

    def count(tenant_id: UUID) -> int:
        return sum(engine_index().count(tenant_id, collection) for collection in configured_collections())

    def check(tenant_id: UUID, stored: int, added: int) -> int:
        with Units(app_database(), bus())(tenant_id) as unit:
            allowed = check_stored_vectors(unit, stored, added)
            unit.commit()
        return allowed

    return QuotaWriter(point_writer(), count, check)


@cache
def point_search() -> PointSearch:
    """Return the search, with a cache of results if the cache is on."""
    if engine_settings().vector_cache == "off":
        return engine_index()
    from email_sender.adapters.memory_cache import MemoryResultCache

    results = MemoryResultCache(_RESULTS_BYTES, _RESULTS_SECONDS)
    return CachedSearch(engine_index(), results, PostgresVersions(app_database()), count_cache_lookups)


@cache
def engine_index() -> "QdrantIndex":
    """Return the engine's index without the write lock. Do not write points through it."""
    from email_sender.adapters.qdrant.tenant_points import QdrantIndex

    return QdrantIndex(engine_channel, placement(), _catalogue().stored_as)


@cache
def placement() -> "Placement":
    from email_sender.adapters.qdrant.collection_settings import Placement

    return Placement(engine_settings().qdrant_shards, engine_settings().qdrant_replicas)


def _model_settings() -> dict[str, list[ModelSettings]]:
    settings = engine_settings()
    settings_by_collection = {"message_vectors": ModelSettings(provider=settings.embedder), **settings.embedding_models}
    return {
        collection: model_settings if isinstance(model_settings, list) else [model_settings]
        for collection, model_settings in settings_by_collection.items()
    }


@cache
def models() -> dict[str, dict[str, Embedder]]:
    """Return the embedding models of each collection, by model id. The first model is used for new collections."""
    return {
        collection: {embedder.model: embedder for embedder in map(build_model, model_settings)}
        for collection, model_settings in _model_settings().items()
    }


@cache
def embeddings() -> Embeddings:
    """Return the models behind their caches. Vectors of the bundled model, which costs nothing, are not shared."""
    if engine_settings().vector_cache == "off":
        return Embeddings(models())
    from email_sender.adapters.memory_cache import MemoryEmbeddingCache

    local_cache, shared_cache = (
        MemoryEmbeddingCache(_EMBEDDINGS_BYTES, _EMBEDDINGS_SECONDS),
        PostgresEmbeddings(app_database()),
    )
    caches: dict[str, list[EmbeddingCache]] = {
        collection: [local_cache]
        if all(settings.provider == "bundled" for settings in model_settings)
        else [local_cache, shared_cache]
        for collection, model_settings in _model_settings().items()
    }
    return Embeddings(models(), caches, count_cache_lookups)


def build_model(settings: ModelSettings) -> Embedder:
    if settings.provider == "bundled":
        return SentenceEmbedder()
    if settings.provider == "bedrock":
        return BedrockEmbedder(lambda: slow_client("bedrock-runtime", _EMBEDDING_SECONDS), settings.size or 256)
    from email_sender.adapters.models.openai_embeddings import OpenAIEmbedder

    return OpenAIEmbedder(settings.endpoint, settings.model, settings.size, _embedding_key)


@cache
def _embedding_key() -> str:
    return secret_text(engine_settings().embedding_secret_arn)


@cache
def configured_collections() -> dict[str, Collection]:
    settings = {
        name: collection_settings.model_dump(exclude_none=True)
        for name, collection_settings in engine_settings().collections.items()
    }
    first_models = {name: next(iter(embedders.values())) for name, embedders in models().items()}
    return dict(
        build_collections({name: (embedder.model, embedder.size) for name, embedder in first_models.items()}, settings)
    )


@cache
def _catalogue() -> CollectionCatalogue:
    return CollectionCatalogue(configured_collections(), PostgresServedCollectionStore(app_database, PLATFORM_TENANT))


def served_collections() -> CollectionCatalogue:
    """Return the collections as served now. Call this once per invocation: it refreshes a catalogue shared by all."""
    _catalogue().refresh()
    return _catalogue()


def vector_service() -> VectorService:
    served_collections()
    return _vector_service()


@cache
def _vector_service() -> VectorService:
    return VectorService(
        client_writer(),
        engine_index(),
        point_search(),
        embeddings(),
        _catalogue(),
        Units(app_database(), bus()),
        now,
        new_id,
        {COLLECTION: _message_search()},
    )


@cache
def _message_search() -> "MessageSearch":
    from email_sender.archive.search.message_search import MessageSearch

    candidates = PostgresCandidates(app_database(), vault())
    return MessageSearch(point_search(), embeddings(), candidates, _passages(), now)


@cache
def _passages() -> PostgresPassages:
    return PostgresPassages(app_database())


@cache
def message_writer() -> MessageWriter:
    return MessageWriter(point_writer(), _passages(), _message_embedder)


def batch_service() -> BatchService:
    served_collections()
    return _batch_service()


@cache
def _batch_service() -> BatchService:
    return BatchService(client_writer(), engine_index(), _vector_service())


@cache
def settings_service() -> SettingsService:
    return SettingsService(engine_index(), configured_collections())


@cache
def job_units() -> PostgresJobUnits:
    return PostgresJobUnits(app_database(), bus())


@cache
def job_service() -> JobService:
    def machine() -> StepFunctionsJobs:
        return StepFunctionsJobs(lambda: client("stepfunctions"), import_settings().vectors_job_machine_arn)

    def read_served() -> dict[str, ServedCollection]:
        return {
            collection.name: collection
            for collection in PostgresServedCollectionStore(app_database, PLATFORM_TENANT).all()
        }

    def sizes() -> dict[str, dict[str, int]]:
        return {
            collection: {name: embedder.size for name, embedder in embedders.items()}
            for collection, embedders in models().items()
        }

    return JobService(job_units(), machine, read_served, sizes, now)


@cache
def uploads() -> S3Uploads:
    return S3Uploads(lambda: client("s3"), import_settings().uploads_bucket)


@cache
def import_units() -> PostgresImportUnits:
    return PostgresImportUnits(app_database(), bus())


@cache
def import_service() -> ImportService:
    def engine() -> StepFunctionsImports:
        settings = import_settings()
        machines = {
            ImportKind.MAILBOX: settings.import_machine_arn,
            ImportKind.VECTORS: settings.vectors_import_machine_arn,
        }
        return StepFunctionsImports(lambda: client("stepfunctions"), machines)

    return ImportService(import_units(), uploads(), engine, served_collections, now, new_id)


@cache
def import_steps() -> ImportSteps:
    return ImportSteps(import_units(), uploads(), S3Unpacker(uploads()), now, new_id)


@cache
def contact_cleaner() -> ContactCleaner:
    return ContactCleaner(PostgresDeletedContacts(app_database()), _LazyPoints(), uploads(), now)


class _LazyPoints:
    """Connects to the engine only if there is something to delete: most sweeps find nothing."""

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[UUID]) -> None:
        point_writer().delete(tenant_id, collection, ids)


@cache
def archive_units() -> PostgresArchiveUnits:
    return PostgresArchiveUnits(app_database(), vault(), bus())


@cache
def vault() -> "PostgresVault":
    from email_sender.adapters.postgres.vault import PostgresVault

    return PostgresVault(app_database(), key_wrapper(VaultSettings.from_environment()))


def _message_embedder() -> Embedder:
    """Return the model that embedded the served message collection."""
    return embeddings().model(_catalogue()["message_vectors"])


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(app_database(), bus(), vault())


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(app_database())


@cache
def denials() -> Denials:
    return Denials(Units(app_database(), bus()), EventFactory("security", now, new_id), now)


@cache
def gate() -> ManagerGate:
    return manager_gate(app_database())
