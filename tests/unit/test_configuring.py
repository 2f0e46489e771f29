"""Changes of settings: versions, rollbacks, and who is told what."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from email_sender.coordination.configuring import MAX_BYTES, Configuration, changed_paths
from email_sender.errors import Conflict, InvalidInput, NotFound, Unavailable
from email_sender.kit.settings import complete
from tests.fakes.settings import MemorySettings, MemorySettingsLog


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
        desk.config.validate({"features": {"ai_generate": {"tenants": tenants | {str(uuid4()): True}}}})


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
