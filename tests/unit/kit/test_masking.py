"""What the role readonly sees of addresses and of unsubscribe links."""

import json

import pytest

from email_sender.kit.masking import mask_body, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.smith+news@mail.example.org.", "Write to a***@m***."),
        ('"Ann" <ann@example.org>, bob@example.org', '"Ann" <a***@e***>, b***@e***'),
        ("mailto:ann@example.org?subject=x", "mailto:a***@e***?subject=x"),
        ("jörg@straße.example and 李@例子.测试", "j***@s*** and 李***@例***"),
        ("https://x.example/?who=ann%40example.org&a=1", "https://x.example/?who=***&a=1"),
        ("(ann@example.org)", "(a***@e***)"),
        ("https://mail.example/api/v1/unsubscribe/v1.k1.AZM_-x", "https://mail.example/api/v1/unsubscribe/hidden"),
        ("a@b, admin@acme, 5 @ 3.50, @handle, x@y.z", "a@b, admin@acme, 5 @ 3.50, @handle, x@y.z"),
        ("a***@e***", "a***@e***"),
    ],
)
def test_addresses_and_links_are_hidden_in_any_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_json_stays_json_whatever_comes_before_an_address() -> None:
    document = {"text": "Hello\nann@example.org\u001fbob@example.org", "by ann@example.org": [{"n": 1.5, "ok": None}]}
    masked = json.loads(mask_body(json.dumps(document).encode()))
    assert masked == {"text": "Hello\na***@e***\u001fb***@e***", "by a***@e***": [{"n": 1.5, "ok": None}]}


def test_text_that_is_no_json_is_masked_too() -> None:
    assert mask_body(b"<svg><title>ann@example.org</title></svg>") == b"<svg><title>a***@e***</title></svg>"


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    assert mask_text("a" * 200_000 + "@" + "b" * 200_000)
    assert mask_text("@".join("a" * 2_000 for _ in range(100)))
    assert mask_text("a.@" * 50_000)
