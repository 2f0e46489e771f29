"""Bytes and encoded words of mail to text that PostgreSQL and UTF-8 accept."""

import binascii
import codecs
import re
from email.errors import HeaderParseError
from email.header import decode_header

# C0 and C1 controls but for tab and newline, delete, and lone surrogates.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_WORD = r"=\?[!->@-~]{1,60}\?[bBqQ]\?[ !->@-~]*\?="
_WORDS = re.compile(rf"{_WORD}(?:[ \t]*{_WORD})*")
_SPACES = re.compile(r"\s+")

# The WHATWG's reading: who writes these labels means the larger set. https://encoding.spec.whatwg.org/#names-and-labels
_LARGER = {
    "us-ascii": "cp1252", "ascii": "cp1252", "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin-1": "cp1252",
    "latin1": "cp1252", "iso-8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949", "shift_jis": "cp932", "iso-8859-8-i": "iso-8859-8", "utf8": "utf-8",
}  # fmt: skip
# Python has these as text encodings, mail does not: some are slow, some would run escapes that a sender wrote.
_NOT_CHARSETS = {"punycode", "idna", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape",
                 "undefined", "mbcs", "oem", "utf-7", "utf7", "utf_7"}  # fmt: skip


def clean_text(text: str) -> str:
    """Unix line ends, no control characters, nothing that cannot be UTF-8."""
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str) -> str:
    """The same on one line, spaces folded."""
    return _SPACES.sub(" ", clean_text(_SPACES.sub(" ", text))).strip()


def decode_bytes(data: bytes, charset: str | None, problems: list[str]) -> str:
    """`data` as text, whatever its charset says; each repair adds a sentence to `problems`."""
    label = (charset or "us-ascii").strip("\"' \t").lower()
    if data.isascii() and not label.startswith(("utf-16", "utf-32", "utf-7", "iso-2022", "hz")):
        return data.decode("ascii")
    shown = clean_line(label)[:40]
    plain = label in ("us-ascii", "ascii")
    try:
        if label in _NOT_CHARSETS:
            raise LookupError(label)
        codecs.lookup(label)
        if not plain:
            return data.decode(_LARGER.get(label, label))
        problem = "8-bit text without a charset read as {}"
    except (LookupError, ValueError) as error:
        # A wrong byte and an unknown name alike: what follows guesses.
        unknown = not isinstance(error, UnicodeDecodeError)
        problem = f"unknown charset {shown} read as {{}}" if unknown else f"text that is not {shown} read as {{}}"
    for guess in ("utf-8", "cp1252"):
        try:
            text = data.decode(guess)
        except UnicodeDecodeError:
            continue
        problems.append(problem.format("windows-1252" if guess == "cp1252" else guess))
        return text
    problems.append(problem.format("latin-1"))
    return data.decode("latin-1")


def decode_words(value: str, problems: list[str]) -> str:
    """A header's raw value (8-bit bytes as surrogates) with its RFC 2047 words decoded, on one line.

    Words that cannot be decoded stay as they stand.
    """
    if not value.isascii():
        value = decode_bytes(value.encode("utf-8", "surrogateescape"), None, problems)

    def decoded(match: re.Match[str]) -> str:
        try:
            pairs = decode_header(match.group())
        except (HeaderParseError, binascii.Error, ValueError):
            problems.append("a broken encoded word was kept as it stood")
            return match.group()
        return "".join(
            part if isinstance(part, str) else decode_bytes(part, charset, problems) for part, charset in pairs
        )

    unfolded = _SPACES.sub(" ", value)
    return clean_line(_WORDS.sub(decoded, unfolded) if "=?" in unfolded else unfolded)
