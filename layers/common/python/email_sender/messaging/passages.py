"""Choose what to quote of a message: whole sentences, without the greeting and without empty lines."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?。！？؟…])[\"'”’)]*\s+")
_GREETING_LINE = re.compile(
    r"\s*(?:hi|hello|hey|dear|hallo|guten (?:tag|morgen)|liebe[rs]?|sehr geehrte\w*|bonjour|hola|buenos d[ií]as|ciao|"
    r"hej|moin|good (?:morning|afternoon|evening)|all|folks|greetings)\b[^.!?\n]{0,60}[,!.:]?\s*$",
    re.IGNORECASE,
)


def choose_passage(text: str, limit: int) -> str:
    """Return the beginning of a text, at most `limit` characters, cut after a sentence if one fits, else at a word."""
    lines = [line.strip() for line in text.split("\n")]
    while lines and (not lines[0] or _GREETING_LINE.match(lines[0])):
        lines.pop(0)
    whole = "\n".join(re.sub(r"[ \t]+", " ", line) for line in lines if line) or " ".join(text.split())
    if len(whole) <= limit:
        return whole
    passage = ""
    for sentence in _SENTENCE_END.split(whole):
        end = whole.find(sentence, len(passage)) + len(sentence)
        if end > limit:
            break
        passage = whole[:end]
    if passage:
        return passage.rstrip()
    return whole[: limit - 1].rsplit(None, 1)[0].rstrip(" ,;:") + "…"
