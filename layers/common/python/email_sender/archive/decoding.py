"""Decode the bytes and encoded words of mail into text that UTF-8 and PostgreSQL accept."""

import binascii
import re
from email.errors import HeaderParseError
from email.header import decode_header

from email_sender.archive import charsets

# C0 and C1 control characters except tab and newline, the delete character, and lone surrogates.
_UNWANTED_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ENCODED_WORD = r"=\?[!->@-~]{1,60}\?[bBqQ]\?[ !->@-~]*\?="
_ENCODED_WORDS = re.compile(rf"{_ENCODED_WORD}(?:[ \t]*{_ENCODED_WORD})*")
_SPACES = re.compile(r"\s+")


def clean_text(text: str) -> str:
    """Return the text with Unix line ends, without control characters and without lone surrogates."""
    return _UNWANTED_CHARACTERS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean_line(text: str) -> str:
    """Return the cleaned text on one line, with each run of white space replaced by one space."""
    return _SPACES.sub(" ", clean_text(_SPACES.sub(" ", text))).strip()


def decode_bytes(data: bytes, charset: str | None, problems: list[str]) -> str:
    """Decode `data`, guessing where the charset is missing, unknown or wrong.

    Each guess appends a description to `problems`.
    """
    label = (charset or "us-ascii").strip("\"' \t").lower()
    if data.isascii() and not label.startswith(("utf-16", "utf-32", "utf-7", "iso-2022", "hz")):
        return data.decode("ascii")
    charset_name = clean_line(label)[:40]
    is_ascii = label in ("us-ascii", "ascii")
    try:
        if not is_ascii:
            return charsets.decode(data, label)
        problem = "8-bit text without a charset read as {}"
    except (LookupError, ValueError) as error:
        # The charset is unknown, or a byte does not fit it. The loop below guesses.
        is_unknown = not isinstance(error, UnicodeDecodeError)
        problem = (
            f"unknown charset {charset_name} read as {{}}"
            if is_unknown
            else f"text that is not {charset_name} read as {{}}"
        )
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
    """Decode the RFC 2047 words of a raw header value (8-bit bytes as surrogates) and return it on one line.

    Words that cannot be decoded are left unchanged.
    """
    if not value.isascii():
        value = decode_bytes(value.encode("utf-8", "surrogateescape"), None, problems)

    def decode_match(match: re.Match[str]) -> str:
        try:
            pairs = decode_header(match.group())
        except (HeaderParseError, binascii.Error, ValueError):
            problems.append("a broken encoded word was left unchanged")
            return match.group()
        return "".join(
            part if isinstance(part, str) else decode_bytes(part, charset, problems) for part, charset in pairs
        )

    unfolded_value = _SPACES.sub(" ", value)
    return clean_line(_ENCODED_WORDS.sub(decode_match, unfolded_value) if "=?" in unfolded_value else unfolded_value)
