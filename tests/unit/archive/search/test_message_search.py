"""Tests for MessageSearch: candidates, ranking, people, times and "nobody"."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import sqrt
from uuid import UUID, uuid5

import pytest

from email_sender.adapters.models.whole_texts import WholeTexts
from email_sender.archive.search.candidates import ArchivedCandidate
from email_sender.archive.search.message_search import MessageSearch
from email_sender.archive.search.passages import embed_messages, unpack_passages
from email_sender.vectors.cache import Embeddings
from email_sender.vectors.model import (
    Collection,
    Condition,
    Distance,
    Filter,
    Group,
    Hit,
    Nearest,
    Search,
    SearchAnswer,
    TextQuery,
)

TENANT = UUID(int=1)
WORDS = ["printer", "network", "garden", "music"]
MESSAGES = Collection("message_vectors", len(WORDS) + 1, Distance.COSINE, quantized=False, model="words", lexical=True)


class WordModel(WholeTexts):
    """Embeds a text by which of four words it has; a text without them has its own direction."""

    model, size = "words", len(WORDS) + 1

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [_unit([float(word in text.lower()) for word in WORDS]) for text in texts]

    def weakest_match(self, question: str, /) -> float | None:
        return 0.5


def _unit(values: list[float]) -> list[float]:
    values = [*values, 0.0 if any(values) else 1.0]
    length = sqrt(sum(value * value for value in values))
    return [value / length for value in values]


class Archive:
    """Points and messages in memory. Implements the ports of MessageSearch."""

    def __init__(self) -> None:
        self.model = WordModel()
        self.hits: dict[UUID, tuple[Sequence[float], dict[str, str]]] = {}
        self.messages: dict[UUID, ArchivedCandidate] = {}
        self.saved: dict[UUID, bytes] = {}
        self.searches: list[Search] = []

    def add(
        self,
        name: str,
        author: str | None,
        text: str,
        *,
        subject: str = "Hello",
        kind: str = "person",
        sent_at: datetime | None = datetime(2002, 8, 1, tzinfo=UTC),
        is_answer: bool = False,
        has_passages: bool = True,
    ) -> UUID:
        message_id = uuid5(TENANT, name)
        (embedded,) = embed_messages(self.model, [(subject, text)])
        payload = {"mail_kind": kind, "import": "1", **({"contact": author} if author else {})}
        self.hits[message_id] = embedded.whole, payload
        passages = embedded.passages if has_passages else None
        self.messages[message_id] = ArchivedCandidate(
            message_id, subject, text, author, f"{author}@x.example", sent_at, kind, is_answer, passages
        )
        return message_id

    def search(self, _tenant_id: UUID, _collection: str, search: Search) -> Sequence[Hit]:
        self.searches.append(search)
        assert isinstance(search.query, Nearest)
        hits = [
            Hit(message_id, sum(a * b for a, b in zip(search.query.vector, vector, strict=True)), payload)
            for message_id, (vector, payload) in self.hits.items()
            if not any(payload.get(one.key) in (one.any_of or ()) for one in search.filter.must_not)
            and all(self._is_in(message_id, one) for one in search.filter.must)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[: search.limit]

    def _is_in(self, message_id: UUID, condition: Condition) -> bool:
        sent_at = self.messages[message_id].sent_at
        assert condition.key == "sent_at"
        return (
            sent_at is not None
            and isinstance(condition.gte, datetime)
            and isinstance(condition.lt, datetime)
            and condition.gte <= sent_at < condition.lt
        )

    def read(self, _tenant_id: UUID, ids: Sequence[UUID], _model: str) -> Mapping[UUID, ArchivedCandidate]:
        return {message_id: self.messages[message_id] for message_id in ids if message_id in self.messages}

    def save(self, _tenant_id: UUID, _model: str, passages: Mapping[UUID, bytes]) -> None:
        self.saved |= passages


@pytest.fixture
def archive() -> Archive:
    return Archive()


def ask(
    archive: Archive, text: str, *, limit: int = 10, group_by: str | None = None, **options: bool
) -> tuple[SearchAnswer, list[UUID]]:
    """Return the answer and the ids of all its messages."""
    embeddings = Embeddings({MESSAGES.name: {archive.model.model: archive.model}})
    search = MessageSearch(archive, embeddings, archive, archive, lambda: datetime(2026, 11, 28, tzinfo=UTC))
    query = TextQuery(text, **options)
    answer = search.search(TENANT, MESSAGES, Search(query, limit=limit, group_by=group_by))
    hits = [hit for one in answer.result for hit in (one.hits if isinstance(one, Group) else [one])]
    return answer, [UUID(str(hit.id)) for hit in hits]


def test_a_hit_has_its_message_and_the_passage_that_matches(archive: Archive) -> None:
    text = "I was on holiday for a week. " * 30 + "Now the printer is dead."
    found = archive.add("1", "ann", text, subject="News")
    answer, ids = ask(archive, "Who has a dead printer?")
    assert ids == [found]
    (hit,) = answer.result
    assert isinstance(hit, Hit)
    assert hit.message is not None
    assert (hit.message.subject, hit.message.sender_email, hit.message.kind) == ("News", "ann@x.example", "person")
    passage = hit.message.passage
    assert passage is not None
    assert passage.text.endswith("Now the printer is dead.")
    assert text[passage.start : passage.end].endswith("Now the printer is dead.")


def test_whoever_started_the_conversation_comes_first(archive: Archive) -> None:
    answer = archive.add("1", "bob", "A printer needs ink.", subject="Re: Printer", is_answer=True)
    start = archive.add("2", "ann", "My printer is dead.", subject="Printer")
    assert ask(archive, "Who has a dead printer?")[1] == [start, answer]


def test_people_are_grouped_with_a_reason_and_the_strength_of_all_their_messages(archive: Archive) -> None:
    archive.add("1", "ann", "My printer is dead.", subject="Printer")
    archive.add("2", "bob", "My printer is dead.", subject="Ink")
    archive.add("3", "bob", "The printer is still dead.", subject="Still no ink", sent_at=None)
    answer, _ = ask(archive, "Who has a dead printer?", group_by="contact")
    groups = [group for group in answer.result if isinstance(group, Group)]
    assert [(group.key, len(group.hits)) for group in groups] == [("bob", 2), ("ann", 1)]
    assert groups[0].score > groups[1].score
    assert groups[0].reason == 'Started the conversation "Ink" on 2002-08-01; 1 more message is similar.'
    assert groups[1].reason == 'Started the conversation "Printer" on 2002-08-01.'


def test_nobody_is_an_answer_with_a_reason(archive: Archive) -> None:
    archive.add("1", "ann", "I planted a garden.")
    answer, ids = ask(archive, "Who has a dead printer?", group_by="contact")
    assert ids == []
    assert answer.nobody == (
        "No message is similar enough to the question: the best have a similarity of 0.00, and a match begins at 0.50."
    )
    answer, ids = ask(archive, "Who has a dead printer?", weak_matches=True)
    assert (answer.nobody, len(ids)) == (None, 1)


def test_one_clear_match_among_unlike_messages_is_not_nobody(archive: Archive) -> None:
    found = archive.add("1", "ann", "My printer is dead.")
    for number in range(5):
        archive.add(f"garden {number}", "bob", "I planted a garden.")
    answer, ids = ask(archive, "Who has a dead printer?")
    assert (answer.nobody, ids) == (None, [found])


def test_an_empty_archive_says_so(archive: Archive) -> None:
    answer, ids = ask(archive, "Who has a dead printer?", weak_matches=True)
    assert (answer.nobody, ids) == ("The archive has no message of a person.", [])


def test_mail_of_machines_is_found_only_if_it_is_asked_for(archive: Archive) -> None:
    newsletter = archive.add("1", None, "Buy a printer!", kind="newsletter")
    assert ask(archive, "Who has a printer?")[0].nobody
    assert ask(archive, "Who has a printer?", include_bulk=True)[1] == [newsletter]
    # It has no contact, so it is no person.
    assert ask(archive, "Who has a printer?", include_bulk=True, group_by="contact")[1] == []


def test_a_message_that_the_archive_no_longer_has_is_not_found(archive: Archive) -> None:
    deleted = archive.add("1", "ann", "My printer is dead.")
    kept = archive.add("2", "bob", "My printer is dead.")
    del archive.messages[deleted]
    assert ask(archive, "Who has a dead printer?")[1] == [kept]


def test_a_point_that_a_client_stored_itself_is_found(archive: Archive) -> None:
    (vector,) = archive.model.embed(["printer"])
    own = uuid5(TENANT, "own")
    archive.hits[own] = vector, {"title": "Printers"}
    answer, ids = ask(archive, "Who has a printer?")
    assert ids == [own]
    (hit,) = answer.result
    assert isinstance(hit, Hit)
    assert (hit.message, hit.payload) == (None, {"title": "Printers"})
    groups, _ = ask(archive, "Who has a printer?", group_by="title")
    assert [(one.key, one.reason) for one in groups.result if isinstance(one, Group)] == [("Printers", None)]


def test_an_answer_without_own_words_proves_nothing(archive: Archive) -> None:
    archive.add("1", "ann", "", subject="Re: printer", is_answer=True)
    question = archive.add("2", "bob", "", subject="printer is dead, help")
    assert ask(archive, "Who has a dead printer?")[1] == [question]


def test_a_time_at_the_beginning_is_a_condition(archive: Archive) -> None:
    archive.add("1", "ann", "My printer is dead.", sent_at=datetime(2002, 9, 15, tzinfo=UTC))
    august = archive.add("2", "bob", "The printer again.", sent_at=datetime(2002, 8, 15, tzinfo=UTC))
    answer, ids = ask(archive, "In August 2002, who has a dead printer?")
    assert ids == [august]
    assert (answer.since, answer.until) == (datetime(2002, 8, 1, tzinfo=UTC), datetime(2002, 9, 1, tzinfo=UTC))
    answer, ids = ask(archive, "In May 2002, who has a dead printer?")
    assert ids == []
    assert answer.nobody == "The archive has no message of a person between 2002-05-01 and 2002-05-31."


def test_a_time_at_the_end_is_left_out_if_nobody_wrote_then(archive: Archive) -> None:
    september = archive.add("1", "ann", "A printer for May.", sent_at=datetime(2002, 9, 15, tzinfo=UTC))
    answer, ids = ask(archive, "Who needs a printer in May 2003?")
    assert ids == [september]
    assert answer.since is None
    may = archive.add("2", "bob", "My printer.", sent_at=datetime(2003, 5, 15, tzinfo=UTC))
    answer, ids = ask(archive, "Who needs a printer in May 2003?")
    assert ids == [may]
    assert answer.since is not None


def test_passages_of_another_model_are_embedded_and_kept(archive: Archive) -> None:
    found = archive.add("1", "ann", "My printer is dead.", has_passages=False)
    answer, _ = ask(archive, "Who has a dead printer?")
    (hit,) = answer.result
    assert isinstance(hit, Hit)
    assert hit.message is not None
    assert hit.message.passage is not None
    assert list(archive.saved) == [found]


def test_only_as_many_passages_are_embedded_as_somebody_would_wait_for(archive: Archive) -> None:
    for number in range(20):
        archive.add(str(number), "ann", "My printer is dead.", has_passages=False)
    assert len(ask(archive, "Who has a dead printer?", limit=20)[1]) == 20
    assert len(archive.saved) == 8


def test_the_filter_of_the_client_also_holds(archive: Archive) -> None:
    archive.add("1", "ann", "My printer is dead.")
    embeddings = Embeddings({MESSAGES.name: {archive.model.model: archive.model}})
    search = MessageSearch(archive, embeddings, archive, archive, lambda: datetime(2026, 11, 28, tzinfo=UTC))
    contact = Condition("contact", any_of=["ann"])
    search.search(TENANT, MESSAGES, Search(TextQuery("a printer"), filter=Filter(must_not=[contact])))
    assert contact in archive.searches[0].filter.must_not
    assert archive.searches[0].limit == 60


def test_a_score_threshold_leaves_weaker_messages_out(archive: Archive) -> None:
    archive.add("1", "ann", "My printer is dead.", subject="Printer")
    archive.add("2", "bob", "printer network garden", subject="Re: all", is_answer=True)
    embeddings = Embeddings({MESSAGES.name: {archive.model.model: archive.model}})
    search = MessageSearch(archive, embeddings, archive, archive, lambda: datetime(2026, 11, 28, tzinfo=UTC))
    answer = search.search(TENANT, MESSAGES, Search(TextQuery("a printer"), score_threshold=0.9))
    assert len(answer.result) == 1
    answer = search.search(TENANT, MESSAGES, Search(TextQuery("a printer"), score_threshold=2.0))
    assert (answer.result, answer.nobody) == ([], "No message reaches the score_threshold of 2.0.")


def test_a_long_message_gets_its_passages_too(archive: Archive) -> None:
    long = archive.add("1", "ann", "The printer of our office is dead. " * 500, has_passages=False)
    ask(archive, "Who has a dead printer?")
    assert len(unpack_passages(archive.saved[long], archive.model.size)) == 16
