"""Terms of a text as a sparse vector with BM25 weights.

Only the term frequencies are computed here. The engine adds the inverse document frequency (its IDF modifier).
Formula and constants: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
"""

import re
import unicodedata
from collections import Counter
from zlib import crc32

from email_sender.vectors.model import Terms

_K1, _B = 1.2, 0.75
# The length of a typical message in words. BM25 uses the collection's average, which changes with every message.
_TYPICAL_LENGTH = 150
# Names, versions and identifiers stay one word, as vectors find them badly: gcc-3.2, x86_64 and 192.168.0.1.
_WORD = re.compile(r"\w+(?:[.\-@']\w+)*")
_MAX_WORDS = 4_000


def document_terms(text: str) -> Terms:
    """Return the terms of a text to store. Words with the same hash count as one word: about 1 pair in 4 billion."""
    words = _words(text)
    scale = _K1 * (1 - _B + _B * len(words) / _TYPICAL_LENGTH)
    counts = Counter(map(_hash, words))
    return Terms(list(counts), [count * (_K1 + 1) / (count + scale) for count in counts.values()])


def query_terms(text: str) -> Terms:
    """Return the terms of a text to search for: each word once, with weight 1."""
    hashes = sorted({_hash(word) for word in _words(text)})
    return Terms(hashes, [1.0] * len(hashes))


def _words(text: str) -> list[str]:
    """Return the words of a text, and also the parts of a compound, so that `gcc` finds `gcc-3.2`."""
    words: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).casefold()):
        word = match.group()
        parts = re.findall(r"\w+", word)
        words += [word, *parts] if len(parts) > 1 else parts
        if len(words) >= _MAX_WORDS:
            break
    return words[:_MAX_WORDS]


def _hash(word: str) -> int:
    return crc32(word.encode())
