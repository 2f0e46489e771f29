"""Settings: what is taken and what is not, who is told what, and what a sandbox sees."""

import json
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from email_sender.adapters.feature_flags import PowertoolsFeatures, rules_of
from email_sender.coordination.configuring import MAX_BYTES, Configuration, Stored, changed_paths
from email_sender.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from email_sender.kit.live_settings import KEPT_SECONDS, SettingsReader
from email_sender.kit.settings import PlatformSettings, complete, settings_of
from email_sender.kit.telemetry import logger
from email_sender.security.features import Feature, Flag, Flags, require_feature
from email_sender.strict_json import AmbiguousJson, read_unambiguous_json
from tests.fakes.settings import AT, MemorySettings, MemorySettingsLog

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


# ---- What a sandbox sees -------------------------------------------------------------------------------------------


class Sandbox:
    def __init__(self) -> None:
        self.now, self.store, self.asked = 0.0, MemorySettings(), 0
        self.taken: list[PlatformSettings] = []
        self.read = SettingsReader(self._latest, self.taken.append, lambda: self.now)

    def _latest(self) -> Stored | None:
        self.asked += 1
        return self.store.latest()

    def later(self) -> int:
        self.now += KEPT_SECONDS
        return self.read().notifications.max_an_hour


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "email_sender.kit.live_settings.logger.error",
        lambda message, **keys: lines.append({"message": message, **keys}),
    )
    return lines


def stored(limit: Any) -> str:
    return json.dumps({"notifications": {"max_an_hour": limit}})


def test_where_nothing_is_stored_the_defaults_hold_and_nobody_is_told(
    sandbox: Sandbox, said: list[dict[str, Any]]
) -> None:
    assert sandbox.read() == PlatformSettings()
    assert (said, sandbox.taken) == ([], [])


def test_it_is_read_again_after_its_seconds_and_not_before(sandbox: Sandbox) -> None:
    sandbox.store.write(stored(7))
    assert sandbox.read().notifications.max_an_hour == 7
    sandbox.store.write(stored(8))
    sandbox.now += KEPT_SECONDS - 0.1
    assert sandbox.read().notifications.max_an_hour == 7
    assert sandbox.asked == 1
    assert sandbox.later() == 8
    assert [each.notifications.max_an_hour for each in sandbox.taken] == [7, 8]


BAD: list[Callable[[MemorySettings], object]] = [
    lambda store: store.write(stored("8")),
    lambda store: store.write(stored(10**9)),
    lambda store: store.write('{"notifications": {"max_an_hour": NaN}}'),
    lambda store: store.write('{"notifications": {"max_an_hour": 8, "max_an_hour": 9}}'),
    lambda store: store.write('{"password": "hunter2"}'),
    lambda store: store.write("no json"),
    lambda store: store.write(""),
    lambda store: store.write("[" * 8_000),
    lambda store: store.write("null"),
    lambda store: setattr(store, "down", True),
    lambda store: store.versions.clear(),
]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_one_never_arrives_and_the_last_good_one_stays(
    sandbox: Sandbox, said: list[dict[str, Any]], spoil: Callable[[MemorySettings], object]
) -> None:
    sandbox.store.write(stored(7))
    assert sandbox.read().notifications.max_an_hour == 7
    spoil(sandbox.store)
    assert [sandbox.later() for _ in range(3)] == [7, 7, 7]
    assert len(said) == 1, "once, and not every fifteen seconds"
    assert said[0]["used"] == 1
    assert "hunter2" not in str(said)
    sandbox.store.down = False
    sandbox.store.versions = sandbox.store.versions or [Stored(1, "", AT)]
    sandbox.store.write(stored(9))
    assert sandbox.later() == 9
    assert len(said) == 1


@pytest.mark.parametrize("spoil", BAD)
def test_where_no_good_one_was_seen_the_defaults_hold(
    sandbox: Sandbox, said: list[dict[str, Any]], spoil: Callable[[MemorySettings], object]
) -> None:
    spoil(sandbox.store)
    assert sandbox.read() == PlatformSettings()
    assert [each["used"] for each in said] == (["the built-in defaults"] if said else [])


def test_two_different_mistakes_are_two_lines(sandbox: Sandbox, said: list[dict[str, Any]]) -> None:
    sandbox.store.write("no json")
    sandbox.read()
    sandbox.store.write(stored(0))
    sandbox.later()
    assert [each["version"] for each in said] == [1, 2]


def test_what_does_not_answer_is_not_asked_by_every_invocation(sandbox: Sandbox) -> None:
    sandbox.store.down = True
    for _ in range(100):
        sandbox.read()
    assert sandbox.asked == 1


def test_the_level_of_logs_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    from email_sender.kit import live_settings

    store = MemorySettings()
    store.write('{"logging": {"level": "WARNING"}}')
    monkeypatch.setattr(live_settings, "settings_store", lambda: store)
    live_settings._reader.cache_clear()
    before = logger.log_level
    try:
        assert live_settings.live_settings().logging.level == "WARNING"
        assert logger.log_level == logging.WARNING
    finally:
        logger.setLevel(before)
        live_settings._reader.cache_clear()


# ---- Changing them -------------------------------------------------------------------------------------------------


class Desk:
    def __init__(self, kept: int = 100) -> None:
        self.store, self.log = MemorySettings(kept), MemorySettingsLog()
        self.config = Configuration(self.store, self.log, complete)

    def change(self, limit: int, expected: int, subject: str = "olga") -> int:
        return self.config.change({"notifications": {"max_an_hour": limit}}, expected, subject).version

    def told(self) -> list[tuple[int, str, str]]:
        return [(each.details["version"], each.subject, each.action) for each in self.log.entries]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_before_the_first_change_everything_has_its_default(desk: Desk) -> None:
    assert (desk.config.current().version, desk.config.current().settings) == (0, complete({}))
    assert desk.config.history(None, 10).items == []
    assert desk.config.settle() == 0


def test_a_change_is_a_version_with_who_when_and_what(desk: Desk) -> None:
    assert desk.change(7, 0) == 1
    assert desk.change(8, 1, "otto") == 2
    second, first = desk.config.history(None, 10).items
    assert (first.version, first.by, first.changed, first.again) == (1, "olga", ["/notifications/max_an_hour"], None)
    assert (second.version, second.by, second.changed) == (2, "otto", ["/notifications/max_an_hour"])
    assert second.at > first.at
    assert desk.told() == [(1, "olga", "config.change"), (2, "otto", "config.change")]
    assert desk.log.entries[1].details["changed"] == ["/notifications/max_an_hour"]
    assert desk.log.entries[1].details["settings"] == desk.config.current().settings


def test_a_version_that_is_not_the_last_changes_nothing(desk: Desk) -> None:
    desk.change(7, 0)
    for expected in (0, 2, 99):
        with pytest.raises(Conflict, match="at version 1"):
            desk.change(8, expected)
    assert desk.store.puts == len(desk.told()) == 1


def test_a_bad_document_stores_nothing(desk: Desk) -> None:
    with pytest.raises(InvalidInput):
        desk.change(0, 0)
    assert (desk.store.puts, desk.told()) == (0, [])


def test_the_same_again_makes_no_version(desk: Desk) -> None:
    desk.change(7, 0)
    assert desk.change(7, 1) == 1
    assert (
        desk.config.change({"notifications": {"max_an_hour": 7}, "logging": {"level": "INFO"}}, 1, "otto").version == 1
    )
    assert desk.store.puts == len(desk.told()) == 1


def test_who_asks_again_because_the_answer_got_lost_is_given_it(desk: Desk) -> None:
    assert desk.change(7, 0) == 1
    assert desk.change(7, 0) == 1
    with pytest.raises(Conflict):
        desk.change(7, 0, "otto")
    assert desk.store.puts == 1


def test_what_is_more_than_the_store_takes_is_refused(desk: Desk) -> None:
    tenants = {str(UUID(int=number)): False for number in range(150)}
    with pytest.raises(InvalidInput, match=f"at most {MAX_BYTES}"):
        desk.config.validate({"features": {name: {"tenants": tenants} for name in ("ai_generate", "http_request")}})
    desk.config.validate({"features": {"ai_generate": {"tenants": tenants}}})
    with pytest.raises(InvalidInput):
        desk.config.validate({"features": {"ai_generate": {"tenants": tenants | {str(ACME): True}}}})


def test_a_rollback_is_a_new_version_with_what_the_old_one_said(desk: Desk) -> None:
    desk.change(7, 0)
    desk.change(8, 1)
    brought = desk.config.roll_back(1, "otto")
    assert (brought.version, brought.settings["notifications"]["max_an_hour"]) == (3, 7)
    assert desk.config.history(None, 1).items[0].again == 1
    assert desk.told()[-1] == (3, "otto", "config.rollback")
    assert desk.log.entries[-1].details["again"] == 1
    assert desk.config.roll_back(3, "otto").version == 3, "it is what is there"
    for unknown in (4, 99):
        with pytest.raises(NotFound):
            desk.config.roll_back(unknown, "otto")


def test_a_version_that_does_not_fit_any_more_does_not_come_back(desk: Desk) -> None:
    desk.store.write('{"notifications": {"max_an_hour": 7, "of_last_year": 1}}')
    desk.change(8, 1)
    with pytest.raises(Conflict, match="/notifications/of_last_year: There is no such setting"):
        desk.config.roll_back(1, "otto")
    desk.store.write("no json")
    with pytest.raises(Conflict, match="no JSON"):
        desk.config.roll_back(3, "otto")
    assert [each.valid for each in desk.config.history(None, 10).items] == [False, True, False]


def test_what_was_stored_past_us_and_does_not_fit_is_shown_and_can_be_put_right(desk: Desk) -> None:
    desk.store.write('{"health": {"outbox_late_seconds": 1}}', "arn:someone")
    seen = desk.config.current()
    assert (seen.version, seen.settings) == (1, complete({}))
    assert [each.pointer for each in seen.problems] == ["/health/outbox_late_seconds"]
    assert desk.change(7, 1) == 2
    assert desk.config.current().problems == ()
    assert desk.told() == [(1, "arn:someone", "config.change"), (2, "olga", "config.change")]
    assert ["settings" in each.details for each in desk.log.entries] == [False, True], "who knows what it held"


class Killed(BaseException):
    pass


def test_a_death_between_the_version_and_its_telling_loses_nothing(desk: Desk) -> None:
    desk.change(7, 0)
    desk.store.dies = Killed()
    with pytest.raises(Killed):
        desk.change(8, 1, "otto")
    assert len(desk.told()) == 1
    assert desk.config.settle() == 1
    assert desk.told()[1:] == [(2, "otto", "config.change")]
    assert desk.config.settle() == 0
    # Or by the next change, whoever makes it; each under its own name, in their order.
    desk.store.dies = Killed()
    with pytest.raises(Killed):
        desk.config.roll_back(1, "otto")
    desk.change(9, 3, "olga")
    assert desk.told()[2:] == [(3, "otto", "config.rollback"), (4, "olga", "config.change")]


def test_one_whose_answer_was_lost_asks_again_and_is_told_once(desk: Desk) -> None:
    desk.store.dies = Unavailable("It took it, and its answer was lost.")
    with pytest.raises(Unavailable):
        desk.change(7, 0)
    assert desk.change(7, 0) == 1
    assert desk.told() == [(1, "olga", "config.change")]


def test_a_parameter_that_begins_anew_is_told_from_its_beginning(desk: Desk) -> None:
    for number in range(3):
        desk.change(number + 1, number)
    desk.store.versions.clear()
    assert desk.change(7, 0) == 1
    assert [each[0] for each in desk.told()] == [1, 2, 3, 1]


def test_the_history_has_pages_and_says_where_it_does_not_know_what_was_before() -> None:
    desk = Desk(kept=3)
    for number in range(5):
        desk.change(number + 1, number)
    first = desk.config.history(None, 2)
    assert [each.version for each in first.items] == [5, 4]
    assert first.next_cursor == "4"
    (oldest,) = desk.config.history(4, 2).items
    assert (oldest.version, oldest.changed) == (3, None)
    with pytest.raises(NotFound, match="not kept any more"):
        desk.config.roll_back(1, "olga")


def test_while_the_store_does_not_answer_nothing_is_told(desk: Desk) -> None:
    desk.store.down = True
    for ask in (
        desk.config.current,
        desk.config.settle,
        lambda: desk.change(7, 0),
        lambda: desk.config.roll_back(1, "o"),
    ):
        with pytest.raises(Unavailable):
            ask()
    assert desk.told() == []


def test_a_difference_is_a_list_of_places() -> None:
    assert changed_paths({}, {}) == []
    assert changed_paths({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d/~": None}) == ["/a/b", "/d~1~0"]
    assert changed_paths({"a": {}}, {"a": {"b": 1}}) == ["/a/b"]
    assert changed_paths({"a": {"b": 1}}, {"a": {}}) == ["/a/b"]
    assert changed_paths({}, {"a": {}}) == ["/a"]
    assert changed_paths("no json", {"a": 1}) == ["", "/a"]
    deep: Any = 1
    for _ in range(2_000):
        deep = {"a": deep}
    assert changed_paths({}, deep) == ["/a" * 8]
    assert len(changed_paths({}, {str(number): 1 for number in range(500)})) == 50
