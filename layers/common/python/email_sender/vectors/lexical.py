"""The words of a text as a sparse vector, weighed by BM25.

Only the part that one text knows of itself is worked out here; how rare a word is, the engine knows (its IDF modifier).
Formula and constants: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009).
"""

import re
import unicodedata
from collections import Counter
from zlib import crc32

from email_sender.vectors.model import Terms

_K1, _B = 1.2, 0.75
# The length of a usual message, in words. BM25 wants the collection's average, which changes with every message.
_USUAL_LENGTH = 150
# Names, versions and identifiers are what words are better at than vectors: gcc-3.2, x86_64 and 192.168.0.1 are one.
_WORD = re.compile(r"\w+(?:[.\-@']\w+)*")
_MAX_WORDS = 4_000


def terms_of(text: str) -> Terms:
    """Of a text that is stored. Words that share a hash count as one: one pair in some four billion."""
    words = _words(text)
    scale = _K1 * (1 - _B + _B * len(words) / _USUAL_LENGTH)
    counted = Counter(map(_hash, words))
    return Terms(list(counted), [count * (_K1 + 1) / (count + scale) for count in counted.values()])


def query_terms(text: str) -> Terms:
    """Of a text that is searched for: every word once, with the same weight."""
    found = sorted({_hash(word) for word in _words(text)})
    return Terms(found, [1.0] * len(found))


def _words(text: str) -> list[str]:
    """Of a compound the parts too, so that `gcc` finds `gcc-3.2`."""
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
