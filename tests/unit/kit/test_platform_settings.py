"""Tests for the document of platform settings and for feature flags."""

from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.feature_flags import PowertoolsFeatures, rules_of
from email_sender.errors import Forbidden, InvalidInput
from email_sender.kit.platform_settings import PlatformSettings, parse_settings, with_defaults
from email_sender.security.features import Feature, Flag, Flags, require_feature
from email_sender.strict_json import AmbiguousJson, read_unambiguous_json

ACME, GLOBEX = UUID("01930000-0000-7000-8000-00000000000a"), UUID("01930000-0000-7000-8000-00000000000b")


def pointers(document: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        parse_settings(document)
    return [problem.pointer for problem in caught.value.problems]


def test_an_empty_document_is_valid_and_every_default_is_within_its_bounds() -> None:
    assert parse_settings({}) == PlatformSettings()
    assert parse_settings(with_defaults({})) == PlatformSettings()
    assert with_defaults({})["notifications"] == {"quiet_minutes": 15, "max_an_hour": 30, "kept_days": 90}


BOUNDS = {
    "/notifications/quiet_minutes": (1, 1_440),
    "/notifications/max_an_hour": (1, 1_000),
    "/notifications/kept_days": (1, 3_650),
    "/mail/temporary_bounces": (1, 50),
    "/mail/temporary_bounce_days": (1, 3_650),
    "/mail/automatic_emails_an_hour": (1, 1_000),
    "/events/kept_months": (1, 120),
    "/failed_events/parked_after": (1, 100),
    "/failed_events/kept_days": (1, 3_650),
    "/failed_events/redriven_kept_days": (1, 3_650),
    "/health/outbox_late_seconds": (60, 86_400),
    "/health/clock_late_seconds": (90, 86_400),
}


def document_with(pointer: str, value: Any) -> dict[str, Any]:
    _, section, name = pointer.split("/")
    return {section: {name: value}}


def test_every_number_has_bounds() -> None:
    numbers = {
        f"/{section}/{name}"
        for section, values in with_defaults({}).items()
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    assert numbers == BOUNDS.keys()
    for pointer, (low, high) in BOUNDS.items():
        for good in (low, high):
            parse_settings(document_with(pointer, good))
        for bad in (low - 1, high + 1):
            assert pointers(document_with(pointer, bad)) == [pointer]


@pytest.mark.parametrize(
    "invalid_value",
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
def test_a_value_that_is_not_a_valid_number_is_rejected_at_its_path(invalid_value: Any) -> None:
    for pointer in BOUNDS:
        rejected_pointers = pointers(document_with(pointer, invalid_value))
        assert rejected_pointers == [pointer]


@pytest.mark.parametrize("invalid_value", [None, [], "text", 5, True, [["logging", {}]]])
def test_an_invalid_document_or_section_is_rejected(invalid_value: Any) -> None:
    assert pointers(invalid_value) == [""]
    for section in PlatformSettings.model_fields:
        assert pointers({section: invalid_value}) == [f"/{section}"]


@pytest.mark.parametrize("level", ["debug", "info", "INFO ", 20, None, "TRACE", "\u0406NFO"])
def test_an_unknown_log_level_is_rejected(level: Any) -> None:
    assert pointers({"logging": {"level": level}}) == ["/logging/level"]


@pytest.mark.parametrize("invalid_value", ["true", 1, 0, None, "off", []])
def test_a_flag_that_is_not_a_boolean_is_rejected(invalid_value: Any) -> None:
    assert pointers({"features": {"ai_generate": {"default": invalid_value}}}) == ["/features/ai_generate/default"]
    rejected_pointers = pointers({"features": {"ai_generate": {"tenants": {str(ACME): invalid_value}}}})
    assert rejected_pointers == [f"/features/ai_generate/tenants/{ACME}"]


@pytest.mark.parametrize(
    "tenant", ["", "acme", str(ACME).upper(), f"{{{ACME}}}", ACME.hex, f"urn:uuid:{ACME}", f"{ACME}\n", f" {ACME}"]
)
def test_a_tenant_id_has_only_one_spelling(tenant: str) -> None:
    """Two spellings could give one tenant two values."""
    assert pointers({"features": {"n8n_import": {"tenants": {tenant: False}}}})[0].startswith(
        "/features/n8n_import/tenants/"
    )


@pytest.mark.parametrize(
    "name",
    ["password", "smtp_password", "secret", "client_secret", "token", "api_key", "apiKey", "API-KEY", "key",
     "signing_key", "credentials", "passphrase", "private_key"],
)  # fmt: skip
@pytest.mark.parametrize("section", [None, "logging", "features"])
def test_a_key_that_looks_like_a_secret_is_rejected_and_its_value_is_in_no_message(
    name: str, section: str | None
) -> None:
    document: dict[str, Any] = {name: "hunter2-of-course"}
    with pytest.raises(InvalidInput) as caught:
        parse_settings({section: document} if section else document)
    (problem,) = caught.value.problems
    assert problem.pointer == (f"/{section}/{name}" if section else f"/{name}")
    assert "Secrets Manager" in problem.message
    assert "hunter2" not in str(caught.value) + problem.message


def test_an_unknown_setting_is_rejected_by_its_name() -> None:
    with pytest.raises(InvalidInput, match="is not a known field"):
        parse_settings({"loging": {}})
    assert pointers({"a/b~c": 1, "x" * 500: 1}) == ["/a~1b~0c", "/" + "x" * 100]


def test_several_mistakes_are_reported_at_once() -> None:
    document = {"health": {"outbox_late_seconds": 1}, "logging": {"level": "loud"}, "nope": 1}
    assert sorted(pointers(document)) == ["/health/outbox_late_seconds", "/logging/level", "/nope"]


@pytest.mark.parametrize(
    ("text", "error_type"),
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
def test_ambiguous_json_is_rejected(text: bytes, error_type: type[Exception]) -> None:
    with pytest.raises(error_type):
        read_unambiguous_json(text)


def test_plain_json_is_read() -> None:
    assert read_unambiguous_json('{"a": {"a": [1, {"a": "é"}]}}'.encode()) == {"a": {"a": [1, {"a": "é"}]}}


# ---- Features ------------------------------------------------------------------------------------------------------


def features(**flags: Flag) -> PowertoolsFeatures:
    flags_by_feature = {Feature(name): flag for name, flag in flags.items()}
    return PowertoolsFeatures(lambda: flags_by_feature)


def test_a_flag_has_its_default_except_for_the_listed_tenants() -> None:
    feature_flags = features(ai_generate=Flag(False, {str(ACME): True}), n8n_import=Flag(True, {str(ACME): False}))
    assert feature_flags.enabled(Feature.AI_GENERATE, ACME)
    assert not feature_flags.enabled(Feature.AI_GENERATE, GLOBEX)
    assert not feature_flags.enabled(Feature.N8N_IMPORT, ACME)
    assert feature_flags.enabled(Feature.N8N_IMPORT, GLOBEX)
    assert feature_flags.enabled(Feature.HTTP_REQUEST, ACME), "a feature without a flag is enabled"
    tenant_flags = features(ai_generate=Flag(True, {str(ACME): False, str(GLOBEX): True}))
    assert [tenant_flags.enabled(Feature.AI_GENERATE, tenant) for tenant in (ACME, GLOBEX, UUID(int=1))] == [
        False,
        True,
        True,
    ]


def test_every_feature_is_a_setting_and_every_setting_a_feature() -> None:
    assert set(with_defaults({})["features"]) == {feature.value for feature in Feature}
    assert parse_settings({}).flags == {feature: Flag() for feature in Feature}


def test_a_disabled_feature_is_refused_by_its_name() -> None:
    feature_flags = features(n8n_import=Flag(False))
    with pytest.raises(Forbidden, match="n8n_import is not enabled for this tenant"):
        require_feature(feature_flags, Feature.N8N_IMPORT, ACME)
    require_feature(feature_flags, Feature.AI_GENERATE, ACME)


def test_the_flag_rules_are_built_once_while_the_settings_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    converted_flags: list[object] = []

    def counting_rules_of(flags: Flags) -> dict[str, Any]:
        converted_flags.append(flags)
        return rules_of(flags)

    monkeypatch.setattr("email_sender.adapters.feature_flags.rules_of", counting_rules_of)
    settings = [parse_settings({})]
    feature_flags = PowertoolsFeatures(lambda: settings[0].flags)
    for _ in range(3):
        assert feature_flags.enabled(Feature.AI_GENERATE, ACME)
    assert len(converted_flags) == 1
    settings[0] = parse_settings({"features": {"ai_generate": {"default": False}}})
    assert not feature_flags.enabled(Feature.AI_GENERATE, ACME)
    assert len(converted_flags) == 2
