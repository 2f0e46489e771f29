"""Find the person who wrote a message: not the list that sent it on, not the form on a web site, not a machine."""

import re
from dataclasses import replace

from email_sender.archive.addresses import Address, normalise_address, read_addresses
from email_sender.archive.body_text import Mail
from email_sender.archive.decoding import clean_line, decode_words
from email_sender.archive.mail_kinds import MailKind, is_machine_address
from email_sender.errors import InvalidInput

_MAX_HEADER = 2_000
# "Ann Smith via Talk", as lists write the name of somebody whose address they replaced.
_VIA = re.compile(r"\s+(?:via|durch|über|par|vía|tramite)\s+\S.*$", re.IGNORECASE)
# bob=40people.example@dmarc.list.example, and bob@people.example.invalid.
_ENCODED_AUTHOR = re.compile(r"([^=@\s]{1,64})=(?:40)?([^=@\s]{1,255}\.[^=@\s]{2,63})@.*")
_SENT_LABELS = frozenset((
    "sent", "sent mail", "sent items", "sent messages", "gesendet", "envoyés", "messages envoyés", "enviados",
    "enviats", "inviati", "posta inviata", "verzonden", "skickat", "sendt", "sendte", "lähetetyt", "wysłane",
    "odeslané", "odoslané", "elküldött", "elküldött levelek", "trimise", "poslano", "изпратени", "отправленные",
    "надіслані", "gönderilmiş", "gönderilmiş postalar", "απεσταλμένα", "נשלח", "المرسلة", "已发送", "已傳送",
    "寄件備份", "送信済み", "送信済みメール", "보낸편지함",
))  # fmt: skip


def find_author(message: Mail, sender: Address | None, kind: MailKind, problems: list[str]) -> Address | None:
    """Return the author of a message, or None if no person is known to have written it.

    Lists replace the From address of authors whose domain forbids forwarding (DMARC); Reply-To or X-Original-From then
    has the author. A web form sends as the site, with the visitor in Reply-To.
    """
    list_addresses = _list_addresses(message)
    if kind in (MailKind.PERSON, MailKind.UNCERTAIN):
        if sender is None or not (_is_list_address(sender, message, list_addresses) or _is_encoded(sender)):
            return _without_list_name(sender) if sender else None
        author = _original_author(message, sender, list_addresses)
        if author is None:
            problems.append("the list hides the author")
        return author
    if kind is MailKind.NOTIFICATION and not _is_list_mail(message) and "Auto-Submitted" not in message:
        return _form_visitor(message, sender)
    return None


def is_sent_copy(message: Mail) -> bool:
    """Return whether the message is a copy from a folder of sent mail, as Gmail labels it."""
    labels = decode_words(str(message.get("X-Gmail-Labels", ""))[:_MAX_HEADER], [])
    return any(is_sent_label(label.strip().strip('"')) for label in labels.split(","))


def is_sent_label(name: str) -> bool:
    """Return whether this is the name of a folder of sent mail, in the languages of Gmail and Outlook."""
    return name.casefold() in _SENT_LABELS


def _original_author(message: Mail, sender: Address, list_addresses: frozenset[str]) -> Address | None:
    encoded = _decode_author(sender)
    if encoded is not None or "-dmarc-request@" in sender.email:
        return encoded
    candidates = [
        address
        for name in ("X-Original-From", "X-Original-Sender", "Reply-To", "X-Reply-To", "Cc")
        for address in _read(message, name)
        # Mailman puts the author into Cc if answers go to the list.
        if (name != "Cc" or _is_name_of(address, sender))
        and address.email not in list_addresses
        and address.email != sender.email
        and not is_machine_address(address.email)
    ]
    if not candidates:
        return None
    name = next((one.name for one in candidates if one.name and one.email == candidates[0].email), "")
    return _without_list_name(replace(candidates[0], name=name or sender.name))


def _is_name_of(address: Address, sender: Address) -> bool:
    return bool(address.name) and address.name.casefold() == _without_list_name(sender).name.casefold()


def _form_visitor(message: Mail, sender: Address | None) -> Address | None:
    """Return the visitor who filled in a web form. Services write their own address into Reply-To, forms do not."""
    visitors = _read(message, "Reply-To")
    if len(visitors) != 1 or sender is None or is_machine_address(visitors[0].email):
        return None
    is_service = _organisation(visitors[0].email) == _organisation(sender.email)
    return None if is_service or "List-Unsubscribe" in message else visitors[0]


def _organisation(email: str) -> str:
    """Return the label of a domain that names its owner: `apple` of euro.apple.com and of lists.apple.com."""
    labels = email.rpartition("@")[2].split(".")
    while len(labels) > 1 and (len(labels[-1]) <= 3 or labels[-1] in ("example", "info")):
        labels.pop()
    return labels[-1]


def _is_list_address(sender: Address, message: Mail, list_addresses: frozenset[str]) -> bool:
    if sender.email in list_addresses:
        return True
    list_id = re.search(r"<([^<>\s]{1,255})>", clean_line(str(message.get("List-Id", ""))[:_MAX_HEADER]).lower())
    return bool(list_id and sender.email.replace("@", ".", 1) == list_id.group(1))


def _list_addresses(message: Mail) -> frozenset[str]:
    found: list[str] = [address.email for address in _read(message, "Reply-To") if _goes_to(message, address)]
    post = re.search(r"<mailto:([^>?\s]{3,320})", str(message.get("List-Post", ""))[:_MAX_HEADER], re.IGNORECASE)
    found += [post.group(1)] if post else []
    for name in ("X-BeenThere", "X-Mailing-List", "Mailing-List", "X-Loop-List"):
        found += [address.email for address in _read(message, name)]
    return frozenset(address for one in found if (address := _normalise(one)))


def _goes_to(message: Mail, address: Address) -> bool:
    """Return whether answers go where the message itself went: to the list."""
    return _is_list_mail(message) and any(recipient.email == address.email for recipient in _read(message, "To"))


def _is_list_mail(message: Mail) -> bool:
    return any(name in message for name in ("List-Id", "List-Post", "Mailing-List", "X-Mailing-List", "X-BeenThere"))


def _is_encoded(sender: Address) -> bool:
    # LISTSERV hides the address behind a number.
    return "-dmarc-request@" in sender.email or _decode_author(sender) is not None


def _decode_author(sender: Address) -> Address | None:
    if sender.email.endswith(".invalid") and sender.email.count(".") > 1:
        email = _normalise(sender.email.removesuffix(".invalid"))
    else:
        match = _ENCODED_AUTHOR.fullmatch(sender.email)
        email = _normalise(f"{match.group(1)}@{match.group(2)}") if match else None
    return _without_list_name(Address(sender.name, email)) if email else None


def _without_list_name(address: Address) -> Address:
    name = _VIA.sub("", address.name).strip()
    return replace(address, name=name.strip("'\" ")) if name != address.name else address


def _read(message: Mail, name: str) -> list[Address]:
    values = message.get_all(name, [])
    text = clean_line(str(values[0])[:_MAX_HEADER]) if values else ""
    return [replace(address, name=decode_words(address.name, [])) for address in read_addresses(text)]


def _normalise(email: str) -> str | None:
    try:
        return normalise_address(email)
    except InvalidInput:
        return None
