"""Vector services without a server: the in-memory engine, a model that counts letters, and events in a list."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from email_sender.adapters.models.whole_texts import WholeTexts
from email_sender.adapters.qdrant.tenant_points import QdrantIndex
from email_sender.coordination.events import Event
from email_sender.kit.system_clock import new_id
from email_sender.vectors.batch import BatchService
from email_sender.vectors.cache import Embeddings
from email_sender.vectors.model import Collection, Distance
from email_sender.vectors.service import VectorService
from tests.fakes.qdrant_memory import MemoryChannel

SIZE = 4
LETTERS = "aeio"
PLAIN = Collection("plain", SIZE, Distance.COSINE, quantized=False)
WORDS = Collection("words", SIZE, Distance.COSINE, quantized=False, model="letters", lexical=True)


class LetterModel(WholeTexts):
    """Embeds a text as the number of times that each of four letters occurs in it."""

    model, size = "letters", SIZE

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.calls += 1
        return [[0.1 + text.count(letter) for letter in LETTERS] for text in texts]


class FakeEventUnits:
    def __init__(self) -> None:
        self.events: list[Event] = []

    @contextmanager
    def __call__(self, tenant_id: UUID) -> Iterator["_Unit"]:
        yield _Unit(self.events)


class _Unit:
    def __init__(self, committed: list[Event]) -> None:
        self._committed, self._pending = committed, list[Event]()

    def emit(self, event: Event) -> None:
        self._pending.append(event)

    def commit(self) -> None:
        self._committed += self._pending
        self._pending = []


class VectorScenario:
    def __init__(self) -> None:
        self.channel = MemoryChannel()
        self.index = QdrantIndex(lambda: self.channel)  # type: ignore[arg-type, return-value]  # the same calls
        self.model, self.outbox = LetterModel(), FakeEventUnits()
        collections = {collection.name: collection for collection in (PLAIN, WORDS)}
        for collection in collections.values():
            self.index.prepare(collection)
        self.service = VectorService(
            self.index,
            self.index,
            self.index,
            Embeddings({"words": {self.model.model: self.model}}),
            collections,
            self.outbox,
            lambda: datetime(2026, 1, 1, tzinfo=UTC),
            new_id,
        )
        self.batch = BatchService(self.index, self.index, self.service)
