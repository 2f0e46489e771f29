"""Search for contacts whose names and addresses are encrypted: by keyed hashes of how their words begin."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

# Longer words are found by their first letters.
_MAX_LETTERS = 12
_MAX_WORDS = 12
_WORD = re.compile(r"[^\W_]+")
# Who may not see addresses must not find out about them either, so names alone have terms of their own.
_NAME, _ANY = "name", "any"


def terms_of(name: str | None, address: str) -> frozenset[str]:
    """Return what a contact is found by: each beginning of each word."""
    of_name = set(_beginnings(_words(name or "")))
    of_any = of_name | set(_beginnings(_words(address)))
    return frozenset([*(f"{_NAME}:{term}" for term in of_name), *(f"{_ANY}:{term}" for term in of_any)])


def asked_terms(text: str, *, names_only: bool) -> Sequence[str]:
    """Return the terms that a contact must have, all of them. A text without a letter or digit has none."""
    scope = _NAME if names_only else _ANY
    return [f"{scope}:{word[:_MAX_LETTERS]}" for word in _words(text)]


def _words(text: str) -> Sequence[str]:
    """Return the words in lower case and without accents, as people type them."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return _WORD.findall(plain.casefold())[:_MAX_WORDS]


def _beginnings(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield from (word[:length] for length in range(1, min(len(word), _MAX_LETTERS) + 1))
