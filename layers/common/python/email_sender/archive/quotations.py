"""Find the lines of a mail that repeat earlier mail: quoted lines, the line that introduces them, and copied headers.

Clients write these lines in dozens of languages, so no list of words can find them. What such a line says about the
earlier mail can: its date, its author's name or address, a colon at the end, a quotation beside it.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

# The line of an attribution that the HTML itself marks as one. The word joiner is invisible.
ATTRIBUTION_MARK = ">\u2060 "
_QUOTED_LINE = re.compile(r"\s{0,4}(?:[>＞]|\|\s(?!.*\|\s*$)|\|$)")
_OMISSION_MARK = re.compile(r"\s{0,8}[\[<(]?(?:\.{2,5}|…|snip(?:ped)?)[\])>]?\s{0,8}", re.IGNORECASE)
_SUPERCITE = re.compile(r"^>{2,}\s\"([^\"\n]{1,20})\"\s==\s.{1,200}$", re.MULTILINE)
# "MF> " before each line, as The Bat! writes it, on two lines. Command prompts look the same.
_INITIALS = re.compile(
    r"^[ \t]{0,4}(?!SQL|FTP|DOS|CMD|PS)([A-Z][A-Za-z]{0,3})>+ .*\n(?:[ \t]*\n)?[ \t]{0,4}\1>", re.MULTILINE
)
# Supercite, with its attribution: `>>>>> On …, Ann said:` above `    Ann> ` before each line.
_SUPERCITE_NAME = re.compile(r"^>{4,6} .*:[ \t]*\n(?:[ \t]*\n)*[ \t]{2,8}(\S{1,40}?)>", re.MULTILINE)
_ATTRIBUTION_END = re.compile(
    r"\b(?:wrote|writes|write|said|says|typed|spake|schrieb|écrit|écrivait|escribió|ha scritto|scrisse|schreef)\b"
    r"[^.!?]{0,80}[:;,.>-]?\s*$"
    r"|^\s*(?:>+ ?\"|quoting\s.{1,100}:\s*$|in article\s|in message\s)",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"\s*(?:from|to|cc|date|sent|subject|message-id)\s?:\s", re.IGNORECASE)
_GREETING = re.compile(
    r"\s*(?:dear|hi|hello|hey|hallo|liebe[rs]?|sehr geehrte\w*|bonjour|cher|chère|hola|estimad[oa]|ciao|gentile|caro|"
    r"beste|hej|kære|kjære|bästa|olá|prezad[oa])\b",
    re.IGNORECASE,
)
# Dates and times in any language: numbers and their separators. Digits of other scripts are mapped to ASCII first.
_NUMERIC_DATE = re.compile(
    r"\b\d{4}\s?[-./年년]\s?\d{1,2}\s?[-./月월]\s?\d{1,2}|\b\d{1,2}\.?\s?[-./]\s?\d{1,2}\.?\s?[-./]\s?\d{2,4}\b"
)
_YEAR = re.compile(r"(?<!\d)(?:1[34]|19|20|25)\d\d(?!\d)")
_DAY = re.compile(r"(?<![\d:.])\d{1,2}(?![\d:])")
_TIME = re.compile(r"(?<!\d)[0-2]?\d\s?[:.h٫時시点點]\s?[0-5]\d(?!\d)|\b\d{1,2}\s?[ap]\.?\s?m\b", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:]{1,64}@[^\s<>()\[\]\"',;:]{1,255}\.[^\s<>()\[\]\"',;:]{2,63}")
# Yahoo's app goes on in the line of the attribution, after some spaces.
_RUN_ON = re.compile(r"(?<=[:：])\s{2,}\S.*")
_COLON_END = re.compile(r"[:：﹕︰׃៖፦፡]\s*$|[:：]\s*[\"“«]?\s*$")
_SENTENCE_END = re.compile(r"[.!?。！？؟…]\s*$")
_RULE_LINE = re.compile(r"\s*[-_=*—–━─═]{2,}.{0,80}?[-_=*—–━─═]{2,}\s*|\s*[-_=*—–━─═]{5,}\s*")
_FORWARD_LINE = re.compile(r"\s*-{2,}\s?(?:begin )?(?:forwarded|original) (?:message|text)\b.{0,80}", re.IGNORECASE)
_LABELLED_LINE = re.compile(r"\s{0,4}[*_]{0,2}([^\W\d_][^:：\n]{0,24}?)[*_]{0,2}\s?[:：][*_]{0,2}\s?(.*)")
_REPLY_PREFIX = re.compile(r"^\s*(?:\[[^\]]{1,40}\]\s*|[^\W\d_]{1,12}(?:\[\d+\])?\s?[:：]\s*)+")
_FORMAT_MARKS = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff*]")
_MAX_ATTRIBUTION = 500
# Words of an attribution without a date, an address or a known name.
_MAX_BARE_ATTRIBUTION = 5
_MAX_LABELLED_LINES = 12


@dataclass(frozen=True, slots=True)
class Correspondence:
    """What is known of the conversation: the names and addresses of the other people, and the message's subject."""

    names: Sequence[str] = ()
    addresses: Sequence[str] = ()
    subject: str = ""


def remove_quoted_lines(text: str, known: Correspondence) -> str:
    """Remove quoted lines and the attribution beside them, anywhere in the text: people also reply between quotes."""
    initials = {re.escape(match.group(1)) for match in _SUPERCITE.finditer(text)}
    initials.update(match.group(1) for match in _INITIALS.finditer(text))
    initials.update(re.escape(match.group(1)) for match in _SUPERCITE_NAME.finditer(text))
    initials_quote = re.compile(rf"\s{{0,6}}(?:{'|'.join(sorted(initials))})>+") if initials else None
    own_lines: list[str] = []
    in_quote = False
    for line in _mark_indented_quotes(text.split("\n"), known):
        if _QUOTED_LINE.match(line) or (initials_quote and initials_quote.match(line)):
            if not in_quote and not line.startswith(ATTRIBUTION_MARK):
                _drop_attribution(own_lines, known)
            in_quote = True
        else:
            in_quote = in_quote and not line.strip()
            own_lines.append(line)
    return "\n".join(own_lines)


def _mark_indented_quotes(lines: list[str], known: Correspondence) -> list[str]:
    """Put "> " before lines that an attribution introduces and a tab marks as quoted, as mailx writes them."""
    if not any(line.startswith("\t") for line in lines):
        return lines
    marked = list(lines)
    for number, line in enumerate(lines):
        follows = next((below for below in lines[number + 1 : number + 3] if below.strip()), "")
        if line.strip() and follows.startswith("\t") and _attribution_strength(_plain(line), known) == 2:
            end = number + 1
            while end < len(lines) and (lines[end].startswith("\t") or not lines[end].strip()):
                marked[end] = f"> {lines[end].strip()}" if lines[end].strip() else lines[end]
                end += 1
    return marked


def cut_history(text: str, known: Correspondence) -> str:
    """Cut the text where earlier mail follows without quotation marks.

    It follows copied headers (Outlook, forwards) or an attribution line (web mail). If the text begins with headers and
    has quoted lines later, the author answers between them, and only the headers go. Headers at the start may also be a
    form and stay, unless a line of dashes above them shows a forwarded mail.
    """
    lines = text.split("\n")
    last_quoted = max((number for number, line in enumerate(lines) if _QUOTED_LINE.match(line)), default=-1)
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        block_length = _header_block_length(lines, number, known)
        if not block_length and (last_quoted >= 0 or not _introduces_history(lines, number, known)):
            continue
        end = number
        while block_length and end and _LABELLED_LINE.fullmatch(lines[end - 1]):
            end -= 1
        while end and (not lines[end - 1].strip() or _is_rule(lines[end - 1])):
            end -= 1
        if any(own.strip() for own in lines[:end]) or any("forward" in above.lower() for above in lines[end:number]):
            return "\n".join(lines[:end])
        if last_quoted > number:
            return "\n".join(lines[number + block_length :])
        return "" if any(_is_rule(above) for above in lines[end:number]) else text
    return text


def _is_rule(line: str) -> bool:
    return bool(_RULE_LINE.fullmatch(line) or _FORWARD_LINE.fullmatch(line))


def _drop_attribution(lines: list[str], known: Correspondence) -> None:
    """Remove the lines at the end that introduce a quotation: an attribution of up to four lines, or headers."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _OMISSION_MARK.fullmatch(lines[end - 1])):
        end -= 1
    start = end
    while start and end - start < 8 and _HEADER_LINE.match(lines[start - 1]):
        start -= 1
    if end - start >= 2:
        del lines[start:]
        return
    start = end - _attribution_length(lines[max(0, end - 4) : end], known)
    if start < end:
        while start and _RULE_LINE.fullmatch(lines[start - 1]):
            start -= 1
        del lines[start:]
    elif end and _RULE_LINE.fullmatch(lines[end - 1]):
        del lines[end - 1 :]


def _attribution_length(lines: Sequence[str], known: Correspondence) -> int:
    """Return how many of the last lines are an attribution: the fewest that name a date and an author, else one sign.

    A line that ends a sentence belongs to the author's own text.
    """
    best = 0
    for length in range(1, len(lines) + 1):
        first = lines[-length]
        if not first.strip() or (length > 1 and _SENTENCE_END.search(_plain(first)) and not _has_date(_plain(first))):
            break
        attribution = _plain(" ".join(lines[-length:]))
        if len(attribution) > _MAX_ATTRIBUTION:
            break
        strength = _attribution_strength(attribution, known)
        if strength == 2 and (length == 1 or _continues(first, lines[-length + 1 :], known)):
            return length
        # A line of one or two words ("wrote:") is the end of an attribution whose author stands above it.
        if strength == 1 and (best == 0 or len(lines[-best].split()) <= 2):
            best = length
    return best


def _continues(first: str, rest: Sequence[str], known: Correspondence) -> bool:
    """Return whether `first` is the beginning of the attribution: the rest alone lacks the date or the author."""
    plain = _plain(first)
    has_full_date = _has_date(plain) and (bool(_TIME.search(plain)) or bool(_YEAR.search(plain)))
    rest_has_author = _names_author(_plain(" ".join(rest)), known)
    return has_full_date or not rest_has_author


def _attribution_strength(line: str, known: Correspondence) -> int:
    """Return 2 if the line names the date and the author of an earlier mail, 1 if one sign suffices, else 0."""
    ends_with_colon = bool(_COLON_END.search(line))
    has_date, has_time = _has_date(line), bool(_TIME.search(line))
    names_author = _names_author(line, known)
    has_verb = bool(_ATTRIBUTION_END.search(line))
    if not (ends_with_colon or has_verb or (has_date and (has_time or names_author))):
        return 0
    if has_date and (names_author or has_verb) and (has_time or not _SENTENCE_END.search(line)):
        return 2
    if has_date and has_time and ends_with_colon:
        return 2
    is_address = names_author and bool(_ADDRESS.search(line))
    # "I like what Anna and Paul wrote:" is the author's own sentence.
    is_prose = not (names_author or has_date or _WEEKDAY.search(line)) and len(line.split()) > _MAX_BARE_ATTRIBUTION
    if (has_verb and not is_prose) or (
        ends_with_colon and (is_address or (names_author and not _GREETING.match(line)))
    ):
        return 1
    return 1 if has_date and has_time and not _SENTENCE_END.search(line) and len(line) <= 200 else 0


def _has_date(line: str) -> bool:
    if _NUMERIC_DATE.search(line):
        return True
    year = _YEAR.search(line)
    return bool(year and _DAY.search(line[: year.start()] + " " + line[year.end() :])) or bool(
        _WEEKDAY.search(line) and _DAY.search(line)
    )


_WEEKDAY = re.compile(r"\b(?:mon|tue|wed|thu|fri|sat|sun)(?:day|sday|nesday|rsday|urday)?\b", re.IGNORECASE)


def _names_author(line: str, known: Correspondence) -> bool:
    if _ADDRESS.search(line):
        return True
    folded = line.casefold()
    for name in known.names:
        words = [word for word in re.split(r"[\s,]+", _plain(name).casefold().strip("'\" ")) if word]
        if words and (" ".join(words) in folded or (len(words) > 1 and all(word in folded for word in words))):
            return True
    return False


def _header_block_length(lines: Sequence[str], start: int, known: Correspondence) -> int:
    """Return how many lines of copied headers begin here, or 0.

    Copied headers are labelled lines that name the author, the date and perhaps the subject.
    """
    first = _LABELLED_LINE.fullmatch(lines[start])
    if not first or not first.group(2).strip():
        return 0
    has_rule = any(_is_rule(line) for line in lines[max(0, start - 2) : start])
    values: list[str] = []
    blank = length = 0
    for length, line in enumerate(lines[start : start + 2 * _MAX_LABELLED_LINES]):
        match = _LABELLED_LINE.fullmatch(line)
        if match:
            values.append(_plain(match.group(2)))
            blank = 0
        elif not line.strip() and not blank and len(values) < 3:
            blank = 1
        elif not line.strip() or len(values) >= _MAX_LABELLED_LINES or _is_rule(line):
            break
        elif values and (line[0] in " \t" or "@" in line or _is_wrapped(lines, start + length)):
            values[-1] += " " + _plain(line)
        else:
            break
    head = values[:6]
    dated = any(_has_date(value) and (_TIME.search(value) or _YEAR.search(value)) for value in head)
    authored = any(_names_author(value, known) for value in head[:3])
    titled = bool(known.subject) and any(_same_subject(value, known.subject) for value in head)
    signs = dated + authored + titled
    is_block = len(values) >= 3 and (signs >= 3 or (signs == 2 and (titled or has_rule or len(values) >= 4)))
    return max(length, 1) if is_block else 0


def _is_wrapped(lines: Sequence[str], number: int) -> bool:
    """Return whether this short line continues a header: the next line is a header again."""
    next_line = lines[number + 1] if number + 1 < len(lines) else ""
    return len(lines[number]) <= 60 and bool(_LABELLED_LINE.fullmatch(next_line))


def _same_subject(value: str, subject: str) -> bool:
    return _core_subject(value) == _core_subject(subject) != ""


def _core_subject(subject: str) -> str:
    return _REPLY_PREFIX.sub("", subject).strip().casefold()


def _introduces_history(lines: Sequence[str], start: int, known: Correspondence) -> bool:
    """Return whether an attribution of one to three lines stands here alone, with text above and below it."""
    if start == 0 or lines[start - 1].strip():
        return False
    end = start
    while end < len(lines) and lines[end].strip():
        end += 1
    for length in range(1, min(3, end - start) + 1):
        attribution = _RUN_ON.sub("", _plain(" ".join(lines[start : start + length])))
        if len(attribution) > _MAX_ATTRIBUTION or _QUOTED_LINE.match(lines[start + length - 1]):
            return False
        if _COLON_END.search(attribution):
            dated = _has_date(attribution) and bool(_TIME.search(attribution) or _ADDRESS.search(attribution))
            return dated and _names_author(attribution, known) and not _GREETING.match(attribution)
    return False


def _plain(line: str) -> str:
    """Return the line with ASCII digits, and without marks of direction and emphasis."""
    text = _FORMAT_MARKS.sub("", line).replace("\u00a0", " ").replace("\u202f", " ")
    if not text.isascii():
        text = "".join(
            str(unicodedata.digit(char)) if char.isdigit() and not char.isascii() and unicodedata.digit(char, -1) >= 0
            else char
            for char in text
        )  # fmt: skip
    return text.strip()
