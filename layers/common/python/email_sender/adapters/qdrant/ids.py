"""Encoding of the client's point id in the payload, because the engine's id is a hash of it."""

from uuid import UUID

from email_sender.vectors.model import ClientId

CLIENT_ID = "_id"


def encode_client_id(client_id: ClientId) -> int | str:
    """Return the payload value of a client's id."""
    # Qdrant's integers are signed 64-bit, so a larger unsigned integer is stored as text.
    return client_id if isinstance(client_id, int) and client_id < 2**63 else f"{type(client_id).__name__}:{client_id}"


def decode_client_id(encoded: int | str) -> ClientId:
    """Return the client's id that was stored as this payload value."""
    if isinstance(encoded, int):
        return encoded
    kind, _, text = encoded.partition(":")
    return int(text) if kind == "int" else UUID(text)
