"""Base64 for URLs, without padding (RFC 4648, section 5)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes. Raises ValueError if the text is not base64."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
