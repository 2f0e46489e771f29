"""The environment of the vectors functions, and the JSON settings of models and collections in it."""

from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.kit.environment import BusSettings, DatabaseSettings, NonEmpty, json_variable


class ModelSettings(BaseModel):
    """An embedding model. `size`: 256, 512 or 1,024 for Titan; any size for an OpenAI-compatible model."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["bundled", "bedrock", "openai"]
    size: Annotated[int, Field(ge=0, le=65_536)] = 0
    endpoint: str = ""
    model: str = ""

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.provider == "openai" and not (self.endpoint and self.model and self.size):
            raise ValueError("The provider openai needs endpoint, model and size.")
        if self.provider == "bedrock" and self.size not in (0, 256, 512, 1024):
            raise ValueError("The provider bedrock supports the sizes 256, 512 and 1024.")
        if self.provider == "bundled" and self.size not in (0, SentenceEmbedder.size):
            raise ValueError(f"The provider bundled supports only the size {SentenceEmbedder.size}.")
        return self


class CollectionSettings(BaseModel):
    """The settings of a collection that this environment overrides (defaults: vectors.model)."""

    model_config = ConfigDict(extra="forbid")

    quantized: StrictBool | None = None
    segments: Annotated[int, Field(ge=1, le=100)] | None = None
    on_disk: StrictBool | None = None
    shards: Annotated[int, Field(ge=1, le=1000)] | None = None
    replicas: Annotated[int, Field(ge=1, le=20)] | None = None


class EngineSettings(DatabaseSettings, BusSettings):
    qdrant_host: NonEmpty
    """Host name of Qdrant, or the IPv4 addresses of its nodes, separated by commas."""
    qdrant_grpc_port: int = 6334
    """gRPC port of Qdrant."""
    qdrant_tls: bool = True
    """Whether to connect to Qdrant with TLS."""
    qdrant_secret_arn: str = ""
    """Secret with the API key of Qdrant."""
    qdrant_shards: Annotated[int, Field(ge=1)] = 1
    """Shards of new collections."""
    qdrant_replicas: Annotated[int, Field(ge=1)] = 1
    """Replicas of new collections."""
    embedder: Literal["bundled", "bedrock"] = "bedrock"
    """Default embedding model of `message_vectors`."""
    # The first model is used for new collections. The others are used for collections that they have embedded.
    embedding_models: Annotated[
        dict[str, ModelSettings | Annotated[list[ModelSettings], Field(min_length=1, max_length=10)]],
        json_variable({}),
    ] = Field(default_factory=dict)
    """JSON: embedding models by collection."""
    embedding_secret_arn: str = ""
    """Secret with the API key of the provider openai."""
    collections: Annotated[dict[str, CollectionSettings], json_variable({})] = Field(default_factory=dict)
    """JSON: settings by collection that differ from the defaults."""
    vector_cache: Literal["on", "off"] = "on"
    """Whether searches and embeddings are cached."""


class ImportSettings(DatabaseSettings, BusSettings):
    uploads_bucket: NonEmpty
    """Bucket for uploads; in InboundMailFunction the bucket for inbound mail."""
    import_machine_arn: str = ""
    """State machine of mailbox imports."""
    vectors_import_machine_arn: str = ""
    """State machine of vector imports."""
    vectors_job_machine_arn: str = ""
    """State machine of exports and migrations."""


@cache
def engine_settings() -> EngineSettings:
    return EngineSettings.from_environment()


@cache
def import_settings() -> ImportSettings:
    return ImportSettings.from_environment()
