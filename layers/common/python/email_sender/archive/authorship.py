"""Decide whose message an archived mail is: a contact's, the tenant's own, or nobody's."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from email_sender.archive.addresses import Address, normalise_address, without_tag
from email_sender.archive.mail_kinds import MailKind, is_machine_address
from email_sender.archive.message_parser import ParsedMessage
from email_sender.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """The addresses of the tenant (normalised). A tag does not make another address: `team+news@` is `team@`."""

    addresses: frozenset[str] = frozenset()

    @classmethod
    def of(cls, addresses: Iterable[str]) -> Self:
        """Return the addresses in their normal form. What is no address is left out."""
        normalised: set[str] = set()
        for address in addresses:
            with suppress(InvalidInput):
                normalised.add(normalise_address(address))
        return cls(frozenset(normalised))

    def __contains__(self, email: str) -> bool:
        return email in self.addresses or without_tag(email) in self.addresses

    def with_sent_copies(self, messages: Iterable[ParsedMessage]) -> "OwnAddresses":
        """Return these addresses and the senders of copies from a folder of sent mail."""
        senders = {message.sender.email for message in messages if message.is_sent and message.sender}
        return OwnAddresses(self.addresses | senders)


def find_contact(message: ParsedMessage, own: OwnAddresses) -> Address | None:
    """Return the contact who wrote the message, or None: a machine, a list, or the tenant itself did.

    A web form on the tenant's own site sends from the tenant's address, with the visitor in Reply-To.
    """
    author = message.author
    if author is None or message.is_sent:
        return None
    if author.email not in own:
        return author
    visitor = message.reply_to
    is_answer = bool(message.in_reply_to or message.references)
    if visitor is None or is_answer or visitor.email in own or is_machine_address(visitor.email):
        return None
    return visitor if message.kind is MailKind.PERSON else None
