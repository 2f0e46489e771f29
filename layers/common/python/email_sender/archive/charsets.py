"""Character sets of mail, by the labels of the WHATWG table (https://encoding.spec.whatwg.org).

Browsers read a label as the larger set that its writers really use: `gb2312` as GB 18030, `shift_jis` as windows-31j.
"""

import codecs

# The WHATWG name, and the Python codec that comes closest where webencodings' own choice is smaller.
_CODECS = {
    "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc-kr": "cp949", "euc-jp": "euc_jis_2004",
}  # fmt: skip
# Labels outside the table that mail uses.
_OTHER_LABELS = {"cp874": "cp874", "cp932": "cp932", "cp949": "cp949", "cp950": "cp950", "hz-gb-2312": "hz",
                 "x-windows-949": "cp949", "utf-32": "utf-32", "iso-2022-kr": "iso2022_kr"}  # fmt: skip
_ESCAPE = b"\x1b"


def decode(data: bytes, label: str) -> str:
    """Decode the bytes strictly.

    Raises:
        LookupError: no mail uses this label.
        UnicodeDecodeError: the bytes do not fit the character set.
    """
    name = label.strip().lower().replace("_", "-") if label.lower().startswith("iso-2022") else label.strip().lower()
    if name.startswith("iso-2022-jp"):
        return _decode_iso_2022_jp(data)
    if name in _OTHER_LABELS:
        return data.decode(_OTHER_LABELS[name])
    import webencodings  # on first use: only functions that read mail have the package

    encoding = webencodings.lookup(name)
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        raise LookupError(label)
    codec = _CODECS.get(encoding.name)
    return data.decode(codec) if codec else codecs.decode(data, encoding.codec_info.name)


def _decode_iso_2022_jp(data: bytes) -> str:
    """Decode ISO-2022-JP with the rows of NEC and IBM, which Python's codec lacks and Japanese clients write."""
    first, *runs = data.split(_ESCAPE)
    parts = [first.decode("ascii")]
    for run in runs:
        mark, body = (run[:3], run[3:]) if run[:2] == b"$(" else (run[:2], run[2:])
        if mark in (b"$@", b"$B"):
            # Line ends and ASCII inside a run: some writers do not switch back.
            parts.append(_decode_jis_pairs(body))
        elif mark == b"(I":
            parts.append(bytes(byte | 0x80 for byte in body).decode("cp932"))
        elif mark in (b"(B", b"(J", b"(H"):
            parts.append(body.decode("ascii"))
        else:
            parts.append((_ESCAPE + run + b"\x1b(B").decode("iso2022_jp_ext"))
    return "".join(parts)


def _decode_jis_pairs(body: bytes) -> str:
    output = bytearray()
    position = 0
    while position < len(body):
        row = body[position]
        if row < 0x21 or position + 1 >= len(body):
            output.append(row)
            position += 1
            continue
        cell = body[position + 1]
        # JIS X 0208 row and cell to the bytes of Shift_JIS.
        lead = (row - 0x21) // 2 + (0x81 if row < 0x5F else 0xC1)
        trail = cell + (0x1F if cell < 0x60 else 0x20) if row % 2 else cell + 0x7E
        output += bytes((lead & 0xFF, trail & 0xFF))
        position += 2
    return output.decode("cp932")
