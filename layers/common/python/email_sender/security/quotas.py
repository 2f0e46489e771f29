"""Quotas: what a tenant may use in a day, so that none uses up everyone's capacity or the operators' money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from email_sender.clock import Clock
from email_sender.errors import RateLimited


class QuotaKind(StrEnum):
    """All are counted by the day (UTC), except the stored vectors, which are counted as they are."""

    EMAILS = "emails"
    MODEL_TOKENS = "model_tokens"
    RUNS = "runs"
    IMPORT_BYTES = "import_bytes"
    WEBHOOKS = "webhooks"
    STORED_VECTORS = "stored_vectors"


# What a tenant may use unless an operator changed it.
DEFAULTS: Mapping[QuotaKind, int] = MappingProxyType(
    {
        QuotaKind.EMAILS: 10_000,
        QuotaKind.MODEL_TOKENS: 5_000_000,
        QuotaKind.RUNS: 50_000,
        QuotaKind.IMPORT_BYTES: 20_000_000_000,
        QuotaKind.WEBHOOKS: 100_000,
        QuotaKind.STORED_VECTORS: 5_000_000,
    }
)


class QuotaExceeded(RateLimited):
    """The work is refused until the window ends. Nothing of it was done."""


@dataclass(frozen=True, slots=True)
class Quota:
    """`resets_at` is the end of the day, or None for what does not come back by itself."""

    kind: QuotaKind
    allowed: int
    used: int
    resets_at: datetime | None


class QuotaStore(Protocol):
    def allowed(self, tenant_id: UUID) -> Mapping[QuotaKind, int]:
        """Return what was set for the tenant. Raises NotFound if there is no such tenant."""

    def used(self, tenant_id: UUID) -> Mapping[QuotaKind, int]:
        """Return what the tenant used today (UTC)."""

    def set_allowed(self, tenant_id: UUID, kind: QuotaKind, allowed: int | None, at: datetime) -> None:
        """Set a quota, or return to the default with None. It is in the operators' audit log. Raises NotFound."""


class QuotaService:
    def __init__(self, store: QuotaStore, now: Clock) -> None:
        self._store, self._now = store, now

    def of(self, tenant_id: UUID) -> Sequence[Quota]:
        now = self._now()
        allowed, used = self._store.allowed(tenant_id), self._store.used(tenant_id)
        return [
            Quota(
                kind,
                allowed.get(kind, default),
                used.get(kind, 0),
                None if kind is QuotaKind.STORED_VECTORS else end_of_day(now),
            )
            for kind, default in DEFAULTS.items()
        ]

    def set(self, tenant_id: UUID, kind: QuotaKind, allowed: int | None) -> Sequence[Quota]:
        self._store.set_allowed(tenant_id, kind, allowed, self._now())
        return self.of(tenant_id)


def refusal(kind: QuotaKind, allowed: int, now: datetime) -> QuotaExceeded:
    name = kind.replace("_", " ")
    if kind is QuotaKind.STORED_VECTORS:
        return QuotaExceeded(f"The tenant may store {allowed} vectors. Delete some, or ask an operator for more.", 3600)
    end = end_of_day(now)
    return QuotaExceeded(
        f"The tenant may use {allowed} {name} a day. Try again after {end:%Y-%m-%d %H:%M} UTC, or ask an operator for "
        "more.",
        int((end - now).total_seconds()) + 1,
    )


def end_of_day(at: datetime) -> datetime:
    return datetime.combine(at.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
