"""What vectors need of the world."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.vectors.model import Chosen, ClientId, Collection, Group, Hit, Point, Search, Write


class VectorIndex(Protocol):
    """Every call is of one tenant; the index adds the tenant itself, to what it writes and to every condition."""

    def prepare(self, collection: Collection) -> bool:
        """Make the collection with its indexes where it is missing. Whether it was.

        Raises:
            Conflict: it is there with another size, distance or embedding model.
        """

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None: ...

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        """In their order, in one round trip. Repeatable; where it fails, some of them may be done."""

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None: ...

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool: ...

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        """Raises NotFound where an example of a recommendation is no point of the tenant's."""

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        """The hits of each, in one round trip. None of them groups."""

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]: ...

    def count(self, tenant_id: UUID, collection: str, chosen: Chosen | None = None) -> int:
        """Of all the tenant's points, or of those chosen."""


class Embedder(Protocol):
    @property
    def model(self) -> str:
        """Its id, stored with what it embedded: vectors of two models cannot be compared."""

    @property
    def size(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


class EventUnit(Protocol):
    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class EventUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[EventUnit]: ...
