"""The stores of tenants' wrapping keys: files and DynamoDB; and the wrapper that uses them."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from moto import mock_aws

from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.files.wrapping_keys import FileWrappingKeys
from email_sender.adapters.tenant_key_wrapper import TenantKeyWrapper
from email_sender.errors import Forbidden, KeyDestroyed
from email_sender.security.ports import WrappingKeys
from tests.wrapping_keys import new_table

TENANT, OTHER = uuid4(), uuid4()
KEY = b"k" * 32


@pytest.fixture(params=["files", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WrappingKeys]:
    if request.param == "files":
        yield FileWrappingKeys(tmp_path / "tenants")
        return
    with mock_aws():
        yield new_table("tenant-keys")


@pytest.fixture
def outer(tmp_path: Path) -> FileKeyWrapper:
    (tmp_path / "wrapping.key").write_bytes(os.urandom(32))
    return FileKeyWrapper(tmp_path / "wrapping.key")


def test_the_first_key_stays(store: WrappingKeys) -> None:
    assert store.get(TENANT) is None
    assert store.add(TENANT, b"first") == b"first"
    assert store.add(TENANT, b"second") == b"first"
    assert store.get(TENANT) == b"first"
    assert store.get(OTHER) is None


def test_concurrent_functions_use_one_key(store: WrappingKeys) -> None:
    with ThreadPoolExecutor(8) as threads:
        stored = set(threads.map(lambda number: store.add(TENANT, b"%d" % number), range(8)))
    assert stored == {store.get(TENANT)}


def test_a_destroyed_key_never_comes_back(store: WrappingKeys) -> None:
    store.add(TENANT, b"key")
    for tenant in (TENANT, TENANT, OTHER):
        store.destroy(tenant)
        with pytest.raises(KeyDestroyed):
            store.get(tenant)
        with pytest.raises(KeyDestroyed):
            store.add(tenant, b"another")


def test_a_data_key_is_readable_with_its_tenants_key_only(store: WrappingKeys, outer: FileKeyWrapper) -> None:
    wrapper = TenantKeyWrapper(store, outer)
    wrapped = wrapper.wrap(TENANT, KEY)
    assert wrapper.unwrap(TENANT, wrapped) == TenantKeyWrapper(store, outer).unwrap(TENANT, wrapped) == KEY
    wrapper.wrap(OTHER, KEY)
    with pytest.raises(Forbidden):
        wrapper.unwrap(OTHER, wrapped)
    with pytest.raises(Forbidden, match="does not exist here"):
        wrapper.unwrap(UUID(int=1), wrapped)


def test_nobody_reads_a_data_key_after_the_destruction(
    store: WrappingKeys, outer: FileKeyWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = TenantKeyWrapper(store, outer)
    wrapped, older = wrapper.wrap(TENANT, KEY), outer.wrap(TENANT, KEY)
    assert wrapper.unwrap(TENANT, older) == KEY
    store.destroy(TENANT)
    for data_key in (wrapped, older):
        with pytest.raises(KeyDestroyed):
            TenantKeyWrapper(store, outer).unwrap(TENANT, data_key)
    # A function that remembers the key forgets it.
    monkeypatch.setattr("email_sender.adapters.tenant_key_wrapper.time.monotonic", lambda: 1e12)
    with pytest.raises(KeyDestroyed):
        wrapper.unwrap(TENANT, wrapped)
    with pytest.raises(KeyDestroyed):
        wrapper.wrap(TENANT, KEY)
