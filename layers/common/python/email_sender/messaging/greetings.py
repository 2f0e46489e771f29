"""The name to greet somebody with. Display names are written in many ways, and a wrong name is worse than none."""

import re
from typing import Any

# Stands for a name that is not known. It is invisible, and false in a template's condition.
_NOBODY = "\u2060"
_BEFORE_NOBODY = re.compile(rf"[ \u00a0]*{_NOBODY}")
_ADDRESS = re.compile(r"\S+@\S+|\S+\.\S+\.\S+")
_VIA = re.compile(
    r"\s+(?:via|durch|über|on behalf of|im auftrag von|par|vía|tramite)\s.*$|\s[|/–—]\s.*$", re.IGNORECASE
)
_REMARK = re.compile(r"\s*\([^()]*\)")
# Words of a mailbox that several people or none read.
_NOT_A_PERSON = re.compile(
    r"\b(?:team|support|sales|info|office|service|kundenservice|helpdesk|department|newsletter|no[- ]?reply|admin|"
    r"administrator|webmaster|billing|accounts?|noreply|gmbh|ag|inc|ltd|llc|corp|company|group|list|mailer|system|"
    r"notifications?|customer|vertrieb|buchhaltung|rechnung|bewerbung|contact|kontakt|hello|marketing|press|jobs)\b|[&@0-9#]",
    re.IGNORECASE,
)
_FAMILY_NAME_FIRST = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class UnknownName(str):
    """A name that is not known: false in a condition, and nothing where a template writes it."""

    __slots__ = ()

    def __new__(cls) -> "UnknownName":
        return super().__new__(cls, _NOBODY)

    def __bool__(self) -> bool:
        return False


def first_name(display_name: str | None) -> str:
    """Return the given name in a display name, or UnknownName if there is none to greet somebody with.

    `Doe, John`, `'John'`, `Dr. John Doe`, `JOHN DOE` and `John Doe via List` are John. An address, a company, a title
    with a family name alone (`Herr Doe`), an initial and a name that begins with the family name are nobody.
    """
    from nameparser import HumanName

    name = _REMARK.sub("", _VIA.sub("", _strip_quotes(display_name or ""))).strip()
    if not name or _ADDRESS.search(name) or _NOT_A_PERSON.search(name) or _FAMILY_NAME_FIRST.search(name):
        return UnknownName()
    parsed: Any = HumanName(name)
    given = str(parsed.first).strip("'\"., ")
    is_family_name = bool(parsed.title) and not parsed.last and str(parsed.title).lower() not in ("sir", "dame")
    if len(given) < 2 or not any(char.isalpha() for char in given) or is_family_name or "." in given:
        return UnknownName()
    return _with_case(given)


def without_unknown_names(text: str) -> str:
    """Return the rendered text with the greeting repaired: `Hello ,` becomes `Hello,`."""
    return _BEFORE_NOBODY.sub("", text)


def _strip_quotes(name: str) -> str:
    stripped = " ".join(name.split())
    while len(stripped) > 1 and stripped[0] in "'\"‘“(<[" and stripped[-1] in "'\"’”)>]":
        is_bracket = stripped[0] in "(<["
        stripped = "" if is_bracket else stripped[1:-1].strip()
    return stripped


def _with_case(name: str) -> str:
    """Return names in capitals or small letters as one writes them: `MARIA-LUISE` is Maria-Luise."""
    if not (name.isupper() or name.islower()):
        return name
    return "".join(part.capitalize() if part.isalpha() else part for part in re.split(r"([-' ])", name))
