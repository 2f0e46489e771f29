"""The composition root: what this area's functions are built of, once a sandbox."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from email_sender.adapters.embeddings import BedrockEmbedder, WordLlamaEmbedder
from email_sender.adapters.eventbridge import EventBridgeBus
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.idempotency import PostgresIdempotency
from email_sender.adapters.postgres.imports import PostgresArchiveUnits, PostgresImportUnits
from email_sender.adapters.postgres.unit import Units
from email_sender.adapters.postgres.workflows import PostgresWorkflowUnits
from email_sender.adapters.s3 import S3Uploads
from email_sender.adapters.stepfunctions import StepFunctionsImports
from email_sender.kit.ambient import new_id, now
from email_sender.kit.clients import client
from email_sender.kit.config import BusSettings, DatabaseSettings, NonEmpty, VaultSettings
from email_sender.kit.resources import database, key_wrapper
from email_sender.vectors.import_model import ImportKind
from email_sender.vectors.import_work import ChunkWork, ImportSteps
from email_sender.vectors.imports import ImportService
from email_sender.vectors.model import Collection, collections
from email_sender.vectors.ports import Embedder
from email_sender.vectors.service import VectorService

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from email_sender.adapters.qdrant import QdrantIndex


class EngineSettings(DatabaseSettings, BusSettings):
    qdrant_host: NonEmpty
    qdrant_grpc_port: int = 6334
    qdrant_tls: bool = True
    qdrant_secret_arn: str = ""
    qdrant_shards: Annotated[int, Field(ge=1)] = 1
    qdrant_replicas: Annotated[int, Field(ge=1)] = 1
    embedder: Literal["wordllama", "bedrock"] = "bedrock"


class ImportSettings(DatabaseSettings, BusSettings):
    uploads_bucket: NonEmpty
    import_machine_arn: str = ""
    vectors_import_machine_arn: str = ""


@cache
def engine_settings() -> EngineSettings:
    return EngineSettings.from_environment()


@cache
def import_settings() -> ImportSettings:
    return ImportSettings.from_environment()


@cache
def _database() -> Database:
    return database(DatabaseSettings.from_environment())


@cache
def _bus() -> EventBridgeBus:
    return EventBridgeBus(lambda: client("events"), BusSettings.from_environment().event_bus)


@cache
def _qdrant() -> "QdrantClient":
    from qdrant_client import QdrantClient

    settings = engine_settings()
    key = None
    if settings.qdrant_secret_arn:
        key = client("secretsmanager").get_secret_value(SecretId=settings.qdrant_secret_arn)["SecretString"]
    return QdrantClient(
        host=settings.qdrant_host,
        grpc_port=settings.qdrant_grpc_port,
        https=settings.qdrant_tls,
        api_key=key,
        prefer_grpc=True,
        check_compatibility=False,
        timeout=3,
    )


@cache
def index() -> "QdrantIndex":
    from email_sender.adapters.qdrant import QdrantIndex

    settings = engine_settings()
    replicas = settings.qdrant_replicas
    return QdrantIndex(_qdrant, shards=settings.qdrant_shards, replicas=replicas, write_consistency=replicas // 2 + 1)


@cache
def embedder() -> Embedder:
    if engine_settings().embedder == "wordllama":
        return WordLlamaEmbedder()
    return BedrockEmbedder(lambda: client("bedrock-runtime"))


@cache
def known_collections() -> dict[str, Collection]:
    return dict(collections(embedder().model, embedder().size))


@cache
def vector_service() -> VectorService:
    return VectorService(index(), embedder(), known_collections(), Units(_database(), _bus()), now, new_id)


@cache
def uploads() -> S3Uploads:
    return S3Uploads(lambda: client("s3"), import_settings().uploads_bucket)


@cache
def import_units() -> PostgresImportUnits:
    return PostgresImportUnits(_database(), _bus())


@cache
def import_service() -> ImportService:
    def engine() -> StepFunctionsImports:
        settings = import_settings()
        machines = {
            ImportKind.MAILBOX: settings.import_machine_arn,
            ImportKind.VECTORS: settings.vectors_import_machine_arn,
        }
        return StepFunctionsImports(lambda: client("stepfunctions"), machines)

    return ImportService(import_units(), uploads(), engine, known_collections, now, new_id)


@cache
def import_steps() -> ImportSteps:
    return ImportSteps(import_units(), uploads(), now, new_id)


@cache
def chunk_work() -> ChunkWork:
    from email_sender.adapters.mail_text import MailTextCleaner
    from email_sender.adapters.vault import PostgresVault

    vault = PostgresVault(_database(), key_wrapper(VaultSettings.from_environment()))
    units = PostgresArchiveUnits(_database(), vault, _bus())
    return ChunkWork(units, uploads(), MailTextCleaner(), index(), embedder())


@cache
def workflow_units() -> PostgresWorkflowUnits:
    return PostgresWorkflowUnits(_database(), _bus())


@cache
def idempotency() -> PostgresIdempotency:
    return PostgresIdempotency(_database())
