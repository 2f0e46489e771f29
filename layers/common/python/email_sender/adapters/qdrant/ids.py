"""The client's own id in the payload, since the engine's is a hash of it."""

from uuid import UUID

from email_sender.vectors.model import ClientId

CLIENT_ID = "_id"


def storable(client_id: ClientId) -> int | str:
    # Qdrant's integers are signed 64-bit; a larger unsigned one is kept as text.
    return client_id if isinstance(client_id, int) and client_id < 2**63 else f"{type(client_id).__name__}:{client_id}"


def client_id_of(stored: int | str) -> ClientId:
    if isinstance(stored, int):
        return stored
    kind, _, text = stored.partition(":")
    return int(text) if kind == "int" else UUID(text)
