"""Tests for choosing the embedding model of each collection through the environment."""

import json
from typing import Any

import pytest

from email_sender.errors import InvalidInput
from email_sender.vectors.model import build_collections
from vectors_lambda.bootstrap.settings import EngineSettings, ModelSettings

ENVIRONMENT = {"STAGE": "test", "DATABASE_HOST": "h", "EVENT_BUS": "b", "QDRANT_HOST": "q"}
OPENAI = {"provider": "openai", "endpoint": "https://models.example/v1", "model": "small", "size": 768}


def settings(models: Any) -> EngineSettings:
    text = models if isinstance(models, str) else json.dumps(models)
    return EngineSettings.from_environment({**ENVIRONMENT, "EMBEDDING_MODELS": text})


@pytest.mark.parametrize("text", ["", "{}"])
def test_without_configured_models_there_are_none(text: str) -> None:
    assert settings(text).embedding_models == {}


def test_the_settings_of_a_model_are_read() -> None:
    model = settings({"document_vectors": OPENAI}).embedding_models["document_vectors"]
    assert isinstance(model, ModelSettings)
    assert (model.provider, model.size, model.endpoint, model.model) == ("openai", 768, OPENAI["endpoint"], "small")


def test_a_collection_that_changes_its_model_lists_both() -> None:
    bedrock = {"provider": "bedrock", "size": 512}
    listed_models = settings({"message_vectors": [bedrock, {"provider": "bundled"}]}).embedding_models[
        "message_vectors"
    ]
    assert isinstance(listed_models, list)
    assert [(model.provider, model.size) for model in listed_models] == [("bedrock", 512), ("bundled", 0)]


@pytest.mark.parametrize(
    "models",
    [
        {"message_vectors": []}, {"message_vectors": [{"provider": "magic"}]},
        "{", "[]", "3", {"document_vectors": {}}, {"document_vectors": {"provider": "magic"}},
        {"document_vectors": {**OPENAI, "size": 0}}, {"document_vectors": {**OPENAI, "endpoint": ""}},
        {"document_vectors": {**OPENAI, "key": "sk-1"}}, {"message_vectors": {"provider": "bedrock", "size": 300}},
        {"message_vectors": {"provider": "bundled", "size": 64}},
        {"message_vectors": {"provider": "bedrock", "size": -1}},
    ],
)  # fmt: skip
def test_an_invalid_model_is_rejected_with_the_variable_name(models: Any) -> None:
    with pytest.raises(InvalidInput, match="EMBEDDING_MODELS"):
        settings(models)


def test_a_collection_with_a_model_accepts_texts_and_is_lexical() -> None:
    configured_collections = build_collections({"message_vectors": ("m", 1024), "document_vectors": ("d", 768)})
    assert (configured_collections["message_vectors"].size, configured_collections["message_vectors"].lexical) == (
        1024,
        True,
    )
    assert (configured_collections["document_vectors"].model, configured_collections["document_vectors"].lexical) == (
        "d",
        True,
    )
    assert (configured_collections["task_vectors"].model, configured_collections["task_vectors"].lexical) == (
        None,
        False,
    )


def test_a_collection_has_the_size_of_its_model() -> None:
    assert build_collections({"document_vectors": ("d", 256)})["document_vectors"].size == 256


def test_a_model_for_an_unknown_collection_is_rejected() -> None:
    with pytest.raises(InvalidInput, match="EMBEDDING_MODELS"):
        build_collections({"more": ("m", 1)})
