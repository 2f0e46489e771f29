"""Client of Email Sender. Start with `Client.signed_in`, or with `AsyncClient.signed_in` in asynchronous code."""

from email_sender_client import models
from email_sender_client.client import AsyncClient, Client
from email_sender_client.errors import ApiError, CodeNeeded, NewPasswordNeeded, SignInNeeded
from email_sender_client.session import Session

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "CodeNeeded",
    "NewPasswordNeeded",
    "Session",
    "SignInNeeded",
    "models",
]
