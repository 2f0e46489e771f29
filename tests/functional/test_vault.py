"""Envelope encryption with keys in PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from email_sender.adapters.key_wrappers import FileKeyWrapper
from email_sender.adapters.postgres.database import Database
from email_sender.errors import Forbidden, Unavailable
from tests.database import Cluster


def test_what_is_encrypted_decrypts_and_never_looks_the_same_twice(
    cluster: Cluster, app_role: Database, tenant: UUID
) -> None:
    keys = cluster.vault(app_role).of(tenant)
    one, two = keys.encrypt("grüße", "contacts.name"), keys.encrypt("grüße", "contacts.name")
    assert one != two
    assert "grüße".encode() not in one
    assert keys.decrypt(one, "contacts.name") == keys.decrypt(two, "contacts.name") == "grüße"


def test_a_value_moved_to_another_column_or_changed_does_not_decrypt(
    cluster: Cluster, app_role: Database, tenant: UUID
) -> None:
    keys = cluster.vault(app_role).of(tenant)
    sealed = keys.encrypt("ann", "contacts.name")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for value, column in ((sealed, "contacts.address"), (changed, "contacts.name")):
        with pytest.raises(Unavailable):
            keys.decrypt(value, column)


def test_another_tenants_keys_open_nothing_and_match_nothing(
    cluster: Cluster, app_role: Database, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    vault = cluster.vault(app_role)
    ours, theirs = vault.of(tenant), vault.of(new_tenant())
    with pytest.raises(Unavailable):
        theirs.decrypt(ours.encrypt("ann", "contacts.name"), "contacts.name")
    assert ours.fingerprint("ann@example.org") != theirs.fingerprint("ann@example.org")


def test_a_wrapped_key_of_another_tenant_is_refused(cluster: Cluster, tenant: UUID) -> None:
    wrapper = FileKeyWrapper(cluster.key_file)
    wrapped = wrapper.wrap(tenant, b"k" * 32)
    assert wrapper.unwrap(tenant, wrapped) == b"k" * 32
    with pytest.raises(Forbidden):
        wrapper.unwrap(UUID(int=1), wrapped)


def test_sandboxes_that_make_keys_at_once_agree_on_them(cluster: Cluster, app_role: Database, tenant: UUID) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: cluster.vault(app_role).of(tenant), range(4)))
    sealed = made[0].encrypt("ann", "contacts.name")
    assert {keys.decrypt(sealed, "contacts.name") for keys in made} == {"ann"}
    assert len({keys.fingerprint("ann") for keys in made}) == 1
    rows = cluster.look("select purpose from data_keys where tenant_id = %s order by purpose", tenant)
    assert [row["purpose"] for row in rows] == ["content", "index"]


def test_a_fingerprint_outlives_the_rotation_of_the_content_key(
    cluster: Cluster, app_role: Database, tenant: UUID
) -> None:
    before = cluster.vault(app_role).of(tenant)
    sealed, print_before = before.encrypt("ann", "contacts.name"), before.fingerprint("ann")
    cluster.do(
        "insert into data_keys (tenant_id, purpose, version, wrapped) values (%s, 'content', 2, %s)",
        tenant,
        FileKeyWrapper(cluster.key_file).wrap(tenant, b"n" * 32),
    )
    after = cluster.vault(app_role).of(tenant)
    assert after.fingerprint("ann") == print_before
    assert after.decrypt(sealed, "contacts.name") == "ann"
    with pytest.raises(Unavailable):
        before.decrypt(after.encrypt("new", "contacts.name"), "contacts.name")
