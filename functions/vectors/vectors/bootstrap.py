"""The composition root: what this area's functions are built of, once a sandbox."""

import json
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from email_sender.adapters.embeddings import BedrockEmbedder, WordLlamaEmbedder
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.breakers import BreakerStates
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.directory import Directory
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.imports import PostgresArchiveUnits, PostgresImportUnits
from email_sender.adapters.postgres.jobs import PostgresJobUnits
from email_sender.adapters.postgres.serving import PostgresGate, PostgresServed
from email_sender.adapters.postgres.unit import Units
from email_sender.adapters.postgres.vector_cache import PostgresEmbeddings, PostgresVersions
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.s3 import S3Uploads
from email_sender.adapters.stepfunctions import StepFunctionsImports, StepFunctionsJobs
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.coordination.gate import Gate
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.gate import gate_of
from email_sender.kit.resources import database, key_wrapper, platform_database, secret_text
from email_sender.kit.telemetry import cache_lookups
from email_sender.vectors.batch import BatchService
from email_sender.vectors.caching import CachedIndex, EmbeddingCache, Embeddings
from email_sender.vectors.import_model import ImportKind
from email_sender.vectors.import_work import ChunkWork, ImportSteps
from email_sender.vectors.imports import ImportService
from email_sender.vectors.jobs import JobService
from email_sender.vectors.messages import MessageWriter
from email_sender.vectors.model import Collection, collections
from email_sender.vectors.ports import Embedder, VectorIndex
from email_sender.vectors.receiving import Receiving
from email_sender.vectors.service import VectorService
from email_sender.vectors.serving import GatedIndex, Served, ServedCollections
from email_sender.vectors.settings import SettingsService

if TYPE_CHECKING:
    from email_sender.adapters.qdrant.channel import Channel
    from email_sender.adapters.qdrant.index import QdrantIndex
    from email_sender.adapters.qdrant.settings import Placement

# Of a sandbox's 1,769 MB. A tenant reads its own writes whatever the time; it bounds what a restored engine leaves.
_RESULTS_BYTES, _RESULTS_SECONDS = 64 * 1024 * 1024, 60.0
_EMBEDDINGS_BYTES, _EMBEDDINGS_SECONDS = 16 * 1024 * 1024, 3600.0


def _json(value: object) -> object:
    """An environment's variable is text; an empty one says nothing."""
    return (json.loads(value) if value else {}) if isinstance(value, str) else value


class ModelSettings(BaseModel):
    """An embedding model. `size` is chosen: 256, 512 or 1,024 of Titan's, any of an OpenAI-compatible one's."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["wordllama", "bedrock", "openai"]
    size: Annotated[int, Field(ge=0, le=65_536)] = 0
    endpoint: str = ""
    model: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider == "openai" and not (self.endpoint and self.model and self.size):
            raise ValueError("provider openai needs endpoint, model and size")
        if self.provider == "bedrock" and self.size not in (0, 256, 512, 1024):
            raise ValueError("provider bedrock gives vectors of 256, 512 or 1024")
        if self.provider == "wordllama" and self.size not in (0, WordLlamaEmbedder.size):
            raise ValueError(f"provider wordllama gives vectors of {WordLlamaEmbedder.size}")
        return self


class CollectionSettings(BaseModel):
    """What this environment has otherwise than vectors.model.collections says."""

    model_config = ConfigDict(extra="forbid")

    quantized: StrictBool | None = None
    segments: Annotated[int, Field(ge=1, le=100)] | None = None
    on_disk: StrictBool | None = None
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    replicas: Annotated[int, Field(ge=1, le=20)] | None = None


class EngineSettings(DatabaseSettings, BusSettings):
    qdrant_host: NonEmpty
    qdrant_grpc_port: int = 6334
    qdrant_tls: bool = True
    qdrant_secret_arn: str = ""
    qdrant_shards: Annotated[int, Field(ge=1)] = 1
    qdrant_replicas: Annotated[int, Field(ge=1)] = 1
    embedder: Literal["wordllama", "bedrock"] = "bedrock"
    # Of several, the first is for collections that are made anew; the others are of those that have been.
    embedding_models: Annotated[
        dict[str, ModelSettings | Annotated[list[ModelSettings], Field(min_length=1, max_length=10)]],
        BeforeValidator(_json),
    ] = Field(default_factory=dict)
    embedding_secret_arn: str = ""
    collections: Annotated[dict[str, CollectionSettings], BeforeValidator(_json)] = Field(default_factory=dict)
    vector_cache: Literal["on", "off"] = "on"


class ImportSettings(DatabaseSettings, BusSettings):
    uploads_bucket: NonEmpty
    import_machine_arn: str = ""
    vectors_import_machine_arn: str = ""
    vectors_job_machine_arn: str = ""


@cache
def engine_settings() -> EngineSettings:
    return EngineSettings.from_environment()


@cache
def import_settings() -> ImportSettings:
    return ImportSettings.from_environment()


@cache
def app_database() -> Database:
    return database(DatabaseSettings.from_environment())


@cache
def _bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), BusSettings.from_environment().event_bus)


@cache
def engine_channel() -> "Channel":
    from email_sender.adapters.qdrant.channel import Address, Channel

    settings = engine_settings()
    key = secret_text(settings.qdrant_secret_arn)
    address = Address(settings.qdrant_host, settings.qdrant_grpc_port, settings.qdrant_tls, key)
    # A pool of its own: a breaker may open while the sandbox's one connection is held.
    noted = BreakerStates(database(DatabaseSettings.from_environment()), "qdrant", str(new_id()))
    return Channel(address, told=noted)


@cache
def gated_index() -> GatedIndex:
    """The engine behind the gate of writes: for who writes much and searches nothing."""
    return GatedIndex(engine_index(), PostgresGate(app_database(), _served().forget), _served())


@cache
def index() -> VectorIndex:
    """The same with its answers remembered, where that is on."""
    gated = gated_index()
    if engine_settings().vector_cache == "off":
        return gated
    from email_sender.adapters.memory_cache import MemoryResults

    results = MemoryResults(_RESULTS_BYTES, _RESULTS_SECONDS)
    return CachedIndex(gated, results, PostgresVersions(app_database()), cache_lookups)


@cache
def engine_index() -> "QdrantIndex":
    """The engine alone: nothing is to be written through it past the gate."""
    from email_sender.adapters.qdrant.index import QdrantIndex

    return QdrantIndex(engine_channel, placement(), _served().stored_as)


@cache
def placement() -> "Placement":
    from email_sender.adapters.qdrant.settings import Placement

    return Placement(engine_settings().qdrant_shards, engine_settings().qdrant_replicas)


def _model_settings() -> dict[str, list[ModelSettings]]:
    settings = engine_settings()
    named = {"message_vectors": ModelSettings(provider=settings.embedder), **settings.embedding_models}
    return {collection: each if isinstance(each, list) else [each] for collection, each in named.items()}


@cache
def models() -> dict[str, dict[str, Embedder]]:
    """The embedding models of each collection that has some, by their ids; the first is the one it is made with."""
    return {
        collection: {made.model: made for made in map(_model, each)} for collection, each in _model_settings().items()
    }


@cache
def embeddings() -> Embeddings:
    """The models behind their caches. The bundled one answers sooner than PostgreSQL would."""
    if engine_settings().vector_cache == "off":
        return Embeddings(models())
    from email_sender.adapters.memory_cache import MemoryEmbeddings

    near, shared = MemoryEmbeddings(_EMBEDDINGS_BYTES, _EMBEDDINGS_SECONDS), PostgresEmbeddings(app_database())
    caches: dict[str, list[EmbeddingCache]] = {
        collection: [near] if all(one.provider == "wordllama" for one in each) else [near, shared]
        for collection, each in _model_settings().items()
    }
    return Embeddings(models(), caches, cache_lookups)


def _model(settings: ModelSettings) -> Embedder:
    if settings.provider == "wordllama":
        return WordLlamaEmbedder()
    if settings.provider == "bedrock":
        return BedrockEmbedder(lambda: client("bedrock-runtime"), settings.size or 256)
    from email_sender.adapters.openai_embeddings import OpenAIEmbedder

    return OpenAIEmbedder(settings.endpoint, settings.model, settings.size, _embedding_key)


@cache
def _embedding_key() -> str:
    return secret_text(engine_settings().embedding_secret_arn)


@cache
def configured_collections() -> dict[str, Collection]:
    settings = {name: each.model_dump(exclude_none=True) for name, each in engine_settings().collections.items()}
    firsts = {name: next(iter(each.values())) for name, each in models().items()}
    return dict(collections({name: (each.model, each.size) for name, each in firsts.items()}, settings))


@cache
def _served() -> ServedCollections:
    return ServedCollections(configured_collections(), PostgresServed(app_database, PLATFORM_TENANT))


def served_collections() -> ServedCollections:
    """The collections as they are served now. Asked for once an invocation: it holds still within one."""
    _served().refresh()
    return _served()


def vector_service() -> VectorService:
    served_collections()
    return _vector_service()


@cache
def _vector_service() -> VectorService:
    return VectorService(index(), embeddings(), _served(), Units(app_database(), _bus()), now, new_id)


def batch_service() -> BatchService:
    served_collections()
    return _batch_service()


@cache
def _batch_service() -> BatchService:
    return BatchService(index(), _vector_service())


@cache
def settings_service() -> SettingsService:
    return SettingsService(engine_index(), configured_collections())


@cache
def job_units() -> PostgresJobUnits:
    return PostgresJobUnits(app_database(), _bus())


@cache
def job_service() -> JobService:
    def machine() -> StepFunctionsJobs:
        return StepFunctionsJobs(lambda: client("stepfunctions"), import_settings().vectors_job_machine_arn)

    def served() -> dict[str, Served]:
        return {each.name: each for each in PostgresServed(app_database, PLATFORM_TENANT).all()}

    def sizes() -> dict[str, dict[str, int]]:
        return {collection: {name: each.size for name, each in found.items()} for collection, found in models().items()}

    return JobService(job_units(), machine, served, sizes, now)


@cache
def uploads() -> S3Uploads:
    return S3Uploads(lambda: client("s3"), import_settings().uploads_bucket)


@cache
def import_units() -> PostgresImportUnits:
    return PostgresImportUnits(app_database(), _bus())


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
    return ImportSteps(import_units(), uploads(), now, new_id)


def chunk_work() -> ChunkWork:
    served_collections()
    return _chunk_work()


@cache
def _chunk_work() -> ChunkWork:
    from email_sender.adapters.mail_text import MailTextCleaner

    return ChunkWork(_archive_units(), uploads(), MailTextCleaner(), MessageWriter(index(), _messages_model), now)


def receiving() -> Receiving:
    served_collections()
    return _receiving()


@cache
def _receiving() -> Receiving:
    from email_sender.adapters.mail_text import MailTextCleaner

    directory, writer = Directory(platform_database()), MessageWriter(index(), _messages_model)
    return Receiving(directory, _archive_units(), uploads(), MailTextCleaner(), writer, now)


@cache
def _archive_units() -> PostgresArchiveUnits:
    from email_sender.adapters.vault import PostgresVault

    vault = PostgresVault(app_database(), key_wrapper(VaultSettings.from_environment()))
    return PostgresArchiveUnits(app_database(), vault, _bus())


def _messages_model() -> Embedder:
    """The one that what is served was embedded by."""
    return embeddings().model(_served()["message_vectors"])


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(app_database(), _bus())


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(app_database())


@cache
def gate() -> Gate:
    return gate_of(app_database())
