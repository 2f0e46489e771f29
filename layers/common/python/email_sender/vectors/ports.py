"""The ports of the vectors domain: points, embedding models, and the event outbox."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from email_sender.coordination.events import Event
from email_sender.vectors.model import (
    ClientId,
    Collection,
    Group,
    Hit,
    Point,
    PointSelector,
    Search,
    SearchAnswer,
    TextQuery,
    Write,
)


class CollectionCreator(Protocol):
    def prepare(self, collection: Collection) -> bool:
        """Create the collection with its indexes if it is missing. Return whether it was created.

        Raises:
            Conflict: the collection exists with another size, distance or embedding model.
        """


class PointWriter(Protocol):
    """Writes points of one tenant. The engine adds the tenant to every point and filter."""

    def upsert(self, tenant_id: UUID, collection: str, points: Sequence[Point]) -> None: ...

    def write(self, tenant_id: UUID, collection: str, writes: Sequence[Write]) -> None:
        """Apply the writes in order, in one round trip. Repeatable; after a failure some may have been applied."""

    def delete(self, tenant_id: UUID, collection: str, ids: Sequence[ClientId]) -> None: ...


class PointReader(Protocol):
    """Looks up points of one tenant."""

    def has(self, tenant_id: UUID, collection: str, point_id: ClientId) -> bool: ...

    def count(self, tenant_id: UUID, collection: str, selector: PointSelector | None = None) -> int:
        """Return the number of selected points, or of all points of the tenant."""


class PointSearch(Protocol):
    """Searches points of one tenant."""

    def search(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Hit]:
        """Return the best hits. Raises NotFound if an example of a recommendation is not a point of the tenant."""

    def search_many(self, tenant_id: UUID, collection: str, searches: Sequence[Search]) -> Sequence[Sequence[Hit]]:
        """Return the hits of each search, in one round trip. Searches with `group_by` are not allowed."""

    def search_groups(self, tenant_id: UUID, collection: str, search: Search) -> Sequence[Group]: ...


@dataclass(frozen=True, slots=True)
class MailText:
    """A message to embed: its subject, subject and text as a whole, and the texts of its passages."""

    subject: str
    whole: str
    passages: Sequence[str]


@dataclass(frozen=True, slots=True)
class MailVectors:
    """The vector of a whole message, and of each of its passages."""

    whole: Sequence[float]
    passages: Sequence[Sequence[float]]


class QuestionSearch(Protocol):
    def search(self, tenant_id: UUID, collection: Collection, search: Search[TextQuery]) -> SearchAnswer:
        """Return what answers the question, or the reason why nothing does."""


class Embedder(Protocol):
    """An embedding model. The vectors of messages and questions have the length 1."""

    @property
    def model(self) -> str:
        """The id of the model, stored with its vectors: vectors of two models cannot be compared."""

    @property
    def size(self) -> int: ...

    @property
    def passage_part(self) -> slice:
        """The part of a question's vector to compare with the vectors of passages."""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return the vector of each text, in order."""

    def embed_questions(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """Return the vector of each question, in order."""

    def embed_mail(self, mails: Sequence[MailText]) -> Sequence[MailVectors]:
        """Return the vectors of each message, in order."""

    def weakest_match(self, question: str, /) -> float | None:
        """Return the similarity below which no message matches this question, or None if nobody has measured it."""


class PassageStore(Protocol):
    def save(self, tenant_id: UUID, model: str, passages: Mapping[UUID, bytes]) -> None:
        """Store the packed passages of messages. Messages that do not exist any more are left out."""


class EventUnit(Protocol):
    def emit(self, event: Event) -> None: ...

    def commit(self) -> None: ...


class EventUnits(Protocol):
    def __call__(self, tenant_id: UUID) -> AbstractContextManager[EventUnit]: ...
