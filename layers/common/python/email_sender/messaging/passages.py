"""Choose what to quote of a message: whole sentences, without the greeting, empty lines and rulers.

Lines that a mail program wrapped become one again (RFC 3676 calls such text "fixed").
"""

import re
from collections.abc import Sequence

_SENTENCE_END = re.compile(r"(?<=[.!?。！？؟…])[\"'”’)]*\s+")
_GREETING_LINE = re.compile(
    r"\s*(?:hi|hello|hey|dear|hallo|guten (?:tag|morgen)|liebe[rs]?|sehr geehrte\w*|bonjour|hola|buenos d[ií]as|ciao|"
    r"hej|moin|good (?:morning|afternoon|evening)|all|folks|greetings)\b[^.!?\n]{0,60}[,!.:]?\s*$",
    re.IGNORECASE,
)


# Mail programs wrap at 65 to 78 characters, so that a line of this length has been full.
_FULL_LINE = 55
_RULER = re.compile(r"[\W_]*")
_STARTS_ANEW = re.compile(r"[-*•>#|+]|\d+[.)]\s")


def _unwrapped(lines: Sequence[str]) -> str:
    """Return the lines without the empty ones, and with those joined that belong together."""
    joined: list[str] = []
    is_full = False
    for line in lines:
        if _RULER.fullmatch(line):
            is_full = False
        elif is_full and not _STARTS_ANEW.match(line):
            joined[-1] += f" {line}"
        else:
            joined.append(line)
        is_full = bool(line) and len(line) >= _FULL_LINE and not _RULER.fullmatch(line)
    return "\n".join(joined)


# Marks of answers and forwards in the languages of mail programs, and names of lists.
_MARKS = re.compile(
    r"\s*(?:\[[^\]]{1,40}\]|(?:re|fwd?|aw|wg|sv|vs|rv|tr|antw|odp|ynt|ilt|res|enc|回复|回覆|答复|转发|轉寄|회신|전달)"
    r"(?:\[\d+\])?\s?[:：])",
    re.IGNORECASE,
)


def topic_of(subject: str) -> str:
    """Return a subject without what mail programs and lists put before it: `Re: [list] Offer` is Offer."""
    topic = subject
    while (mark := _MARKS.match(topic)) and topic[mark.end() :].strip():
        topic = topic[mark.end() :]
    return topic.strip()


def choose_passage(text: str, limit: int) -> str:
    """Return the beginning of a text, at most `limit` characters, cut after a sentence if one fits, else at a word."""
    lines = [line.strip() for line in text.split("\n")]
    while lines and (not lines[0] or _GREETING_LINE.match(lines[0])):
        lines.pop(0)
    whole = _unwrapped([re.sub(r"[ \t]+", " ", line) for line in lines]) or " ".join(text.split())
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
