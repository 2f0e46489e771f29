"""Extract what a person wrote: without quotations, signatures, footers and copies of earlier mail.

mail-parser-reply knows the phrases of six languages. It is imported on first use, since few functions read mail.
"""

import copy
import functools
import re
import warnings
from typing import Any

from email_sender.adapters.mail import html_text
from email_sender.archive.quotations import Correspondence, cut_history, remove_quoted_lines

_NOTHING_KNOWN = Correspondence()
_MAX_TEXT = 100_000
# mail-parser-reply's patterns are quadratic in the length of lines and in runs of newlines. These limits keep it fast.
_MAX_PARSER_TEXT = 20_000
_LINE_HEAD, _LINE_TAIL = 140, 60
# English is always parsed; another language only if its words occur, since each language takes as much time again.
_LANGUAGES = {
    "de": re.compile(r"schrieb|\bVon:|Gesendet|Gr(?:ü|ue|u)(?:ß|ss)|freundlichen"),
    "fr": re.compile(r"a écrit|Envoyé|[Cc]ordialement|Bien à vous|Bonne "),
    "es": re.compile(r"escribió|Enviado|[Ss]aludos|Atentamente"),
    "it": re.compile(r"ha scritto|Inviato|Cordiali|[Ss]aluti"),
    "nl": re.compile(r"schreef|Verzonden|groet|Hoogachtend"),
}

_FOOTER = re.compile(
    r"^(?:[_=*-]{20,}\s*\n(?=[^\n]{0,200}\bmailing list\b|To unsubscribe)|-+ Yahoo! Groups Sponsor -)",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD = re.compile(
    r"^-{2,} ?(?:begin )?(?:forwarded|original) (?:message|text).{0,200}\Z", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
# What phones and apps add at the end, alone in its paragraph.
_DEVICE = re.compile(
    r"(?:^|\n)[ \t]*(?:\[?(?:sent|get|von meinem|von mein|gesendet|diese nachricht wurde von|holen sie sich|envoyé|"
    r"obtenez|enviado|enviada|obtén|inviato|scarica|verstuurd|verzonden|download|skickat|skaffa|sendt|hent|lähetetty|"
    r"hanki|wysłan[eo]|pobierz|odesláno|získat|odoslané|отправлено|скачать|надіслано|gönderildi)\b|iphone(?:から|で)|"
    r".{0,30}(?:から送信|에서 보냄|发送自|发自))[^\n]{0,60}"
    r"(?:iphone|ipad|android|galaxy|samsung|huawei|xiaomi|pixel|outlook|yahoo|proton|gmx|web\.de|gmail|"
    r"mail\.ru|yandex|handy|smartphone|mobil|telefon|blackberry|windows|aquamail|k-9)"
    r"[^\n]{0,60}\s*\Z",
    re.IGNORECASE,
)
# Prose such as "On the whole I agree with what Anna wrote:" is a header to mail-parser-reply; a copied one has a date.
_DATE_OR_ADDRESS = re.compile(r"[\d@]")
_MAX_FALSE_HEADERS = 4
_SIGNATURE_MARK = re.compile(r"^--\s*$", re.MULTILINE)


class MailTextCleaner:
    """Implements archive.message_parser.TextCleaner. Longer inputs are first cut to a maximum length."""

    def from_html(self, html: str) -> str:
        return html_text.read(html)

    def new_text(self, text: str, known: Correspondence = _NOTHING_KNOWN) -> str:
        """Return what the sender added. If nothing remains, return all lines that are not quoted with ">"."""
        text = text[:_MAX_TEXT]
        latest = cut_history(text, known)
        if text.strip() and not latest.strip():
            return ""  # a forwarded mail without a word of the sender
        unquoted = remove_quoted_lines(latest, known)
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
        latest_text = re.sub(r"\n{3,}", "\n\n", latest_text).strip()
        return latest_text[: match.start()].rstrip() if (match := _DEVICE.search(latest_text)) else latest_text


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
    for _ in range(_MAX_FALSE_HEADERS):
        parser.text, parser.replies = shortened_text[:_MAX_PARSER_TEXT], []
        replies = parser.read().replies
        header = next((reply.headers for reply in replies if reply.headers), "")
        if not header or _DATE_OR_ADDRESS.search(header) or header not in shortened_text:
            break
        shortened_text = shortened_text.replace(header, "\n".join("-" for _ in header.split("\n")), 1)
    reply = replies[0]
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
