"""What the role readonly sees of addresses and of unsubscribe links."""

import json

import pytest

from email_sender.kit.masking import mask_body, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.smith@mail.example.org.", "Write to a********@m***************."),
        ('"Ann" <ann@x.example>, bob@y.example', '"Ann" <a**@x********>, b**@y********'),
        ("mailto:ann@x.example?subject=x", "mailto:a**@x********?subject=x"),
        ("jörg@straße.example and 李@例子.测试", "j***@s************* and 李@例****"),
        ("https://x.example/?who=ann%40x.example&a=1", "https://x.example/?who=***************&a=1"),
        ("(ann@x.example)", "(a**@x********)"),
        ("https://m.example/api/v1/unsubscribe/v1.k1.AZM_-x", "https://m.example/api/v1/unsubscribe/************"),
        ("a@b, admin@acme, 5 @ 3.50, @handle, x@y.z", "a@b, admin@acme, 5 @ 3.50, @handle, x@y.z"),
        ("a***@e***", "a***@e***"),
    ],
)
def test_addresses_and_links_are_hidden_in_any_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    # Positions in the text stay what they are.
    assert len(mask_text(text)) == len(text)


def test_json_stays_json_whatever_comes_before_an_address() -> None:
    document = {"text": "Hello\nann@x.example\u001fbob@x.example", "by ann@x.example": [{"n": 1.5, "ok": None}]}
    masked = json.loads(mask_body(json.dumps(document).encode()))
    assert masked == {"text": "Hello\na**@x********\u001fb**@x********", "by a**@x********": [{"n": 1.5, "ok": None}]}


def test_text_that_is_no_json_is_masked_too() -> None:
    assert mask_body(b"<svg><title>ann@x.example</title></svg>") == b"<svg><title>a**@x********</title></svg>"


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    assert mask_text("a" * 200_000 + "@" + "b" * 200_000)
    assert mask_text("@".join("a" * 2_000 for _ in range(100)))
    assert mask_text("a.@" * 50_000)
