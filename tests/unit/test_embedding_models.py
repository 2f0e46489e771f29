"""Which collection has which embedding model: from the environment to the collections."""

import json
from typing import Any

import pytest

from email_sender.errors import InvalidInput
from email_sender.vectors.model import collections
from vectors.bootstrap import EngineSettings, ModelSettings

ENVIRONMENT = {"STAGE": "test", "DATABASE_HOST": "h", "EVENT_BUS": "b", "QDRANT_HOST": "q"}
OPENAI = {"provider": "openai", "endpoint": "https://models.example/v1", "model": "small", "size": 768}


def settings(models: Any) -> EngineSettings:
    text = models if isinstance(models, str) else json.dumps(models)
    return EngineSettings.from_environment({**ENVIRONMENT, "EMBEDDING_MODELS": text})


@pytest.mark.parametrize("text", ["", "{}"])
def test_nothing_said_is_no_models_of_their_own(text: str) -> None:
    assert settings(text).embedding_models == {}


def test_a_model_is_read() -> None:
    read = settings({"document_vectors": OPENAI}).embedding_models["document_vectors"]
    assert isinstance(read, ModelSettings)
    assert (read.provider, read.size, read.endpoint, read.model) == ("openai", 768, OPENAI["endpoint"], "small")


def test_a_collection_on_its_way_to_another_model_names_both() -> None:
    bedrock = {"provider": "bedrock", "size": 512}
    read = settings({"message_vectors": [bedrock, {"provider": "wordllama"}]}).embedding_models["message_vectors"]
    assert isinstance(read, list)
    assert [(each.provider, each.size) for each in read] == [("bedrock", 512), ("wordllama", 0)]


@pytest.mark.parametrize(
    "models",
    [
        {"message_vectors": []}, {"message_vectors": [{"provider": "magic"}]},
        "{", "[]", "3", {"document_vectors": {}}, {"document_vectors": {"provider": "magic"}},
        {"document_vectors": {**OPENAI, "size": 0}}, {"document_vectors": {**OPENAI, "endpoint": ""}},
        {"document_vectors": {**OPENAI, "key": "sk-1"}}, {"message_vectors": {"provider": "bedrock", "size": 300}},
        {"message_vectors": {"provider": "wordllama", "size": 64}},
        {"message_vectors": {"provider": "bedrock", "size": -1}},
    ],
)  # fmt: skip
def test_what_is_wrong_names_the_variable(models: Any) -> None:
    with pytest.raises(InvalidInput, match="EMBEDDING_MODELS"):
        settings(models)


def test_a_collection_with_a_model_takes_texts_and_keeps_words() -> None:
    made = collections({"message_vectors": ("m", 1024), "document_vectors": ("d", 768)})
    assert (made["message_vectors"].size, made["message_vectors"].lexical) == (1024, True)
    assert (made["document_vectors"].model, made["document_vectors"].lexical) == ("d", True)
    assert (made["task_vectors"].model, made["task_vectors"].lexical) == (None, False)


def test_a_models_size_is_its_collections() -> None:
    assert collections({"document_vectors": ("d", 256)})["document_vectors"].size == 256


def test_a_model_of_no_collection_is_refused() -> None:
    with pytest.raises(InvalidInput, match="EMBEDDING_MODELS"):
        collections({"more": ("m", 1)})
