"""Turn a question about somebody into what that person would write: "who wants a loan?" becomes "I want a loan".

Mail is written in the first person. A sentence embedding of the same statement in the first person lies much closer to
the mail (docs/guides/search.md has the figures). Only English is rewritten.
"""

import re

_ANYBODY = (
    r"(?:(?:a|an|any|some|the|all|those|other|private)\s+)*"
    r"(?:someone|somebody|anyone|anybody|everyone|everybody|persons?|people|individuals?|m[ae]n|wom[ae]n|folks|those|"
    r"users?|customers?|clients?|contacts?|members?|staff)"
)
_REQUEST = re.compile(
    r"^(?:please\s+)?(?:(?:find|show|list|give|tell|search\s+for|look\s+for|looking\s+for)\s+(?:me\s+|us\s+)?|"
    r"(?:i|we)\s+(?:need|want|am\s+looking\s+for|are\s+looking\s+for)\s+)(?:all\s+)?(?=" + _ANYBODY + r"\b)",
    re.IGNORECASE,
)
_WHOSE = re.compile(rf"^{_ANYBODY}\s+whose\s+(.+)$", re.IGNORECASE)
_WHO = re.compile(rf"^(?:{_ANYBODY}\s+)?(?:who|that)\s+(.+)$", re.IGNORECASE)
_WHICH = re.compile(rf"^(?:which|what)\s+{_ANYBODY}\s+(.+)$", re.IGNORECASE)
_DOING = re.compile(rf"^{_ANYBODY}\s+((?:\w+ly\s+)?\w+ing\b.*)$", re.IGNORECASE)
_OWNER = re.compile(r"^(?:an?\s+|the\s+)?owners?\s+of\s+(.+)$", re.IGNORECASE)
# What comes before "who" is a person, unless it is a sentence or a question of another kind.
_PERSON = (
    r"(?!(?:i|we|you|it|my|our|is|are|do|does|can|what|how|why|when|where)\b)"
    r"((?:(?!\b(?:is|are|was|were|want|need|have|has|do|does|can|i)\b)[^,.?!]){2,60}?)"
)
_ROLE_WHO = re.compile(rf"^(?:which\s+)?{_PERSON}\s+(?:who|that)\s+(.+)$", re.IGNORECASE)
_ROLE_WHOSE = re.compile(rf"^{_PERSON}\s+whose\s+(.+)$", re.IGNORECASE)
# "A company in Bonn that …" and "An employer with open positions", but not "a loan".
_ROLE = re.compile(r"^(?:an?|the)\s+\S+(?:\s+\S+){2}", re.IGNORECASE)
_BE = re.compile(r"^(?:is|are)\s+(.+)$", re.IGNORECASE)

_IRREGULAR_VERBS = {
    "doesn't": "don't",
    "hasn't": "haven't",
    "isn't": "am not",
    "aren't": "am not",
    "weren't": "wasn't",
    "has": "have",
    "is": "am",
    "are": "am",
    "does": "do",
    "goes": "go",
    "were": "was",
}
# Words that end in s and are no verb in the third person.
_OTHER_WORDS = frozenset(("always", "as", "his", "its", "across", "perhaps", "was", "this", "thus", "us", "towards"))
_FIRST_WORD = re.compile(r"^[\w']+")
_SECOND_VERB = re.compile(r"\b(and|or|who|but)\s+([a-z]{2,}s)\b(?!\s+(?:of|for|and|or|,))")


def first_person(question: str) -> str:
    """Return an English question about somebody as that person's own statement; other texts stay unchanged."""
    text = _REQUEST.sub("", question.strip().rstrip("?.! "))
    if match := _WHOSE.match(text):
        return _own(f"my {match[1]}")
    if match := _WHO.match(text):
        return _own(_statement(match[1]))
    if match := _WHICH.match(text):
        return _own(_statement(match[1]))
    if match := _DOING.match(text):
        return _own(f"I am {match[1]}")
    if match := _OWNER.match(text):
        return _own(f"I have {_convert_second_verbs(match[1])}")
    if match := _ROLE_WHO.match(text):
        return _own(f"I am {_lower_first(match[1])}. {_statement(match[2])}")
    if match := _ROLE_WHOSE.match(text):
        return _own(f"I am {_lower_first(match[1])}. My {match[2]}")
    if _ROLE.match(text):
        return _own(f"I am {_lower_first(text)}")
    return text


def _statement(predicate: str) -> str:
    """Return "I …" with the verbs of the predicate in the first person."""
    if match := _BE.match(predicate):
        return f"I am {_convert_second_verbs(match[1])}"
    converted = _FIRST_WORD.sub(lambda match: _first_person_verb(match[0]), predicate)
    # "who sells and fixes", but not "who can sell bikes and fixes".
    return f"I {predicate if converted == predicate else _convert_second_verbs(converted)}"


def _convert_second_verbs(text: str) -> str:
    """Convert the verbs after "and", "or", "but" and "who", as in "has a shop and wants to sell it"."""

    def convert(match: re.Match[str]) -> str:
        verb = _first_person_verb(match[2])
        return match[0] if verb == match[2] else f"{'and I' if match[1] == 'who' else match[1]} {verb}"

    return _SECOND_VERB.sub(convert, text, count=2)


def _first_person_verb(verb: str) -> str:
    word = verb.lower()
    if word in _IRREGULAR_VERBS:
        return _IRREGULAR_VERBS[word]
    if word in _OTHER_WORDS or not word.endswith("s") or word.endswith("ss") or len(word) < 4:
        return verb
    if word.endswith("ies") and len(word) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if word.endswith(("shes", "ches", "xes", "sses", "zzes", "oes")) else verb[:-1]


_OWN_WORDS = (
    (re.compile(r"\beach other's\b", re.IGNORECASE), "your"),
    (re.compile(r"\b(?:his|her|their)\b", re.IGNORECASE), "my"),
    (re.compile(r"\b(?:himself|herself|themselves|themself)\b", re.IGNORECASE), "myself"),
    (re.compile(r"\b(?:he|she|they)\s+were\b", re.IGNORECASE), "I was"),
    (re.compile(r"\b(?:he|she|they)\s+(?:is|are)\b", re.IGNORECASE), "I am"),
    (re.compile(r"\b(?:he|she|they)\s+has\b", re.IGNORECASE), "I have"),
    (re.compile(r"\b(?:he|she|they)\b", re.IGNORECASE), "I"),
)


def _own(text: str) -> str:
    """Return the text with the pronouns of the third person in the first."""
    for pattern, word in _OWN_WORDS:
        text = pattern.sub(word, text)
    return text


def _lower_first(text: str) -> str:
    """Return the text with a small first letter, unless its first word is a name or an abbreviation."""
    is_word = (len(text) > 1 and text[1].islower()) or text[:2] == "A "
    return text[0].lower() + text[1:] if is_word else text
