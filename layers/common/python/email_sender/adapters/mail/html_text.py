"""Turn the HTML of a mail into text with Beautiful Soup, which is imported on first use."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import Tag

from email_sender.archive.quotations import ATTRIBUTION_MARK

_MARK = "\x03"
_MAX_HTML = 500_000
_MAX_TAGS = 20_000
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
_INVISIBLE = str.maketrans({"\u00a0": " ", "\u200b": None, "\ufeff": None,
                            "\u00ad": None, "\u034f": None})  # fmt: skip
# Joiners are letters' parts in Persian and Hindi, but padding beside spaces.
_LOOSE_JOINERS = re.compile("(?<!\\S)[\u200c\u200d]+|[\u200c\u200d]+(?!\\S)")
# The edges of blocks that meet, and a line break before them: \x04 begins a new line, \x05 a paragraph.
_EDGES = re.compile("\n?[ \t]*[\x04\x05][ \t\x04\x05]*")
_NO_MARKS = str.maketrans(dict.fromkeys("\x01\x02\x03\x04\x05"))
# What clients put around the line above a quotation, and around all earlier mail.
_ATTRIBUTIONS = frozenset(("gmail_attr", "moz-cite-prefix", "reply-intro"))
_SIGNATURES = frozenset((
    "gmail_signature", "moz-signature", "ms-outlook-mobile-signature", "protonmail_signature_block",
    "ymail_android_signature", "AppleMailSignature",
))  # fmt: skip
_QUOTATIONS = frozenset(("yahoo_quoted", "protonmail_quote", "tutanota_quote", "OLK_SRC_BODY_SECTION"))
# Outlook on the web puts an empty element with one of these ids where the earlier mail begins, up to the end.
_HISTORY_IDS = frozenset(("divRplyFwdMsg", "appendonsend", "mail-editor-reference-message-container"))


def read(html: str) -> str:
    """Return the visible text. Blocks start new lines, and quoted blocks have "> " before each line.

    Takes a few megabytes of any text and never raises.
    """
    from bs4 import BeautifulSoup
    from bs4.exceptions import ParserRejectedMarkup

    try:
        soup = BeautifulSoup(_limit_markup(html), "html.parser")
    except (ParserRejectedMarkup, AssertionError, ValueError, RecursionError):
        return re.sub(r"<[^<>]{0,2000}>", " ", html[:_MAX_HTML])
    return "\n".join(_quote_lines(_text_pieces(soup))).strip()


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
    history_began = False
    while pending_nodes:
        node = pending_nodes.pop()
        if isinstance(node, Tag):
            name = node.name.lower()
            if name in _SKIPPED_TAGS or _HIDDEN_STYLE.search(str(node.get("style") or "")):
                continue
            element_id = str(node.get("id") or "").removeprefix("x_")
            # Gmail puts the headers of a forwarded mail where it puts the line above a quotation.
            is_forward = "gmail_attr" in _classes(node) and node.get_text().lstrip().startswith("-----")
            if (element_id in _HISTORY_IDS or is_forward) and not history_began:
                history_began = True
                yield "\n\x01"
            labels = {element_id, *(label.removeprefix("x_") for label in _classes(node))}
            if labels & (_ATTRIBUTIONS | _SIGNATURES):
                before, after = f"\n\x01{_MARK}", "\x02\n"
            elif labels & _QUOTATIONS:
                before, after = "\n\x01", "\x02\n"
            else:
                before, after = _block_edges(name)
            yield before
            preformatted += name == "pre"
            pending_nodes.append(("end of", name, after))
            pending_nodes.extend(reversed(node.contents))
        elif isinstance(node, tuple):
            preformatted -= node[1] == "pre"
            yield node[2]
        elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
            text = str(node).translate(_INVISIBLE).translate(_NO_MARKS)
            text = _LOOSE_JOINERS.sub("", text)
            yield text if preformatted else re.sub(r"\s+", " ", text)


def _classes(node: "Tag") -> list[str]:
    value: str | list[str] = node.get("class") or []
    return [value] if isinstance(value, str) else list(value)


def _block_edges(name: str) -> tuple[str, str]:
    if name == "blockquote":
        return "\x04\x01", "\x02\x04"
    if name in ("td", "th"):
        return "", " "
    if name == "br":
        return "\n", ""
    edge = "\x05" if name in _PARAGRAPH_TAGS else "\x04" if name in _BLOCK_TAGS else ""
    return edge, edge


def _line_breaks(match: re.Match[str]) -> str:
    """Return the line breaks between two blocks. A break at the end of a block adds no line of its own."""
    breaks = match.group().count("\n")
    return "\n" * max(breaks - 1, 0) + ("\n\n" if "\x05" in match.group() else "\n")


def _quote_lines(pieces: Iterator[str]) -> Iterator[str]:
    depth = blank = 0
    for line in _EDGES.sub(_line_breaks, "".join(pieces)).split("\n"):
        depth += line.count("\x01")
        is_attribution = _MARK in line
        text = line.replace("\x01", "").replace("\x02", "").replace(_MARK, "").strip()
        blank = 0 if text else blank + 1
        if blank <= 1:
            marks = ATTRIBUTION_MARK if is_attribution else f"{'>' * min(depth, 20)} "
            yield f"{marks}{text}" if depth and text else text
        depth = max(0, depth - line.count("\x02"))
