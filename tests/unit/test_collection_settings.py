"""Plans: what is shown, what is applied, and settings from the environment."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from email_sender.errors import Conflict, InvalidInput
from email_sender.vectors.model import collections
from email_sender.vectors.settings import SettingsService
from tests.fakes.vectors import PLAIN, WORDS, Vectors
from vectors.bootstrap import EngineSettings
from vectors.settings_schemas import PlanOut

ENVIRONMENT = {"STAGE": "test", "DATABASE_HOST": "h", "EVENT_BUS": "b", "QDRANT_HOST": "q"}


@pytest.fixture
def on() -> Iterator[Vectors]:
    made = Vectors()
    yield made
    made.channel.close()


def service(on: Vectors, **changed: Any) -> SettingsService:
    return SettingsService(on.index, {"plain": replace(PLAIN, **changed), "words": WORDS})


def test_nothing_differs_nothing_is_planned(on: Vectors) -> None:
    plan = service(on).plan()
    assert plan.changes == {}
    assert service(on).apply(plan.id).changes == {}


def test_a_plan_is_applied_and_gone(on: Vectors) -> None:
    changed = service(on, quantized=True, segments=2)
    plan = changed.plan()
    assert [(each.setting, each.wanted) for each in plan.changes["plain"]] == [("quantized", True), ("segments", 2)]
    assert changed.apply(plan.id).changes == {}
    assert service(on).plan().changes.keys() == {"plain"}


def test_what_needs_a_new_collection_is_left_and_said(on: Vectors) -> None:
    changed = service(on, shards=4, on_disk=False)
    left = PlanOut.of(changed.apply(changed.plan().id)).model_dump()
    assert left["changes"] == [
        {"collection": "plain", "setting": "shards", "stored": 1, "wanted": 4, "live": False},
    ]


def test_only_what_was_shown_is_applied(on: Vectors) -> None:
    shown = service(on, segments=2).plan()
    with pytest.raises(Conflict, match="look at the plan again"):
        service(on, segments=3).apply(shown.id)
    assert service(on, segments=2).plan().id == shown.id
    with pytest.raises(Conflict):
        service(on).apply("x" * 64)


def test_a_plans_name_is_of_its_changes(on: Vectors) -> None:
    names = {service(on, **each).plan().id for each in ({}, {"segments": 2}, {"segments": 3}, {"on_disk": False})}
    assert len(names) == 4


@pytest.mark.parametrize("text", ["", "{}"])
def test_nothing_said_is_as_the_platform_has_it(text: str) -> None:
    assert EngineSettings.from_environment({**ENVIRONMENT, "COLLECTIONS": text}).collections == {}


def test_an_environments_settings_are_laid_over() -> None:
    made = collections({}, {"document_vectors": {"shards": 6, "quantized": False}})
    assert (made["document_vectors"].shards, made["document_vectors"].quantized) == (6, False)
    assert made["task_vectors"].shards is None


@pytest.mark.parametrize(
    "said",
    [
        "[]", "{", {"document_vectors": {"size": 3}}, {"document_vectors": {"shards": 0}},
        {"document_vectors": {"segments": "2.5"}}, {"document_vectors": {"quantized": "yes"}},
    ],
)  # fmt: skip
def test_a_wrong_setting_names_the_variable(said: Any) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    with pytest.raises(InvalidInput, match="COLLECTIONS"):
        EngineSettings.from_environment({**ENVIRONMENT, "COLLECTIONS": text})


def test_a_collection_that_is_none_of_ours_is_named() -> None:
    with pytest.raises(InvalidInput, match="COLLECTIONS: there is no collection mine"):
        collections({}, {"mine": {}})
