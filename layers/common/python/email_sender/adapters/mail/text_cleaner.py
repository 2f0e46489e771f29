"""Extract what a person wrote: HTML to text with Beautiful Soup, replies and signatures with mail-parser-reply.

Both libraries are imported on first use, since few functions read mail.
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
# mail-parser-reply's patterns are quadratic in the length of lines and in runs of newlines. These limits keep it fast.
_MAX_PARSER_TEXT = 20_000
_LINE_HEAD, _LINE_TAIL = 140, 60
_MAX_HTML = 500_000
_MAX_TAGS = 20_000
# English is always parsed; another language only if its words occur, since each language takes as much time again.
_LANGUAGES = {
    "de": re.compile(r"schrieb|\bVon:|Gesendet|Gr(?:ü|ue|u)(?:ß|ss)|freundlichen"),
    "fr": re.compile(r"a écrit|Envoyé|[Cc]ordialement|Bien à vous|Bonne "),
    "es": re.compile(r"escribió|Enviado|[Ss]aludos|Atentamente"),
    "it": re.compile(r"ha scritto|Inviato|Cordiali|[Ss]aluti"),
    "nl": re.compile(r"schreef|Verzonden|groet|Hoogachtend"),
}

_QUOTED_LINE = re.compile(r"\s{0,4}(?:>|\|\s(?!.*\|\s*$)|\|$)")
_ATTRIBUTION_END = re.compile(
    r"\b(?:wrote|writes|write|said|says|typed|spake|schrieb|écrit|écrivait|escribió|ha scritto|scrisse|schreef)\b"
    r"[^.!?]{0,80}[:;,.>-]?\s*$"
    r"|^\s*(?:>+ ?\"|quoting\s.{1,100}:\s*$|in article\s|in message\s)",
    re.IGNORECASE,
)
_ATTRIBUTION_START = re.compile(
    r"\s*(?:on|at|in|le|am|el|il|op|once upon)\s(?=.*(?:\d|\b(?:mon|tue|wed|thu|fri|sat|sun|today|yesterday|a time)))",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(r"\s*(?:from|to|cc|date|sent|subject|message-id)\s?:\s", re.IGNORECASE)
_SUPERCITE = re.compile(r"^>{2,}\s\"([^\"\n]{1,20})\"\s==\s.{1,200}$", re.MULTILINE)
# "MF> " before each line, as The Bat! writes it, on two lines. Command prompts look the same.
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
_OMISSION_MARK = re.compile(r"\s{0,8}[\[<(]?(?:\.{2,5}|snip(?:ped)?)[\])>]?\s{0,8}", re.IGNORECASE)
_SIGNATURE_MARK = re.compile(r"^--\s*$", re.MULTILINE)

_SKIPPED_TAGS = frozenset(("head", "script", "style", "template", "title", "noscript", "svg", "object"))
_DECLARATION = re.compile(r"<[!?][^<>]{0,1000}>?")
_TAG_END = re.compile(r"/?[A-Za-z][^>]{0,20000}>")
_BLOCK_TAGS = frozenset((
    "p", "div", "tr", "li", "ul", "ol", "dl", "dt", "dd", "table", "h1", "h2", "h3", "h4", "h5", "h6", "pre",
    "blockquote", "section", "article", "header", "footer", "hr", "center", "form", "address",
))  # fmt: skip
_PARAGRAPH_TAGS = frozenset(("p", "h1", "h2", "h3", "h4", "table", "blockquote", "ul", "ol"))
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none", re.IGNORECASE)
# The non-breaking space that pads HTML mail, and characters without width.
_INVISIBLE = str.maketrans({"\u00a0": " ", "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None,
                            "\u00ad": None, "\u034f": None})  # fmt: skip


class MailTextCleaner:
    """Implements archive.message_parser.TextCleaner. Longer inputs are first cut to a maximum length."""

    def from_html(self, html: str) -> str:
        """Return the visible text. Blocks start new lines, and quoted blocks have "> " before each line."""
        from bs4 import BeautifulSoup
        from bs4.exceptions import ParserRejectedMarkup

        try:
            soup = BeautifulSoup(_limit_markup(html), "html.parser")
        except (ParserRejectedMarkup, AssertionError, ValueError, RecursionError):
            return re.sub(r"<[^<>]{0,2000}>", " ", html[:_MAX_HTML])
        return "\n".join(_quote_lines(_text_pieces(soup))).strip()

    def new_text(self, text: str) -> str:
        """Return what the sender added. If nothing remains, return all lines that are not quoted with ">"."""
        text = text[:_MAX_TEXT]
        unquoted = _remove_quotes(text)
        footer = _FOOTER.search(unquoted)
        own_text = unquoted[: footer.start()] if footer else unquoted
        signature_start = _find_signature(own_text)
        own_text = own_text[:signature_start]
        latest_text = _latest_reply(own_text)
        if not latest_text.strip():
            latest_text = (
                own_text
                if own_text.strip()
                else "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))
            )
        return re.sub(r"\n{3,}", "\n\n", latest_text).strip()


def _remove_quotes(text: str) -> str:
    """Remove quoted lines and the attribution above them, anywhere in the text: people also reply between quotes."""
    initials = {re.escape(match.group(1)) for match in _SUPERCITE.finditer(text)}
    initials.update(match.group(1) for match in _INITIALS.finditer(text))
    initials_quote = re.compile(rf"\s{{0,6}}(?:{'|'.join(sorted(initials))})>+") if initials else None
    own_lines: list[str] = []
    in_quote = False
    for line in text.split("\n"):
        if _QUOTED_LINE.match(line) or (initials_quote and initials_quote.match(line)):
            if not in_quote:
                _drop_attribution(own_lines)
            in_quote = True
        else:
            in_quote = in_quote and not line.strip()
            own_lines.append(line)
    return "\n".join(own_lines)


def _drop_attribution(lines: list[str]) -> None:
    """Remove a trailing attribution ("On Thursday, X wrote:", up to three lines) or block of headers from the lines."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _OMISSION_MARK.fullmatch(lines[end - 1])):
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
    # The longest end of the paragraph that begins like an attribution, else the last line.
    starts = [start for start in range(paragraph, end) if _ATTRIBUTION_START.match(" ".join(lines[start:end]))]
    start = starts[0] if starts else end - 1
    attribution = " ".join(lines[start:end])
    if start < end and len(attribution) <= 400 and _ATTRIBUTION_END.search(attribution):
        del lines[start:]


def _find_signature(text: str) -> int:
    """Return the offset of "-- ", which starts a signature by convention, or the end of the text."""
    mark = None
    for mark in _SIGNATURE_MARK.finditer(text):
        if text[: mark.start()].strip():
            return mark.start()
    return len(text) if mark is None else mark.start()


def _latest_reply(text: str) -> str:
    """Return the text before mail-parser-reply's first header, without the signature if that is short enough to be one.

    The parser gets stripped and shortened lines, and only determines how many lines to keep. The result is empty if all
    text is below a header.
    """
    lines = re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text.strip()).split("\n")
    shortened_text = "\n".join(_shorten(line.strip()) for line in lines)
    languages = tuple(language for language, words in _LANGUAGES.items() if words.search(shortened_text))
    parser = copy.copy(_reply_parser(("en", *languages)))
    parser.text, parser.replies = shortened_text[:_MAX_PARSER_TEXT], []
    reply = parser.read().replies[0]
    if reply.headers:
        return ""
    content: str = reply.content
    if len(shortened_text) > _MAX_PARSER_TEXT and len(content) == len(parser.text.strip()):
        return text
    signature: str = reply.signatures
    if signature and content.endswith(signature) and len(signature) <= 400 and signature.count("\n") <= 10:
        content = content[: -len(signature)].rstrip()
    return _FORWARD.sub("", "\n".join(lines[: content.count("\n") + 1])) if content else ""


def _shorten(line: str) -> str:
    """Return both ends of a long line, since an attribution can be recognised at either end."""
    return line if len(line) <= _LINE_HEAD + _LINE_TAIL else line[:_LINE_HEAD] + line[-_LINE_TAIL:]


@functools.cache
def _reply_parser(languages: tuple[str, ...]) -> Any:
    """Return a parser with compiled patterns, to be copied.

    The library's usual entry point mistakes hyphenated lists for signatures.
    """
    from mailparser_reply.parser import EmailMessage

    with warnings.catch_warnings():
        # The constructor normalises the text, here an empty one, with a deprecated call of re.sub.
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = EmailMessage(text="", languages=list(languages), keep_hyphen_lists=True)
    # Reading these properties compiles and caches the patterns. Disclaimers are not needed and slow to find.
    _ = (parser.HEADER_REGEX, parser.SIGNATURE_REGEX)
    parser._disclaimers_regex = re.compile(r"(?!)")
    return parser


def _limit_markup(html: str) -> str:
    """Remove comments and declarations, escape unclosed tags, and limit the number of tags.

    The time that html.parser takes is quadratic in the number of unclosed constructs.
    """
    first, *rest = html[:_MAX_HTML].split("<!--")
    markup = first + "".join(part.partition("-->")[2] for part in rest)
    text, *tags = _DECLARATION.sub("", markup).split("<", _MAX_TAGS)
    return text + "".join(("<" if _TAG_END.match(tag) else "&lt;") + tag for tag in tags[: _MAX_TAGS - 1])


def _text_pieces(soup: "Tag") -> Iterator[str]:
    """Yield the text in order, with a newline at each edge of a block. Does not recurse.

    A quoted block is enclosed in "\\x01" and "\\x02".
    """
    from bs4 import Tag
    from bs4.element import NavigableString, PreformattedString

    pending_nodes: list[object] = [soup]
    preformatted = 0
    while pending_nodes:
        node = pending_nodes.pop()
        if isinstance(node, Tag):
            name = node.name.lower()
            if name in _SKIPPED_TAGS or _HIDDEN_STYLE.search(str(node.get("style") or "")):
                continue
            before, after = _block_edges(name)
            yield before
            preformatted += name == "pre"
            pending_nodes.append(("end of", name, after))
            pending_nodes.extend(reversed(node.contents))
        elif isinstance(node, tuple):
            preformatted -= node[1] == "pre"
            yield node[2]
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            text = str(node).translate(_INVISIBLE).replace("\x01", "").replace("\x02", "")
            yield text if preformatted else re.sub(r"\s+", " ", text)


def _block_edges(name: str) -> tuple[str, str]:
    if name == "blockquote":
        return "\n\x01", "\x02\n"
    if name in ("td", "th"):
        return "", " "
    if name == "br":
        return "\n", ""
    edge = "\n\n" if name in _PARAGRAPH_TAGS else "\n" if name in _BLOCK_TAGS else ""
    return edge, edge


def _quote_lines(pieces: Iterator[str]) -> Iterator[str]:
    depth = blank = 0
    for line in "".join(pieces).split("\n"):
        depth += line.count("\x01")
        text = line.replace("\x01", "").replace("\x02", "").strip()
        blank = 0 if text else blank + 1
        if blank <= 1:
            yield f"{'>' * min(depth, 20)} {text}" if depth and text else text
        depth = max(0, depth - line.count("\x02"))
