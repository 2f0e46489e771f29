"""Benchmark the import of a mailbox beside parsing, embedding and writing the points of the same mail."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qdrant_client import models

from benchmarks.bulk import LocalBucket
from benchmarks.vector_setup import TENANT, VectorBench, vector_bench
from email_sender.adapters.aws.key_wrappers import FileKeyWrapper
from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.adapters.postgres.archive import PostgresArchiveUnits
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.adapters.postgres.message_candidates import PostgresPassages
from email_sender.adapters.postgres.vault import PostgresVault
from email_sender.archive.mailbox_import import ImportSteps, MailboxChunkImporter
from email_sender.archive.mbox import split
from email_sender.archive.message_index import COLLECTION, MessageWriter
from email_sender.archive.message_parser import parse
from email_sender.archive.search.passages import embed_messages
from email_sender.coordination.events import EventFactory
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.imports.model import Import, ImportStatus
from email_sender.vectors.model import build_collections
from local.layout import ROOT, Layout

_MAILBOX = ROOT / "examples/mailbox/lists-2002.mbox"
_RUNS = 3


def measure(scratch: Path) -> list[dict[str, Any]]:
    model = SentenceEmbedder()
    collection = build_collections({COLLECTION: (model.model, model.size)})[COLLECTION]
    messages = len(list(split(_MAILBOX.read_bytes())))
    with vector_bench(scratch, collection) as bench:
        works = {"import": _whole_import(bench, scratch, model), "parts": _parts_alone(bench, model)}
        seconds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(_RUNS + 1):
            for name, work in works.items():
                bench.recreate(collection)
                started = time.perf_counter()
                work()
                seconds[name].append(time.perf_counter() - started)
    # The first run loads the model and is left out.
    rate = {name: messages / statistics.median(times[1:]) for name, times in seconds.items()}
    return [
        {"measure": f"mailbox import, {messages} messages", "value": rate["import"], "unit": "messages/s",
         "compared_with": "parse, embed and upsert alone", "compared_value": rate["parts"], "at_least": 0.8,
         "runs": _RUNS},
    ]  # fmt: skip


def _whole_import(bench: VectorBench, scratch: Path, model: SentenceEmbedder) -> Callable[[], None]:
    """Return a function that imports the mailbox as the state machine does: plan, chunk after chunk, finish."""
    files = LocalBucket(_MAILBOX.parent)
    vault = PostgresVault(bench.database, FileKeyWrapper(Layout(scratch).wrapping_key()))
    units = PostgresArchiveUnits(bench.database, vault, None)
    import_units = PostgresImportUnits(bench.database, None)
    steps = ImportSteps(import_units, files, None, now, new_id)
    writer = MessageWriter(bench.writer, PostgresPassages(bench.database), lambda: model)
    importer = MailboxChunkImporter(units, files, MailTextCleaner(), writer, EventFactory("messaging", now, new_id))

    def run() -> None:
        # Without its messages, the archive takes all of them as new again.
        with bench.database.tenant(TENANT) as conn:
            conn.execute("delete from messages")
            conn.commit()
        import_id = new_id()
        with import_units(TENANT) as unit:
            name, size = _MAILBOX.name, _MAILBOX.stat().st_size
            unit.add(Import(import_id, ImportStatus.PROCESSING, name, size, name, "bench", now()))
            unit.commit()
        for chunk in steps.plan(TENANT, import_id):
            importer.import_chunk(TENANT, import_id, chunk)
        progress = steps.finish(TENANT, import_id)
        if progress.stored + progress.duplicates != progress.messages or progress.stored < progress.duplicates:
            raise RuntimeError(f"Only {progress.stored} of {progress.messages} messages were stored.")

    return run


def _parts_alone(bench: VectorBench, model: SentenceEmbedder) -> Callable[[], None]:
    cleaner = MailTextCleaner()

    def run() -> None:
        parsed = [parse(raw, cleaner) for raw in split(_MAILBOX.read_bytes())]
        embedded = embed_messages(model, [(one.subject, one.text) for one in parsed])
        points = [
            models.PointStruct(id=str(new_id()), vector=list(one.whole), payload={"tenant_id": str(TENANT)})
            for one in embedded
        ]
        bench.raw_client.upsert(COLLECTION, points, wait=True)

    return run
