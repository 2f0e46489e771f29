"""Addresses as people write them, made comparable."""

import re
import unicodedata
from dataclasses import dataclass
from email.utils import getaddresses

from email_sender.errors import InvalidInput

_MAX_NAME = 320
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LITERAL = re.compile(r"\[[0-9a-z:.]{2,60}\]")
_ATOMS = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_QUOTED = re.compile(r"\"[^\"\\\r\n\x00-\x1f\x7f-\x9f\ud800-\udfff]+\"")
_LOOSE = re.compile(r"[^\s<>\"(),:;@]{1,64}@[^\s<>\"(),:;@]{1,255}")


@dataclass(frozen=True, slots=True)
class Address:
    """`email` is normalised; `name` is for people to read and may be empty."""

    name: str
    email: str


def normalise_address(email: str) -> str:
    """The one form of an address, for equality: trimmed, NFC, IDNA (2003, the standard library's), lower case.

    A local part that needs no quotes loses them. Domains of one label are allowed (`root@localhost`). Applied to its
    own answer it changes nothing. Raises InvalidInput, without the address in it, for what is not one address.
    """
    text = unicodedata.normalize("NFC", email.strip())
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or len(text) > 320:
        raise InvalidInput("An address is a local part, @ and a domain, at most 320 characters long")
    # Lower-casing can undo NFC, and once normalised a letter may have a lower case of its own.
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local.lower()).lower())
    if _QUOTED.fullmatch(local) and _ATOMS.fullmatch(local[1:-1]):
        local = local[1:-1]
    if not (_ATOMS.fullmatch(local) or _QUOTED.fullmatch(local)) or len(local.encode()) > 64:
        raise InvalidInput("The part of an address before @ has characters that do not belong there, or is too long")
    return f"{local}@{_domain(domain)}"


def read_addresses(header: str) -> list[Address]:
    """The addresses of a From, To or Cc header, each once, names as they stand; what is no address is left out."""
    try:
        pairs = getaddresses([header])
        if not any(email for _, email in pairs):
            # Strict reading refuses a whole header for one odd name; a lenient one finds the others.
            pairs = getaddresses([header], strict=False)
    except (RecursionError, ValueError, IndexError, TypeError):
        pairs = []
    found = _valid(pairs)
    return found or _valid([("", match.group()) for match in _LOOSE.finditer(header)])


def _valid(pairs: list[tuple[str, str]]) -> list[Address]:
    found: dict[str, Address] = {}
    for name, email in pairs:
        try:
            normal = normalise_address(email)
        except InvalidInput:
            continue
        found.setdefault(normal, Address(name[:_MAX_NAME], normal))
    return list(found.values())


def _domain(domain: str) -> str:
    domain = domain.lower().rstrip(".")
    if _LITERAL.fullmatch(domain):
        return domain
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii").lower()
    except (UnicodeError, IndexError):
        domain = ""
    if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise InvalidInput("The part of an address after @ is not a domain name")
    return domain
