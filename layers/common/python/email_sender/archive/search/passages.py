"""Passages: the parts of a message that are embedded one by one, so that a search can show the one that matches.

A message keeps its passages as bytes: where each begins and ends, and its vector in 8 bits a dimension.
"""

import re
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import sumprod

from email_sender.vectors.ports import Embedder, MailText

# 800 characters hold about six sentences. On labelled mail, the best passage of this length contains the proof in
# 98 % of the messages, one of 500 characters in 85 % (docs/guides/search.md).
_MAX_LENGTH = 800
_OVERLAP = 200
# Later text is not embedded: 16 passages cover about 10,000 characters.
_MAX_PASSAGES = 16
_MAX_TEXT = 16_000
# Of the whole message, more text does not improve the vector.
_WHOLE_CHARACTERS = 4_000
_END_OF_SENTENCE = re.compile(r"(?<=[.!?。！？…])[\"'”’)\]]*\s+|\n\s*\n\s*")
_HEADER = struct.Struct("<II f")


@dataclass(frozen=True, slots=True)
class Passage:
    """The characters [start, end) of a message's text."""

    start: int
    end: int

    def text_of(self, text: str) -> str:
        return " ".join(text[self.start : self.end].split())


@dataclass(frozen=True, slots=True)
class EmbeddedPassage:
    """A passage with its vector: `values` times `scale`."""

    passage: Passage
    scale: float
    values: Sequence[int]

    def similarity(self, vector: Sequence[float]) -> float:
        """Return the dot product with a vector: the cosine, since both have the length 1."""
        return sumprod(vector, self.values) * self.scale


def split_passages(text: str) -> list[Passage]:
    """Return the passages of a text: whole sentences, which may be in two passages. An empty text has none."""
    sentences = _sentences(text[:_MAX_TEXT])
    passages: list[Passage] = []
    first = 0
    while first < len(sentences) and len(passages) < _MAX_PASSAGES:
        start = sentences[first].start
        after = first + 1
        while after < len(sentences) and sentences[after].end - start <= _MAX_LENGTH:
            after += 1
        passages.append(Passage(start, sentences[after - 1].end))
        if after == len(sentences):
            break
        end = sentences[after - 1].end
        repeated = after
        while repeated - 1 > first and end - sentences[repeated - 1].start <= _OVERLAP:
            repeated -= 1
        first = repeated
    return passages


def _sentences(text: str) -> list[Passage]:
    """Return the sentences of a text. What is longer than a passage is cut at a space, or within a word."""
    ends = [match.span() for match in _END_OF_SENTENCE.finditer(text)]
    sentences: list[Passage] = []
    start = 0
    for end, next_start in [*ends, (len(text), len(text))]:
        while start < end and text[start].isspace():
            start += 1
        while end - start > _MAX_LENGTH:
            space = text.rfind(" ", start + 1, start + _MAX_LENGTH)
            cut = space if space > 0 else start + _MAX_LENGTH
            sentences.append(Passage(start, cut))
            start = cut + (space > 0)
        if text[start:end].strip():
            sentences.append(Passage(start, end))
        start = next_start
    return sentences


def pack_passages(passages: Sequence[Passage], vectors: Sequence[Sequence[float]]) -> bytes:
    """Return passages and their vectors as bytes. All vectors have the same number of dimensions."""
    parts = []
    for passage, vector in zip(passages, vectors, strict=True):
        scale = max(map(abs, vector), default=0.0) / 127 or 1.0
        values = array("b", [round(value / scale) for value in vector])
        parts.append(_HEADER.pack(passage.start, passage.end, scale) + values.tobytes())
    return b"".join(parts)


def unpack_passages(packed: bytes, dimensions: int) -> list[EmbeddedPassage]:
    """Return the passages that `pack_passages` packed, or none if the bytes are of another number of dimensions."""
    size = _HEADER.size + dimensions
    if len(packed) % size:
        return []
    passages = []
    for offset in range(0, len(packed), size):
        start, end, scale = _HEADER.unpack_from(packed, offset)
        values = array("b", packed[offset + _HEADER.size : offset + size])
        passages.append(EmbeddedPassage(Passage(start, end), scale, values))
    return passages


def embedded_text(subject: str, text: str) -> str:
    """Return the text of a whole message that is embedded."""
    return f"{subject}\n{text}"[:_WHOLE_CHARACTERS]


@dataclass(frozen=True, slots=True)
class EmbeddedMessage:
    """The vector of a whole message, and its packed passages."""

    whole: Sequence[float]
    passages: bytes


def embed_messages(model: Embedder, messages: Sequence[tuple[str, str]]) -> list[EmbeddedMessage]:
    """Embed messages, given as (subject, text), and their passages in one call."""
    passages = [split_passages(text) for _, text in messages]
    mails = [
        MailText(subject, embedded_text(subject, text), [passage.text_of(text) for passage in own_passages])
        for (subject, text), own_passages in zip(messages, passages, strict=True)
    ]
    return [
        EmbeddedMessage(vectors.whole, pack_passages(own_passages, vectors.passages))
        for own_passages, vectors in zip(passages, model.embed_mail(mails), strict=True)
    ]
