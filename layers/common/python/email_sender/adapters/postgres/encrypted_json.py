"""JSON in encrypted columns, with the hashes by which an erasure finds a person in it."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from email_sender.adapters.postgres.database import Row
from email_sender.errors import InvalidInput
from email_sender.security.ports import TenantKeys
from email_sender.workflows.stored_items import terms_in

# Contexts of encryption: a ciphertext decrypts only in the column for which it was encrypted.
INPUTS: Final = "runs.inputs"
RUN_ERROR: Final = "runs.error"
RESULT: Final = "run_steps.result"
STEP_ERROR: Final = "run_steps.error"
ATTRIBUTES: Final = "contacts.attributes"
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_UNSTORABLE: Final = "The input contains a value that the database cannot store."


class NoKeys:
    """The keys of a unit of work that has none. Implements security.ports.TenantKeys: each use raises LookupError."""

    def encrypt(self, plaintext: str, context: str) -> bytes:  # noqa: ARG002 - named by the port
        raise _no_keys(context)

    def decrypt(self, ciphertext: bytes, context: str) -> str:  # noqa: ARG002
        raise _no_keys(context)

    def fingerprint(self, value: str) -> bytes:  # noqa: ARG002
        raise _no_keys("a hash")


def encrypted(keys: TenantKeys, value: object, context: str) -> bytes | None:
    """Return the value as encrypted JSON. None stays None."""
    return None if value is None else keys.encrypt(_json(value), context)


def decrypted(keys: TenantKeys, row: Row, column: str, context: str) -> Any:
    """Return the value of the column `<column>_enc`, or of the plain column.

    Only code of an older release fills the plain one: after a return to it, its value is the newer one.
    """
    plain, ciphertext = row[column], row[f"{column}_enc"]
    return plain if plain or ciphertext is None else json.loads(keys.decrypt(bytes(ciphertext), context))


def attributes_of(keys: TenantKeys, row: Row) -> dict[str, Any]:
    """Return a contact's attributes: the encrypted ones, and over them what older code wrote without seeing those."""
    ciphertext = row["attributes_enc"]
    stored = {} if ciphertext is None else json.loads(keys.decrypt(bytes(ciphertext), ATTRIBUTES))
    return {**stored, **row["attributes"]}


def term_hashes(keys: TenantKeys, *values: object) -> list[bytes]:
    """Return the hashes of the mail addresses and ids in values."""
    return [keys.fingerprint(term) for value in values if value is not None for term in terms_in(_json(value))]


def tag_hashes(keys: TenantKeys, tags: object) -> list[bytes]:
    """Return the hashes of a contact's tags. What is no list of texts has none."""
    names: Sequence[object] = tags if isinstance(tags, list | tuple) else ()
    # The prefix keeps a tag that is an address apart from the address.
    return sorted({keys.fingerprint(f"tag:{name}") for name in names if isinstance(name, str)})


def search_hashes(keys: TenantKeys, terms: Iterable[str]) -> list[int]:
    """Return hashes of search terms as numbers of 64 bits, which take a quarter of the space of whole ones."""
    return sorted(int.from_bytes(keys.fingerprint(f"search:{term}")[:8], signed=True) for term in terms)


def id_or_none(value: object) -> UUID | None:
    """Return the id that a text is, if it is one."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _json(value: object) -> str:
    """Return the value as JSON. Like a column of jsonb, it has no NUL, no half of a surrogate pair, and no NaN."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except ValueError as error:
        raise InvalidInput(_UNSTORABLE) from error
    if _NUL.search(text):
        raise InvalidInput(_UNSTORABLE)
    return text


def _no_keys(purpose: str) -> LookupError:
    return LookupError(f"This unit of work has no keys, and needs them for {purpose}.")
