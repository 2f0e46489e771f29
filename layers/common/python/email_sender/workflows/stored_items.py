"""Items that are too large for the state of an execution. A step's result has a reference in their place.

A reference is `{"stored_items": "<id>", "count": 500}`. Its id is random: what comes from outside cannot name items.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

# Larger lists are stored. Step Functions limits the state of an execution to 256 KiB: fifty such lists fit.
MAX_INLINE_BYTES: Final = 4_096
_PART_BYTES: Final = 128 * 1024
_FIELDS: Final = {"stored_items", "count"}
_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-f]{4}|.)")
# A local part in quotes, which JSON escapes.
_QUOTED: Final = re.compile(r'\\"([^"\\]{1,100})\\"@([\w.-]{1,255})')
_MAX_LOCAL_PART: Final = 100
_SEPARATOR: Final = re.compile(r"[\s\"<>()\[\],;:@]")
_INSIDE_WORD: Final = re.compile(r"[\w.+-]")
_DOMAIN: Final = re.compile(r"[\w.-]{1,255}")
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Items of a list, from the place `first` on, as JSON."""

    first: int
    count: int
    text: str


def reference(items_id: UUID, count: int) -> dict[str, Any]:
    return {"stored_items": str(items_id), "count": count}


def referenced(value: object) -> UUID | None:
    """Return the id of the items that the value stands for, if it is a reference."""
    if not isinstance(value, Mapping) or value.keys() != _FIELDS or not isinstance(value["stored_items"], str):
        return None
    try:
        return UUID(value["stored_items"])
    except ValueError:
        return None


def references_in(value: object) -> Iterator[UUID]:
    """Yield the ids of all references in a value."""
    if (found := referenced(value)) is not None:
        yield found
    elif isinstance(value, Mapping | list):
        for nested in value.values() if isinstance(value, Mapping) else value:
            yield from references_in(nested)


def with_items(value: Any, lists: Mapping[UUID, Sequence[Any]]) -> Any:
    """Return the value with the items in place of their references: in a list, they become elements of it.

    A reference to unknown items stays as it is.
    """
    if isinstance(value, list):
        elements: list[Any] = []
        for nested in value:
            if (items_id := referenced(nested)) is not None and items_id in lists:
                elements.extend(lists[items_id])
            else:
                elements.append(with_items(nested, lists))
        return elements
    if (items_id := referenced(value)) is not None and items_id in lists:
        return list(lists[items_id])
    return {key: with_items(nested, lists) for key, nested in value.items()} if isinstance(value, Mapping) else value


def parts_of(items: Sequence[Any]) -> Iterator[Part]:
    """Yield the items in parts of about 128 KB, or one item if that is larger."""
    texts: list[str] = []
    size = first = 0
    for place, item in enumerate(items):
        text = json.dumps(item, ensure_ascii=False)
        if texts and size + len(text) > _PART_BYTES:
            yield Part(first, len(texts), f"[{','.join(texts)}]")
            texts, size, first = [], 0, place
        texts.append(text)
        size += len(text)
    if texts:
        yield Part(first, len(texts), f"[{','.join(texts)}]")


def terms_in(text: str) -> Collection[str]:
    """Return what may be mail addresses or ids in a text that is JSON, in lower case.

    More than what is an address does no harm: hashes of it are only compared.
    """
    plain = _ESCAPE.sub(" ", text).lower()
    terms = {match[0] for match in _ID.finditer(plain)}
    terms |= {f'"{match[1]}"@{match[2].strip(".-")}' for match in _QUOTED.finditer(text.lower())}
    place = -1
    while (place := plain.find("@", place + 1)) >= 0:
        domain = _DOMAIN.match(plain, place + 1)
        local = _SEPARATOR.split(plain[max(0, place - _MAX_LOCAL_PART) : place])[-1]
        if domain is not None:
            # As in the query of a URL, only the end may belong to the address.
            starts = (at for at in range(len(local)) if at == 0 or not _INSIDE_WORD.match(local[at - 1]))
            terms |= {f"{local[start:]}@{domain[0].strip('.-')}" for start in starts}
    return terms
