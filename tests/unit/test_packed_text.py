"""Long texts between functions: what is packed comes back, and nothing else is taken."""

import base64
import json
import random
import zlib

import pytest

from email_sender import packed_text
from email_sender.errors import InvalidInput
from email_sender.packed_text import MAX_CHARACTERS, pack, unpack


@pytest.mark.parametrize(
    "text", ["{}", "[]", json.dumps({"a": "é😀\ud83d\0"}), '{"a": "' + "x\\u0000é" * 200_000 + '"}']
)
def test_a_text_comes_back(text: str) -> None:
    assert unpack(pack(text, "Texts")) == text


def test_a_long_text_with_half_a_character_comes_back() -> None:
    text = '{"a": "' + "\ud83d" * 500_000 + '"}'
    assert unpack(pack(text, "Texts")) == text


def test_a_packed_text_is_small_enough_for_a_call() -> None:
    # Every character is six in JSON that is ASCII, and hardly compressible text stays as long as it is.
    for text in ("\x01" * 399_999, "é" * 400_000, base64.b64encode(random.Random(1).randbytes(3_000_000)).decode()):
        assert len(json.dumps(pack(text, "Texts"))) < 6_000_000


@pytest.mark.parametrize("text", ["x" * (MAX_CHARACTERS + 1), random.Random(1).randbytes(6_000_000).hex()])
def test_a_text_that_is_too_long_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Texts have"):
        pack(text, "Texts")


def test_what_is_not_packed_so_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack('{"a": "' + "x" * 500_000 + '"}', "Texts")
    not_text = base64.b64encode(zlib.compress(b"\xff" * 9, 1)).decode()
    for broken in ("eA", "eA==", "eA!", packed[:-8] + "AAAAAAA=", not_text):
        with pytest.raises(InvalidInput, match=r"not compressed|its end"):
            unpack(broken)
    monkeypatch.setattr(packed_text, "MAX_CHARACTERS", 100_000)
    with pytest.raises(InvalidInput, match="its end is missing"):
        unpack(packed)
