"""Undo format=flowed: join the lines that a client broke to fit a screen (RFC 3676)."""

import re

NO_QUOTE = "\u2060"
_QUOTE_MARKS = re.compile(r">*")


def unflow(text: str, *, delete_space: bool) -> str:
    """Return the text with its paragraphs on one line each. Quoted lines begin with "> " for each level.

    `delete_space` is the parameter DelSp: the space before the break is not part of the text, as in Chinese.
    """
    paragraphs: list[str] = []
    open_depth: int | None = None  # the quote depth of a paragraph that the next line continues
    for line in text.split("\n"):
        marks = _QUOTE_MARKS.match(line)
        depth = marks.end() if marks else 0
        content = line[depth:]
        content = content.removeprefix(" ")  # space-stuffing
        is_signature = content == "-- "
        is_flowed = content.endswith(" ") and not is_signature
        if is_flowed and delete_space:
            content = content[:-1]
        if open_depth == depth and not is_signature:
            paragraphs[-1] += content
        else:
            # An own line that begins with ">" is no quotation. NO_QUOTE is invisible and removed with the quotations.
            own_line = NO_QUOTE + content if content.startswith(">") else content
            paragraphs.append(f"{'>' * depth} {content}" if depth else own_line)
        open_depth = depth if is_flowed else None
    return "\n".join(paragraphs)
