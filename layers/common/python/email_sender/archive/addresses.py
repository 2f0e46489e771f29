"""Parse and normalise email addresses."""

import re
import unicodedata
from dataclasses import dataclass, field
from email.utils import getaddresses

import idna

from email_sender.errors import InvalidInput

_MAX_NAME = 320
_DOMAIN_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_ADDRESS_LITERAL = re.compile(r"\[[0-9a-z:.]{2,60}\]")
_UNQUOTED_LOCAL_PART = re.compile(r"[^\s\"(),:;<>@\[\\\]\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_QUOTED_LOCAL_PART = re.compile(r"\"[^\"\\\r\n\x00-\x1f\x7f-\x9f\ud800-\udfff]+\"")
_LOOSE_ADDRESS = re.compile(r"[^\s<>\"(),:;@]{1,64}@[^\s<>\"(),:;@]{1,255}")


@dataclass(frozen=True, slots=True)
class Address:
    """An email address. `email` is normalised; `name` is the display name and may be empty.

    `mailbox` is the address to send to: servers may tell apart the case of the local part.
    """

    name: str
    email: str
    mailbox: str = field(default="", compare=False)


def normalise_address(email: str) -> str:
    """Return the canonical form of an address, for comparison: `clean_address` in lower case.

    Raises:
        InvalidInput: the text is not one address. The error does not contain the address.
    """
    local, _, domain = clean_address(email).rpartition("@")
    # Lower-casing can undo NFC, and normalising again can produce a letter that has a lower case of its own.
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local.lower()).lower())
    return f"{local}@{domain}"


def clean_address(email: str) -> str:
    """Return the address in the form to send to. The local part keeps its case.

    The address is trimmed and NFC-normalised, and its domain is encoded with UTS 46, non-transitional: straße.example
    is not strasse.example. Quotes around a local part that needs none are removed. Domains of one label are allowed
    (`root@localhost`). Cleaning the result again returns the same address.

    Raises:
        InvalidInput: the text is not one address. The error does not contain the address.
    """
    text = unicodedata.normalize("NFC", email.strip())
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain or len(text) > 320:
        raise InvalidInput("An address needs a local part, an @ and a domain, and has at most 320 characters.")
    if _QUOTED_LOCAL_PART.fullmatch(local) and _UNQUOTED_LOCAL_PART.fullmatch(local[1:-1]):
        local = local[1:-1]
    if not (_UNQUOTED_LOCAL_PART.fullmatch(local) or _QUOTED_LOCAL_PART.fullmatch(local)) or len(local.encode()) > 64:
        raise InvalidInput("The part of the address before @ contains invalid characters or is too long.")
    return f"{local}@{_normalise_domain(domain)}"


def read_addresses(header: str) -> list[Address]:
    """Return the valid addresses of a From, To or Cc header, each once. Names are not decoded."""
    try:
        pairs = getaddresses([header])
        if not any(email for _, email in pairs):
            # Strict parsing rejects a whole header because of one odd name; lenient parsing finds the other addresses.
            pairs = getaddresses([header], strict=False)
    except (RecursionError, ValueError, IndexError, TypeError):
        pairs = []
    addresses = _valid_addresses(pairs)
    return addresses or _valid_addresses([("", match.group()) for match in _LOOSE_ADDRESS.finditer(header)])


def without_tag(address: str) -> str:
    """Return the address without a tag: `team+news@acme.example` reaches `team@acme.example`."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part.partition('+')[0] or local_part}@{domain}"


def _valid_addresses(pairs: list[tuple[str, str]]) -> list[Address]:
    addresses: dict[str, Address] = {}
    for name, email in pairs:
        try:
            mailbox = clean_address(email)
        except InvalidInput:
            continue
        normalised_email = normalise_address(mailbox)
        addresses.setdefault(normalised_email, Address(name[:_MAX_NAME], normalised_email, mailbox))
    return list(addresses.values())


def _normalise_domain(domain: str) -> str:
    domain = domain.lower().rstrip(".")
    if _ADDRESS_LITERAL.fullmatch(domain):
        return domain
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError, IndexError):
            domain = ""
    if len(domain) > 253 or not all(_DOMAIN_LABEL.fullmatch(label) for label in domain.split(".")):
        raise InvalidInput("The part of the address after @ is not a domain name.")
    return domain
