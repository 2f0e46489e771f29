"""Settings: what is taken and what is not, and flags."""

from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.feature_flags import PowertoolsFeatures, rules_of
from email_sender.errors import Forbidden, InvalidInput
from email_sender.kit.settings import PlatformSettings, complete, settings_of
from email_sender.security.features import Feature, Flag, Flags, require_feature
from email_sender.strict_json import AmbiguousJson, read_unambiguous_json

ACME, GLOBEX = UUID("01930000-0000-7000-8000-00000000000a"), UUID("01930000-0000-7000-8000-00000000000b")


def pointers(document: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        settings_of(document)
    return [each.pointer for each in refused.value.problems]


def test_nothing_said_is_a_document_and_every_default_is_within_its_own_bounds() -> None:
    assert settings_of({}) == PlatformSettings()
    assert settings_of(complete({})) == PlatformSettings()
    assert complete({})["notifications"] == {"quiet_minutes": 15, "max_an_hour": 30, "kept_days": 90}


BOUNDS = {
    "/notifications/quiet_minutes": (1, 1_440),
    "/notifications/max_an_hour": (1, 1_000),
    "/notifications/kept_days": (1, 3_650),
    "/events/kept_months": (1, 120),
    "/failed_events/parked_after": (1, 100),
    "/failed_events/kept_days": (1, 3_650),
    "/failed_events/redriven_kept_days": (1, 3_650),
    "/health/outbox_late_seconds": (60, 86_400),
    "/health/clock_late_seconds": (90, 86_400),
}


def one(pointer: str, value: Any) -> dict[str, Any]:
    _, section, name = pointer.split("/")
    return {section: {name: value}}


def test_every_number_has_its_bounds() -> None:
    numbers = {
        f"/{section}/{name}"
        for section, values in complete({}).items()
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    assert numbers == BOUNDS.keys()
    for pointer, (low, high) in BOUNDS.items():
        for good in (low, high):
            settings_of(one(pointer, good))
        for bad in (low - 1, high + 1):
            assert pointers(one(pointer, bad)) == [pointer]


@pytest.mark.parametrize(
    "ugly",
    [
        None,
        True,
        "15",
        "",
        15.0,
        15.5,
        float("nan"),
        float("inf"),
        -1,
        0,
        10**30,
        [15],
        {},
        "\uff11\uff15",
        b"15",
        "15\0",
    ],
)
def test_what_is_no_such_number_is_refused_where_it_stands(ugly: Any) -> None:
    for pointer in BOUNDS:
        refused = pointers(one(pointer, ugly))
        assert refused == [pointer]


@pytest.mark.parametrize("ugly", [None, [], "text", 5, True, [["logging", {}]]])
def test_what_is_no_document_or_no_section_is_refused(ugly: Any) -> None:
    assert pointers(ugly) == [""]
    for section in PlatformSettings.model_fields:
        assert pointers({section: ugly}) == [f"/{section}"]


@pytest.mark.parametrize("level", ["debug", "info", "INFO ", 20, None, "TRACE", "\u0406NFO"])
def test_a_level_is_one_of_three(level: Any) -> None:
    assert pointers({"logging": {"level": level}}) == ["/logging/level"]


@pytest.mark.parametrize("ugly", ["true", 1, 0, None, "off", []])
def test_a_flag_is_true_or_false(ugly: Any) -> None:
    assert pointers({"features": {"ai_generate": {"default": ugly}}}) == ["/features/ai_generate/default"]
    refused = pointers({"features": {"ai_generate": {"tenants": {str(ACME): ugly}}}})
    assert refused == [f"/features/ai_generate/tenants/{ACME}"]


@pytest.mark.parametrize(
    "tenant", ["", "acme", str(ACME).upper(), f"{{{ACME}}}", ACME.hex, f"urn:uuid:{ACME}", f"{ACME}\n", f" {ACME}"]
)
def test_a_tenant_has_one_spelling(tenant: str) -> None:
    """Two would be two answers for one tenant."""
    assert pointers({"features": {"n8n_import": {"tenants": {tenant: False}}}})[0].startswith(
        "/features/n8n_import/tenants/"
    )


@pytest.mark.parametrize(
    "name",
    ["password", "smtp_password", "secret", "client_secret", "token", "api_key", "apiKey", "API-KEY", "key",
     "signing_key", "credentials", "passphrase", "private_key"],
)  # fmt: skip
@pytest.mark.parametrize("section", [None, "logging", "features"])
def test_what_looks_like_a_secret_is_refused_and_its_value_is_in_no_message(name: str, section: str | None) -> None:
    document: dict[str, Any] = {name: "hunter2-of-course"}
    with pytest.raises(InvalidInput) as refused:
        settings_of({section: document} if section else document)
    (problem,) = refused.value.problems
    assert problem.pointer == (f"/{section}/{name}" if section else f"/{name}")
    assert "Secrets Manager" in problem.message
    assert "hunter2" not in str(refused.value) + problem.message


def test_another_unknown_name_is_said_to_be_one() -> None:
    with pytest.raises(InvalidInput, match="no such setting"):
        settings_of({"loging": {}})
    assert pointers({"a/b~c": 1, "x" * 500: 1}) == ["/a~1b~0c", "/" + "x" * 100]


def test_several_mistakes_are_named_at_once() -> None:
    document = {"health": {"outbox_late_seconds": 1}, "logging": {"level": "loud"}, "nope": 1}
    assert sorted(pointers(document)) == ["/health/outbox_late_seconds", "/logging/level", "/nope"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "a": 1}', AmbiguousJson),
        (b'{"x": {"a": 1, "b": 2, "a": 3}}', AmbiguousJson),
        (b'{"a": 1, "\\u0061": 2}', AmbiguousJson),
        (b"NaN", ValueError),
        (b'{"a": Infinity}', ValueError),
        (b'{"a": -Infinity}', ValueError),
        ('{"a": "é"}'.encode("utf-16"), ValueError),
        ('{"a": "é"}'.encode("latin-1"), ValueError),
        (b'\xef\xbb\xbf{"a": 1}', ValueError),
        (b"", ValueError),
        (b"[" * 200_000, ValueError),
        (b'{"a": 1} {}', ValueError),
        (b"{'a': 1}", ValueError),
    ],
)
def test_json_that_could_be_read_in_two_ways_is_not_read(text: bytes, said: type[Exception]) -> None:
    with pytest.raises(said):
        read_unambiguous_json(text)


def test_json_that_is_plain_is_read() -> None:
    assert read_unambiguous_json('{"a": {"a": [1, {"a": "é"}]}}'.encode()) == {"a": {"a": [1, {"a": "é"}]}}


# ---- Features ------------------------------------------------------------------------------------------------------


def features(**flags: Flag) -> PowertoolsFeatures:
    known = {Feature(name): flag for name, flag in flags.items()}
    return PowertoolsFeatures(lambda: known)


def test_a_flag_is_its_default_but_for_the_tenants_that_are_named() -> None:
    off = features(ai_generate=Flag(False, {str(ACME): True}), n8n_import=Flag(True, {str(ACME): False}))
    assert off.enabled(Feature.AI_GENERATE, ACME)
    assert not off.enabled(Feature.AI_GENERATE, GLOBEX)
    assert not off.enabled(Feature.N8N_IMPORT, ACME)
    assert off.enabled(Feature.N8N_IMPORT, GLOBEX)
    assert off.enabled(Feature.HTTP_REQUEST, ACME), "one that nobody said anything of"
    both = features(ai_generate=Flag(True, {str(ACME): False, str(GLOBEX): True}))
    assert [both.enabled(Feature.AI_GENERATE, each) for each in (ACME, GLOBEX, UUID(int=1))] == [False, True, True]


def test_every_feature_is_a_setting_and_every_setting_a_feature() -> None:
    assert set(complete({})["features"]) == {each.value for each in Feature}
    assert settings_of({}).flags == {each: Flag() for each in Feature}


def test_a_refusal_names_the_feature() -> None:
    off = features(n8n_import=Flag(False))
    with pytest.raises(Forbidden, match="n8n_import is not enabled for this tenant"):
        require_feature(off, Feature.N8N_IMPORT, ACME)
    require_feature(off, Feature.AI_GENERATE, ACME)


def test_the_rules_are_made_and_checked_once_for_what_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def counted(flags: Flags) -> dict[str, Any]:
        made.append(flags)
        return rules_of(flags)

    monkeypatch.setattr("email_sender.adapters.feature_flags.rules_of", counted)
    settings = [settings_of({})]
    asked = PowertoolsFeatures(lambda: settings[0].flags)
    for _ in range(3):
        assert asked.enabled(Feature.AI_GENERATE, ACME)
    assert len(made) == 1
    settings[0] = settings_of({"features": {"ai_generate": {"default": False}}})
    assert not asked.enabled(Feature.AI_GENERATE, ACME)
    assert len(made) == 2
