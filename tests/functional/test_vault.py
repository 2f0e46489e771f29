"""Envelope encryption with keys in PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.postgres.database import Database
from email_sender.errors import Forbidden, Unavailable
from tests.database import Cluster


def test_encrypted_values_decrypt_and_differ_each_time(cluster: Cluster, app_role: Database, tenant: UUID) -> None:
    keys = cluster.vault(app_role).keys_for(tenant)
    first_value, second_value = keys.encrypt("grüße", "contacts.name"), keys.encrypt("grüße", "contacts.name")
    assert first_value != second_value
    assert "grüße".encode() not in first_value
    assert keys.decrypt(first_value, "contacts.name") == keys.decrypt(second_value, "contacts.name") == "grüße"


def test_a_value_moved_to_another_column_or_changed_does_not_decrypt(
    cluster: Cluster, app_role: Database, tenant: UUID
) -> None:
    keys = cluster.vault(app_role).keys_for(tenant)
    ciphertext = keys.encrypt("ann", "contacts.name")
    changed_ciphertext = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
    for value, column in ((ciphertext, "contacts.address"), (changed_ciphertext, "contacts.name")):
        with pytest.raises(Unavailable):
            keys.decrypt(value, column)


def test_keys_of_another_tenant_decrypt_nothing_and_match_nothing(
    cluster: Cluster, app_role: Database, tenant: UUID, new_tenant: Callable[[], UUID]
) -> None:
    vault = cluster.vault(app_role)
    own_keys, other_keys = vault.keys_for(tenant), vault.keys_for(new_tenant())
    with pytest.raises(Unavailable):
        other_keys.decrypt(own_keys.encrypt("ann", "contacts.name"), "contacts.name")
    assert own_keys.fingerprint("ann@example.org") != other_keys.fingerprint("ann@example.org")


def test_a_wrapped_key_of_another_tenant_is_refused(cluster: Cluster, tenant: UUID) -> None:
    wrapper = FileKeyWrapper(cluster.key_file)
    wrapped = wrapper.wrap(tenant, b"k" * 32)
    assert wrapper.unwrap(tenant, wrapped) == b"k" * 32
    with pytest.raises(Forbidden):
        wrapper.unwrap(UUID(int=1), wrapped)


def test_concurrent_key_creation_ends_in_one_set_of_keys(cluster: Cluster, app_role: Database, tenant: UUID) -> None:
    with ThreadPoolExecutor(4) as threads:
        key_sets = list(threads.map(lambda _: cluster.vault(app_role).keys_for(tenant), range(4)))
    ciphertext = key_sets[0].encrypt("ann", "contacts.name")
    assert {keys.decrypt(ciphertext, "contacts.name") for keys in key_sets} == {"ann"}
    assert len({keys.fingerprint("ann") for keys in key_sets}) == 1
    rows = cluster.query("select purpose from data_keys where tenant_id = %s order by purpose", tenant)
    assert [row["purpose"] for row in rows] == ["content", "index"]


def test_a_fingerprint_survives_the_rotation_of_the_content_key(
    cluster: Cluster, app_role: Database, tenant: UUID
) -> None:
    before = cluster.vault(app_role).keys_for(tenant)
    ciphertext, print_before = before.encrypt("ann", "contacts.name"), before.fingerprint("ann")
    cluster.execute(
        "insert into data_keys (tenant_id, purpose, version, wrapped) values (%s, 'content', 2, %s)",
        tenant,
        FileKeyWrapper(cluster.key_file).wrap(tenant, b"n" * 32),
    )
    after = cluster.vault(app_role).keys_for(tenant)
    assert after.fingerprint("ann") == print_before
    assert after.decrypt(ciphertext, "contacts.name") == "ann"
    with pytest.raises(Unavailable):
        before.decrypt(after.encrypt("new", "contacts.name"), "contacts.name")
