"""Seals of the audit log: they show that an entry was changed, removed or cut off, whoever did it.

The database chains the entries by their hashes. Whoever owns the database could change an entry and compute all hashes
anew. A seal is a keyed hash of the newest entry's hash, under a key that the database has only in encrypted form. Each
seal is also an object in a bucket in which nobody can delete or overwrite it, so that the end of the log cannot be cut
off together with its seals. Entries since the newest seal are protected by the chain only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.security.ports import Vault


@dataclass(frozen=True, slots=True)
class Seal:
    """`hash` is that of the entry with this sequence; `mac` is the keyed hash of both, 32 bytes."""

    sequence: int
    hash: bytes
    mac: bytes
    sealed_at: datetime


class SealedLog(Protocol):
    def newest_entry(self, tenant_id: UUID) -> tuple[int, bytes] | None:
        """Return the sequence and the hash of the newest entry."""
        ...

    def hashes(self, tenant_id: UUID, sequences: Sequence[int]) -> Mapping[int, bytes]: ...

    def broken_at(self, tenant_id: UUID) -> int | None:
        """Return the first entry at which the whole chain is broken."""
        ...

    def seals(self, tenant_id: UUID) -> Sequence[Seal]:
        """Return the seals, the oldest first."""
        ...

    def add_seal(self, tenant_id: UUID, seal: Seal) -> None: ...


class SealArchive(Protocol):
    """Keeps seals where nobody can change them."""

    def put(self, tenant_id: UUID, seal: Seal) -> None: ...

    def seals(self, tenant_id: UUID) -> Sequence[Seal]: ...


class AuditSealer:
    def __init__(self, log: SealedLog, archive: SealArchive, vault: Vault, now: Clock) -> None:
        self._log, self._archive, self._vault, self._now = log, archive, vault, now

    def seal(self, tenant_id: UUID) -> bool:
        """Seal the log up to its newest entry. Returns whether there was anything new.

        The object is written first: if the process dies then, the next call makes another seal.
        """
        newest = self._log.newest_entry(tenant_id)
        if newest is None:
            return False
        seals = self._log.seals(tenant_id)
        if seals and seals[-1].sequence >= newest[0]:
            return False
        seal = Seal(*newest, self._mac(tenant_id, *newest), self._now())
        self._archive.put(tenant_id, seal)
        self._log.add_seal(tenant_id, seal)
        return True

    def verify(self, tenant_id: UUID) -> Sequence[str]:
        """Return what is wrong with the log, in sentences; nothing if it is intact."""
        problems = []
        broken_at = self._log.broken_at(tenant_id)
        if broken_at is not None:
            problems.append(f"The chain is broken at entry {broken_at}.")
        seals = {
            (seal.sequence, seal.hash, seal.mac)
            for seal in (*self._log.seals(tenant_id), *self._archive.seals(tenant_id))
        }
        hashes = self._log.hashes(tenant_id, [sequence for sequence, _, _ in seals])
        for sequence, entry_hash, mac in sorted(seals):
            if not compare_digest(mac, self._mac(tenant_id, sequence, entry_hash)):
                problems.append(f"The seal of entry {sequence} is forged.")
            elif sequence not in hashes:
                problems.append(f"Entry {sequence} was sealed, and is missing.")
            elif hashes[sequence] != entry_hash:
                problems.append(f"Entry {sequence}, or one before it, was changed after it was sealed.")
        return problems

    def _mac(self, tenant_id: UUID, sequence: int, entry_hash: bytes) -> bytes:
        return self._vault.keys_for(tenant_id).fingerprint(f"audit seal\n{sequence}\n{entry_hash.hex()}")
