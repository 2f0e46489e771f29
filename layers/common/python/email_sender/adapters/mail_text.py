"""What a person wrote: HTML to text by Beautiful Soup, replies and signatures by mail-parser-reply.

Both are imported when first used: only mailbox imports read mail.
"""

import copy
import functools
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bs4 import Tag

_MAX_TEXT = 100_000
# mail-parser-reply's patterns are quadratic in a line's length and in runs of newlines; within these it stays fast.
_MAX_LIBRARY = 20_000
_LINE_HEAD, _LINE_TAIL = 140, 60
_MAX_HTML = 500_000
_MAX_TAGS = 20_000
# English, and what else a text has words of: each language costs as much again.
_LANGUAGES = {
    "de": re.compile(r"schrieb|\bVon:|Gesendet|Gr(?:ü|ue|u)(?:ß|ss)|freundlichen"),
    "fr": re.compile(r"a écrit|Envoyé|[Cc]ordialement|Bien à vous|Bonne "),
    "es": re.compile(r"escribió|Enviado|[Ss]aludos|Atentamente"),
    "it": re.compile(r"ha scritto|Inviato|Cordiali|[Ss]aluti"),
    "nl": re.compile(r"schreef|Verzonden|groet|Hoogachtend"),
}

_QUOTE = re.compile(r"\s{0,4}(?:>|\|\s(?!.*\|\s*$)|\|$)")
_WROTE = re.compile(
    r"\b(?:wrote|writes|write|said|says|typed|spake|schrieb|écrit|écrivait|escribió|ha scritto|scrisse|schreef)\b"
    r"[^.!?]{0,80}[:;,.>-]?\s*$"
    r"|^\s*(?:>+ ?\"|quoting\s.{1,100}:\s*$|in article\s|in message\s)",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"\s*(?:on|at|in|le|am|el|il|op|once upon)\s(?=.*(?:\d|\b(?:mon|tue|wed|thu|fri|sat|sun|today|yesterday|a time)))",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"\s*(?:from|to|cc|date|sent|subject|message-id)\s?:\s", re.IGNORECASE)
_SUPERCITE = re.compile(r"^>{2,}\s\"([^\"\n]{1,20})\"\s==\s.{1,200}$", re.MULTILINE)
# "MF> " before each line, as The Bat! does, on two lines; prompts look the same.
_INITIALS = re.compile(
    r"^[ \t]{0,4}(?!SQL|FTP|DOS|CMD|PS)([A-Z][A-Za-z]{0,3})>+ .*\n(?:[ \t]*\n)?[ \t]{0,4}\1>", re.MULTILINE
)
_FOOTER = re.compile(
    r"^(?:[_=*-]{20,}\s*\n(?=[^\n]{0,200}\bmailing list\b|To unsubscribe)|-+ Yahoo! Groups Sponsor -)",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD = re.compile(
    r"^-{2,} ?(?:begin )?(?:forwarded|original) (?:message|text).{0,200}\Z", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
_SNIP = re.compile(r"\s{0,8}[\[<(]?(?:\.{2,5}|snip(?:ped)?)[\])>]?\s{0,8}", re.IGNORECASE)
_DASHES = re.compile(r"^--\s*$", re.MULTILINE)

_SKIPPED = frozenset(("head", "script", "style", "template", "title", "noscript", "svg", "object"))
_DECLARATION = re.compile(r"<[!?][^<>]{0,1000}>?")
_TAG = re.compile(r"/?[A-Za-z][^>]{0,20000}>")
_BLOCKS = frozenset((
    "p", "div", "tr", "li", "ul", "ol", "dl", "dt", "dd", "table", "h1", "h2", "h3", "h4", "h5", "h6", "pre",
    "blockquote", "section", "article", "header", "footer", "hr", "center", "form", "address",
))  # fmt: skip
_PARAGRAPHS = frozenset(("p", "h1", "h2", "h3", "h4", "table", "blockquote", "ul", "ol"))
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
# The wide space that HTML mail is padded with, and characters without width.
_INVISIBLE = str.maketrans({"\u00a0": " ", "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None,
                            "\u00ad": None, "\u034f": None})  # fmt: skip


class MailTextCleaner:
    """Implements messaging.mail_message.TextCleaner. Inputs beyond a bound are cut to it first."""

    def from_html(self, html: str) -> str:
        """The visible text, blocks on lines of their own, quoted blocks with "> " before each line."""
        from bs4 import BeautifulSoup
        from bs4.exceptions import ParserRejectedMarkup

        try:
            soup = BeautifulSoup(_bounded(html), "html.parser")
        except (ParserRejectedMarkup, AssertionError, ValueError, RecursionError):
            return re.sub(r"<[^<>]{0,2000}>", " ", html[:_MAX_HTML])
        return "\n".join(_quoted_lines(_pieces(soup))).strip()

    def new_text(self, text: str) -> str:
        """What the sender added. Where that would be nothing, all lines that are not quoted with ">"."""
        text = text[:_MAX_TEXT]
        unquoted = _without_quotes(text)
        footer = _FOOTER.search(unquoted)
        own = unquoted[: footer.start()] if footer else unquoted
        signature = _signature(own)
        own = own[:signature]
        found = _latest(own)
        if not found.strip():
            found = own if own.strip() else "\n".join(x for x in text.split("\n") if not x.lstrip().startswith(">"))
        return re.sub(r"\n{3,}", "\n\n", found).strip()


def _without_quotes(text: str) -> str:
    """Drops quoted lines and the attribution above them, wherever they stand: replies are written between quotes."""
    initials = {re.escape(match.group(1)) for match in _SUPERCITE.finditer(text)}
    initials.update(match.group(1) for match in _INITIALS.finditer(text))
    cited = re.compile(rf"\s{{0,6}}(?:{'|'.join(sorted(initials))})>+") if initials else None
    kept: list[str] = []
    in_quote = False
    for line in text.split("\n"):
        if _QUOTE.match(line) or (cited and cited.match(line)):
            if not in_quote:
                _drop_attribution(kept)
            in_quote = True
        else:
            in_quote = in_quote and not line.strip()
            kept.append(line)
    return "\n".join(kept)


def _drop_attribution(lines: list[str]) -> None:
    """Takes "On Thursday, X wrote:" (over up to three lines) or a block of headers off the end of what was kept."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _SNIP.fullmatch(lines[end - 1])):
        end -= 1
    start = end
    while start and end - start < 8 and _HEADER_LINE.match(lines[start - 1]):
        start -= 1
    if end - start >= 2:
        del lines[start:]
        return
    paragraph = end
    while paragraph and end - paragraph < 3 and lines[paragraph - 1].strip():
        paragraph -= 1
    # The longest that begins as attributions do; else the line itself.
    starts = [start for start in range(paragraph, end) if _DATED.match(" ".join(lines[start:end]))]
    start = starts[0] if starts else end - 1
    joined = " ".join(lines[start:end])
    if start < end and len(joined) <= 400 and _WROTE.search(joined):
        del lines[start:]


def _signature(text: str) -> int:
    """Where "-- " begins, which is the signature's by convention; the end where there is none."""
    found = None
    for found in _DASHES.finditer(text):
        if text[: found.start()].strip():
            return found.start()
    return len(text) if found is None else found.start()


def _latest(text: str) -> str:
    """What precedes mail-parser-reply's first header, without its signature where that is short enough to be one.

    It is shown the lines stripped and cut, and only says how many of them to keep. Empty where all is below a header.
    """
    lines = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text.strip()).split("\n")
    shown = "\n".join(_short(line.strip()) for line in lines)
    found = tuple(language for language, words in _LANGUAGES.items() if words.search(shown))
    reader = copy.copy(_reader(("en", *found)))
    reader.text, reader.replies = shown[:_MAX_LIBRARY], []
    reply = reader.read().replies[0]
    if reply.headers:
        return ""
    content: str = reply.content
    if len(shown) > _MAX_LIBRARY and len(content) == len(reader.text.strip()):
        return text
    tail: str = reply.signatures
    if tail and content.endswith(tail) and len(tail) <= 400 and tail.count("\n") <= 10:
        content = content[: -len(tail)].rstrip()
    return _FORWARD.sub("", "\n".join(lines[: content.count("\n") + 1])) if content else ""


def _short(line: str) -> str:
    """Both ends of a long line: an attribution shows at either."""
    return line if len(line) <= _LINE_HEAD + _LINE_TAIL else line[:_LINE_HEAD] + line[-_LINE_TAIL:]


@functools.cache
def _reader(languages: tuple[str, ...]) -> Any:
    """A reader with its patterns compiled, to be copied. Its usual entry takes hyphened lists for signatures."""
    from mailparser_reply.parser import EmailMessage

    with warnings.catch_warnings():
        # It normalises with a deprecated call of re.sub; of an empty text here, and never again.
        warnings.simplefilter("ignore", DeprecationWarning)
        reader = EmailMessage(text="", languages=list(languages), keep_hyphen_lists=True)
    # Compiles and keeps these. Disclaimers are not asked for, and looking for them is the slowest part.
    _ = (reader.HEADER_REGEX, reader.SIGNATURE_REGEX)
    reader._disclaimers_regex = re.compile(r"(?!)")
    return reader


def _bounded(html: str) -> str:
    """Without comments and declarations, unclosed tags as text, and a bounded number of tags.

    html.parser needs a time that grows with the square of what is left open.
    """
    first, *rest = html[:_MAX_HTML].split("<!--")
    shown = first + "".join(part.partition("-->")[2] for part in rest)
    text, *tags = _DECLARATION.sub("", shown).split("<", _MAX_TAGS)
    return text + "".join(("<" if _TAG.match(tag) else "&lt;") + tag for tag in tags[: _MAX_TAGS - 1])


def _pieces(soup: "Tag") -> Iterator[str]:
    """Text in order, a newline at each edge of a block, "\\x01" and "\\x02" around a quoted one. Does not recurse."""
    from bs4 import Tag
    from bs4.element import NavigableString, PreformattedString

    waiting: list[object] = [soup]
    preformatted = 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, Tag):
            name = node.name.lower()
            if name in _SKIPPED or _HIDDEN.search(str(node.get("style") or "")):
                continue
            before, after = _edges(name)
            yield before
            preformatted += name == "pre"
            waiting.append(("end of", name, after))
            waiting.extend(reversed(node.contents))
        elif isinstance(node, tuple):
            preformatted -= node[1] == "pre"
            yield node[2]
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            text = str(node).translate(_INVISIBLE).replace("\x01", "").replace("\x02", "")
            yield text if preformatted else re.sub(r"\s+", " ", text)


def _edges(name: str) -> tuple[str, str]:
    if name == "blockquote":
        return "\n\x01", "\x02\n"
    if name in ("td", "th"):
        return "", " "
    if name == "br":
        return "\n", ""
    edge = "\n\n" if name in _PARAGRAPHS else "\n" if name in _BLOCKS else ""
    return edge, edge


def _quoted_lines(pieces: Iterator[str]) -> Iterator[str]:
    depth = blank = 0
    for line in "".join(pieces).split("\n"):
        depth += line.count("\x01")
        text = line.replace("\x01", "").replace("\x02", "").strip()
        blank = 0 if text else blank + 1
        if blank <= 1:
            yield f"{'>' * min(depth, 20)} {text}" if depth and text else text
        depth = max(0, depth - line.count("\x02"))
