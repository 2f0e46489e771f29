"""Tests for plans that change collection settings, and for settings read from the environment."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from email_sender.errors import Conflict, InvalidInput
from email_sender.vectors.collection_settings import SettingsService
from email_sender.vectors.model import build_collections
from tests.fakes.vectors import PLAIN, WORDS, VectorScenario
from vectors_lambda.bootstrap.settings import EngineSettings
from vectors_lambda.http.schemas.collection_settings import PlanOut

ENVIRONMENT = {"STAGE": "test", "DATABASE_HOST": "h", "EVENT_BUS": "b", "QDRANT_HOST": "q"}


@pytest.fixture
def vectors() -> Iterator[VectorScenario]:
    scenario = VectorScenario()
    yield scenario
    scenario.channel.close()


def service(vectors: VectorScenario, **overrides: Any) -> SettingsService:
    return SettingsService(vectors.index, {"plain": replace(PLAIN, **overrides), "words": WORDS})


def test_a_plan_without_differences_is_empty(vectors: VectorScenario) -> None:
    plan = service(vectors).plan()
    assert plan.changes == {}
    assert service(vectors).apply(plan.id).changes == {}


def test_an_applied_plan_leaves_no_changes(vectors: VectorScenario) -> None:
    changed_service = service(vectors, quantized=True, segments=2)
    plan = changed_service.plan()
    assert [(change.setting, change.wanted) for change in plan.changes["plain"]] == [
        ("quantized", True),
        ("segments", 2),
    ]
    assert changed_service.apply(plan.id).changes == {}
    assert service(vectors).plan().changes.keys() == {"plain"}


def test_a_setting_that_needs_a_new_collection_stays_in_the_plan(vectors: VectorScenario) -> None:
    changed_service = service(vectors, shards=4, on_disk=False)
    remaining_plan = PlanOut.of(changed_service.apply(changed_service.plan().id)).model_dump()
    assert remaining_plan["changes"] == [
        {"collection": "plain", "setting": "shards", "stored": 1, "wanted": 4, "live": False},
    ]


def test_only_the_plan_that_was_shown_can_be_applied(vectors: VectorScenario) -> None:
    shown_plan = service(vectors, segments=2).plan()
    with pytest.raises(Conflict, match="Get the plan again"):
        service(vectors, segments=3).apply(shown_plan.id)
    assert service(vectors, segments=2).plan().id == shown_plan.id
    with pytest.raises(Conflict):
        service(vectors).apply("x" * 64)


def test_a_plans_id_depends_on_its_changes(vectors: VectorScenario) -> None:
    plan_ids = {
        service(vectors, **overrides).plan().id
        for overrides in ({}, {"segments": 2}, {"segments": 3}, {"on_disk": False})
    }
    assert len(plan_ids) == 4


@pytest.mark.parametrize("text", ["", "{}"])
def test_without_collection_settings_the_defaults_apply(text: str) -> None:
    assert EngineSettings.from_environment({**ENVIRONMENT, "COLLECTIONS": text}).collections == {}


def test_collection_settings_in_the_environment_override_the_defaults() -> None:
    configured_collections = build_collections({}, {"document_vectors": {"shards": 6, "quantized": False}})
    assert (
        configured_collections["document_vectors"].shards,
        configured_collections["document_vectors"].quantized,
    ) == (6, False)
    assert configured_collections["task_vectors"].shards is None


@pytest.mark.parametrize(
    "value",
    [
        "[]", "{", {"document_vectors": {"size": 3}}, {"document_vectors": {"shards": 0}},
        {"document_vectors": {"segments": "2.5"}}, {"document_vectors": {"quantized": "yes"}},
    ],
)  # fmt: skip
def test_an_invalid_setting_is_rejected_with_the_variable_name(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(InvalidInput, match="COLLECTIONS"):
        EngineSettings.from_environment({**ENVIRONMENT, "COLLECTIONS": text})


def test_an_unknown_collection_is_named_in_the_error() -> None:
    with pytest.raises(InvalidInput, match="COLLECTIONS names the unknown collection mine"):
        build_collections({}, {"mine": {}})
