"""Tests for changing the settings: versions, rollbacks, and the audit entries about them."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.coordination.configuration import MAX_BYTES, Configuration, changed_paths
from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.platform_settings import with_defaults
from tests.fakes.settings import MemorySettings, MemorySettingsLog


class SettingsScenario:
    def __init__(self, max_versions: int = 100) -> None:
        self.store, self.log = MemorySettings(max_versions), MemorySettingsLog()
        self.config = Configuration(self.store, self.log, with_defaults)

    def change(self, limit: int, expected_version: int, subject: str = "olga") -> int:
        return self.config.change({"notifications": {"max_an_hour": limit}}, expected_version, subject).version

    def audited_changes(self) -> list[tuple[int, str, str]]:
        return [(entry.details["version"], entry.subject, entry.action) for entry in self.log.entries]


@pytest.fixture
def scenario() -> SettingsScenario:
    return SettingsScenario()


def test_the_defaults_apply_before_the_first_change(scenario: SettingsScenario) -> None:
    assert (scenario.config.current().version, scenario.config.current().settings) == (0, with_defaults({}))
    assert scenario.config.history(None, 10).items == []
    assert scenario.config.audit_pending_versions() == 0


def test_a_change_stores_a_version_with_its_author_time_and_changed_paths(scenario: SettingsScenario) -> None:
    assert scenario.change(7, 0) == 1
    assert scenario.change(8, 1, "otto") == 2
    second, first = scenario.config.history(None, 10).items
    assert (first.version, first.by, first.changed, first.restored_version) == (
        1,
        "olga",
        ["/notifications/max_an_hour"],
        None,
    )
    assert (second.version, second.by, second.changed) == (2, "otto", ["/notifications/max_an_hour"])
    assert second.at > first.at
    assert scenario.audited_changes() == [(1, "olga", "config.change"), (2, "otto", "config.change")]
    assert scenario.log.entries[1].details["changed"] == ["/notifications/max_an_hour"]
    assert scenario.log.entries[1].details["settings"] == scenario.config.current().settings


def test_a_change_of_an_outdated_version_is_rejected(scenario: SettingsScenario) -> None:
    scenario.change(7, 0)
    for expected_version in (0, 2, 99):
        with pytest.raises(Conflict, match="at version 1"):
            scenario.change(8, expected_version)
    assert scenario.store.puts == len(scenario.audited_changes()) == 1


def test_an_invalid_document_is_not_stored(scenario: SettingsScenario) -> None:
    with pytest.raises(InvalidInput):
        scenario.change(0, 0)
    assert (scenario.store.puts, scenario.audited_changes()) == (0, [])


def test_an_identical_change_stores_no_version(scenario: SettingsScenario) -> None:
    scenario.change(7, 0)
    assert scenario.change(7, 1) == 1
    assert (
        scenario.config.change({"notifications": {"max_an_hour": 7}, "logging": {"level": "INFO"}}, 1, "otto").version
        == 1
    )
    assert scenario.store.puts == len(scenario.audited_changes()) == 1


def test_a_repeated_change_whose_response_was_lost_succeeds(scenario: SettingsScenario) -> None:
    assert scenario.change(7, 0) == 1
    assert scenario.change(7, 0) == 1
    with pytest.raises(Conflict):
        scenario.change(7, 0, "otto")
    assert scenario.store.puts == 1


def test_a_document_over_the_size_limit_is_rejected(scenario: SettingsScenario) -> None:
    tenants = {str(UUID(int=number)): False for number in range(150)}
    with pytest.raises(InvalidInput, match=f"At most {MAX_BYTES}"):
        scenario.config.validate({"features": {name: {"tenants": tenants} for name in ("ai_generate", "http_request")}})
    scenario.config.validate({"features": {"ai_generate": {"tenants": tenants}}})
    with pytest.raises(InvalidInput):
        scenario.config.validate({"features": {"ai_generate": {"tenants": tenants | {str(uuid4()): True}}}})


def test_a_rollback_stores_the_older_document_as_a_new_version(scenario: SettingsScenario) -> None:
    scenario.change(7, 0)
    scenario.change(8, 1)
    restored_settings = scenario.config.roll_back(1, "otto")
    assert (restored_settings.version, restored_settings.settings["notifications"]["max_an_hour"]) == (3, 7)
    assert scenario.config.history(None, 1).items[0].restored_version == 1
    assert scenario.audited_changes()[-1] == (3, "otto", "config.rollback")
    assert scenario.log.entries[-1].details["again"] == 1
    assert scenario.config.roll_back(3, "otto").version == 3, "version 3 is already the current one"
    for unknown in (4, 99):
        with pytest.raises(NotFound):
            scenario.config.roll_back(unknown, "otto")


def test_an_older_version_that_is_no_longer_valid_cannot_be_restored(scenario: SettingsScenario) -> None:
    scenario.store.write('{"notifications": {"max_an_hour": 7, "of_last_year": 1}}')
    scenario.change(8, 1)
    with pytest.raises(Conflict, match="/notifications/of_last_year: `of_last_year` is not a known field"):
        scenario.config.roll_back(1, "otto")
    scenario.store.write("no json")
    with pytest.raises(Conflict, match="not valid JSON"):
        scenario.config.roll_back(3, "otto")
    assert [version.valid for version in scenario.config.history(None, 10).items] == [False, True, False]


def test_an_invalid_version_stored_outside_the_api_is_shown_and_can_be_replaced(scenario: SettingsScenario) -> None:
    scenario.store.write('{"health": {"outbox_late_seconds": 1}}', "arn:someone")
    current = scenario.config.current()
    assert (current.version, current.settings) == (1, with_defaults({}))
    assert [problem.pointer for problem in current.problems] == ["/health/outbox_late_seconds"]
    assert scenario.change(7, 1) == 2
    assert scenario.config.current().problems == ()
    assert scenario.audited_changes() == [(1, "arn:someone", "config.change"), (2, "olga", "config.change")]
    assert ["settings" in entry.details for entry in scenario.log.entries] == [False, True], "it may hold a secret"


class Killed(BaseException):
    pass


def test_a_crash_between_storing_and_auditing_a_version_loses_no_entry(scenario: SettingsScenario) -> None:
    scenario.change(7, 0)
    scenario.store.dies = Killed()
    with pytest.raises(Killed):
        scenario.change(8, 1, "otto")
    assert len(scenario.audited_changes()) == 1
    assert scenario.config.audit_pending_versions() == 1
    assert scenario.audited_changes()[1:] == [(2, "otto", "config.change")]
    assert scenario.config.audit_pending_versions() == 0
    # The next change also writes the missing entry, each under its own author and in order.
    scenario.store.dies = Killed()
    with pytest.raises(Killed):
        scenario.config.roll_back(1, "otto")
    scenario.change(9, 3, "olga")
    assert scenario.audited_changes()[2:] == [(3, "otto", "config.rollback"), (4, "olga", "config.change")]


def test_a_repeated_change_after_a_lost_response_is_audited_once(scenario: SettingsScenario) -> None:
    scenario.store.dies = Unavailable("The response was lost after the write.")
    with pytest.raises(Unavailable):
        scenario.change(7, 0)
    assert scenario.change(7, 0) == 1
    assert scenario.audited_changes() == [(1, "olga", "config.change")]


def test_a_recreated_parameter_is_audited_from_its_first_version(scenario: SettingsScenario) -> None:
    for number in range(3):
        scenario.change(number + 1, number)
    scenario.store.versions.clear()
    assert scenario.change(7, 0) == 1
    assert [change[0] for change in scenario.audited_changes()] == [1, 2, 3, 1]


def test_the_history_is_paged_and_marks_versions_without_a_known_predecessor() -> None:
    small_scenario = SettingsScenario(max_versions=3)
    for number in range(5):
        small_scenario.change(number + 1, number)
    first = small_scenario.config.history(None, 2)
    assert [version.version for version in first.items] == [5, 4]
    assert first.next_cursor == "4"
    (oldest,) = small_scenario.config.history(4, 2).items
    assert (oldest.version, oldest.changed) == (3, None)
    with pytest.raises(NotFound, match="no longer stored"):
        small_scenario.config.roll_back(1, "olga")


def test_nothing_is_audited_while_the_store_is_unavailable(scenario: SettingsScenario) -> None:
    scenario.store.down = True
    for operation in (
        scenario.config.current,
        scenario.config.audit_pending_versions,
        lambda: scenario.change(7, 0),
        lambda: scenario.config.roll_back(1, "o"),
    ):
        with pytest.raises(Unavailable):
            operation()
    assert scenario.audited_changes() == []


def test_changed_paths_are_json_pointers_to_the_differences() -> None:
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
