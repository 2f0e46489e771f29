"""Settings over PostgreSQL and Parameter Store's own API: operators at once, a death in between, writing past us."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws
from psycopg.errors import InsufficientPrivilege

from email_sender.adapters.postgres.audit import PostgresAudit
from email_sender.adapters.postgres.settings import settings_units
from email_sender.adapters.ssm import SsmSettings
from email_sender.coordination.configuring import OBJECT, Configuration
from email_sender.coordination.events import PLATFORM_TENANT
from email_sender.errors import Conflict, Unavailable
from email_sender.kit.live_settings import SettingsReader
from email_sender.kit.settings import complete
from tests.database import Cluster


class Office:
    """What an operator has. `url`: where a Parameter Store answers, if not moto's."""

    def __init__(self, cluster: Cluster, url: str | None) -> None:
        self.client: Any = boto3.client("ssm", region_name="us-east-1", endpoint_url=url)
        self.name = f"/email-sender/{uuid4().hex}/settings"
        self.store = SsmSettings(lambda: self.client, self.name)
        self.units = settings_units(cluster.database("platform", size=8))
        self.config = Configuration(self.store, self.units, complete)
        self._log = PostgresAudit(cluster.database("app"))
        # Entries of tests before are none of this parameter's, and are older than all it will have.
        self._before = {each["sequence"] for each in self._entries()}

    def _entries(self) -> list[dict[str, Any]]:
        found = self._log.page(PLATFORM_TENANT, None, 200).items
        return [dict(each) for each in found if each["object"] == OBJECT]

    def told(self) -> list[tuple[int, str, str]]:
        entries = [each for each in reversed(self._entries()) if each["sequence"] not in self._before]
        return [(each["details"]["version"], each["subject"], each["action"]) for each in entries]

    def whole(self) -> bool:
        return self._log.broken_at(PLATFORM_TENANT) is None

    def change(self, limit: int, expected: int, subject: str = "olga") -> int:
        return self.config.change({"notifications": {"max_an_hour": limit}}, expected, subject).version

    def by_hand(self, text: str) -> None:
        self.client.put_parameter(Name=self.name, Value=text, Type="String", Overwrite=True)


@pytest.fixture
def office(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """Over moto; over another Parameter Store where SSM_URL names one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    url = os.environ.get("SSM_URL")
    if url:
        yield Office(cluster, url)
        return
    with mock_aws():
        yield Office(cluster, None)


def test_nothing_is_stored_before_the_first_change(office: Office) -> None:
    assert office.store.latest() is None
    assert office.store.history() == []
    assert (office.config.current().version, office.config.current().settings) == (0, complete({}))


def test_a_version_says_who_made_it_when_and_from_what(office: Office) -> None:
    assert office.change(7, 0, "olga") == 1
    assert office.change(8, 1, "Ötto \"'\\ π " + "x" * 600) == 2
    assert office.config.roll_back(1, "olga").version == 3
    found = office.config.history(None, 10).items
    assert [(each.version, each.by[:7], each.again, each.changed) for each in found] == [
        (3, "olga", 1, ["/notifications/max_an_hour"]),
        (2, "Ötto \"'", None, ["/notifications/max_an_hour"]),
        (1, "olga", None, ["/notifications/max_an_hour"]),
    ]
    assert found[2].at < found[0].at
    assert [each[0] for each in office.told()] == [1, 2, 3]
    assert office.whole()


def test_what_is_written_past_us_is_nobodys_of_ours_and_is_told_all_the_same(office: Office) -> None:
    """A description stays with a parameter until another is given: it is not believed of another value."""
    office.change(7, 0, "olga")
    office.by_hand('{"notifications": {"max_an_hour": 9}}')
    office.by_hand("no json at all")
    assert office.config.settle() == 2
    first, second, third = office.told()
    assert first == (1, "olga", "config.change")
    assert (second[0], third[0]) == (2, 3)
    assert "olga" not in second[1] + third[1]
    assert office.config.current().problems[0].message == "What is stored is no JSON."
    assert [each.valid for each in office.config.history(None, 10).items] == [False, True, True]
    assert office.config.roll_back(2, "olga").settings["notifications"]["max_an_hour"] == 9


def test_operators_at_once_take_turns_and_none_writes_over_another(office: Office) -> None:
    """Each reads, changes, and begins anew where somebody was faster: every change is a version of its own."""
    done: list[tuple[int, str]] = []
    surprises: list[Exception] = []

    def operate(subject: str, number: int) -> None:
        for step in range(5):
            while True:
                try:
                    version = office.change(100 + number * 10 + step, office.config.current().version, subject)
                except Conflict:
                    continue
                except Exception as error:  # whatever it is, it is shown below
                    surprises.append(error)
                    return
                done.append((version, subject))
                break

    threads = [threading.Thread(target=operate, args=(f"op{number}", number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert surprises == []
    assert sorted(version for version, _ in done) == list(range(1, 21))
    assert [each[:2] for each in office.told()] == sorted(done)
    assert [each.version for each in office.store.history()] == list(range(1, 21))
    assert office.whole()


def test_of_two_that_change_the_same_version_one_is_refused(office: Office) -> None:
    office.change(1, 0)
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def operate(subject: str, limit: int) -> None:
        barrier.wait()
        try:
            outcomes.append(f"version {office.change(limit, 1, subject)}")
        except Conflict as refused:
            outcomes.append(refused.detail)

    threads = [threading.Thread(target=operate, args=(f"op{limit}", limit)) for limit in (11, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["The settings are at version 2, not 1: read them again.", "version 2"]


class Killed(BaseException):
    pass


def test_a_death_after_the_version_leaves_what_tells_of_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.change(7, 0)
    put = office.store.put

    def put_and_die(*asked: Any) -> None:
        put(*asked)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(office.store, "put", put_and_die)
        with pytest.raises(Killed):
            office.change(8, 1, "otto")
    assert [each[0] for each in office.told()] == [1]
    assert office.config.current().settings["notifications"]["max_an_hour"] == 8
    assert office.config.settle() == 1
    assert office.told()[1] == (2, "otto", "config.change")
    # It asks again, having had no answer: the same version, told once.
    assert office.change(8, 1, "otto") == 2
    assert office.config.settle() == 0
    assert len(office.told()) == 2


def test_a_death_before_the_version_leaves_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_asked: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(office.store, "put", die)
        with pytest.raises(Killed):
            office.change(8, 0)
    assert (office.config.current().version, office.told()) == (0, [])
    assert office.change(8, 0) == 1


def test_who_holds_the_lock_too_long_is_not_waited_for(
    office: Office, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("email_sender.adapters.postgres.settings._PATIENCE", "300ms")
    with settings_units(cluster.database("platform"))():
        started = time.monotonic()
        with pytest.raises(Unavailable):
            office.change(8, 0)
        assert time.monotonic() - started < 3
    assert office.change(8, 0) == 1


def test_a_sandbox_has_what_is_stored_and_keeps_it_while_nobody_answers(office: Office) -> None:
    now = [0.0]
    read = SettingsReader(office.store.latest, clock=lambda: now[0])
    office.change(7, 0)
    assert read().notifications.max_an_hour == 7
    office.by_hand('{"notifications": {"max_an_hour": -1}}')
    now[0] += 60
    assert read().notifications.max_an_hour == 7
    office.client = boto3.client("ssm", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Unavailable):
        office.store.latest()


def test_the_tenants_role_writes_no_entry_of_the_operators(cluster: Cluster) -> None:
    with pytest.raises(InsufficientPrivilege), cluster.database("app").tenant(cluster.new_tenant()) as conn:
        conn.execute(
            "insert into audit_log (tenant_id, at, subject, action, object, details) "
            "values (%s, now(), 's', 'a', 'o', '{}')",
            [PLATFORM_TENANT],
        )
