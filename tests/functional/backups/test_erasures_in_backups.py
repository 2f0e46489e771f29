"""A restore of a backup from before an erasure erases the person again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from coordinator_lambda.restore import RestoreStep, restore_database
from email_sender.adapters.aws.records import S3Erasures, S3Records
from email_sender.adapters.postgres.contacts import ADDRESS
from email_sender.adapters.postgres.erasures import erase_again
from email_sender.adapters.postgres.vault import AesKeys
from email_sender.kit.system_clock import new_id
from email_sender.messaging.model import RecordedErasure
from local.backups.backup_folder import ERASURES, BackupFolder, fetch, fetch_erasures, read_erasures
from local.backups.database import load_database
from local.backups.wrapping_keys import LocalKeys
from local.layout import Layout
from tests.database import Cluster
from tests.functional.backups.conftest import Connect, NewDatabase
from tests.functional.backups.scenario import BUCKET, BackupScenario, fetch_all
from tests.wrapping_keys import local_wrapper

ADA = "ada@example.org"
AT = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def contact(scenario: BackupScenario) -> UUID:
    """A contact in the platform, with its address in the result of a step."""
    contact = new_id()
    keys = AesKeys(scenario.tenant, {1: b"k" * 32}, b"", 1)
    with psycopg.connect(scenario.url) as conn:
        conn.execute("set search_path to email_sender")
        conn.execute(
            "insert into contacts (id, tenant_id, address_hash, address_enc) values (%s, %s, %s, %s)",
            [contact, scenario.tenant, contact.bytes, keys.encrypt(ADA, ADDRESS)],
        )
        conn.execute(
            "insert into run_steps (tenant_id, run_id, step, action, status, result, started_at) "
            "select tenant_id, id, %s, 'a', 'succeeded', %s, now() from runs limit 1",
            [str(contact), Jsonb({"to": ADA})],
        )
    return contact


@pytest.fixture
def backup(scenario: BackupScenario, contact: UUID) -> Iterator[str]:
    """A backup with the contact, who was erased after it was made. Another person's erasure is of no tenant here."""
    location = scenario.backups.get(scenario.back_up(f"before the erasure of {contact}")).location
    erasures = S3Erasures(S3Records(lambda: scenario.s3, BUCKET))
    for tenant_id, contact_id in ((scenario.tenant, contact), (scenario.tenant, new_id()), (new_id(), new_id())):
        erasures.put(RecordedErasure(tenant_id, contact_id, contact_id.bytes, "olga", AT))
    yield location
    for found in scenario.s3.list_objects_v2(Bucket=BUCKET, Prefix="erasures/")["Contents"]:
        scenario.s3.delete_object(Bucket=BUCKET, Key=found["Key"])


def check_erased(url: str, contact: UUID) -> None:
    assert fetch_all(url, f"select 1 from contacts where id = '{contact}'") == []
    assert fetch_all(url, f"select erased_by from erasures where contact_id = '{contact}'") == [("olga",)]
    # Another one whom the backup does not have: an import must not bring them back.
    assert fetch_all(url, "select reason from suppressions where reason = 'erased'") == [("erased",)] * 2
    assert fetch_all(url, f"select 1 from run_steps where result::text like '%{ADA}%'") == []
    # The sweep deletes the points and files of what is here.
    assert fetch_all(url, f"select 1 from deleted_contacts where contact_id = '{contact}'") == [(1,)]


@pytest.mark.usefixtures("environment")
def test_a_restore_on_aws(
    scenario: BackupScenario, connect: Connect, cluster: Cluster, contact: UUID, backup: str
) -> None:
    restore_database(RestoreStep(backup=backup, execution="first"), connect)
    with connect() as conn:
        url = cluster.server.url(conn.info.dbname)
    check_erased(url, contact)
    sealed = "select count(*) from pg_class where relforcerowsecurity"
    assert fetch_all(url, sealed) == fetch_all(scenario.url, sealed)


def test_a_restore_on_this_machine(
    scenario: BackupScenario,
    cluster: Cluster,
    new_database: NewDatabase,
    layout: Layout,
    key_file: Path,
    tmp_path: Path,
    contact: UUID,
    backup: str,
) -> None:
    folder = BackupFolder(fetch(scenario.s3, backup, tmp_path / "backup", print))
    fetch_erasures(scenario.s3, backup, tmp_path / ERASURES)
    erasures = read_erasures(tmp_path / "backup")
    assert len(erasures) == 3
    url = cluster.server.url(new_database())
    erase = partial(erase_again, erasures=erasures, unwrap=local_wrapper(key_file).unwrap)
    load_database(url, folder, folder.verify(print).database, LocalKeys(layout, None), print, erase)
    check_erased(url, contact)
