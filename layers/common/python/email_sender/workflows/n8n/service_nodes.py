"""The nodes that call other systems. The sandbox says which requests they send, and the platform sends those.

What each of them sends was recorded from n8n 2.41.1 (tests/data/n8n-service-cases.ndjson; a test compares both).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from email_sender.workflows.n8n.export import Node

_OF_THE_EDITOR: Final = ("cachedResultName", "cachedResultUrl", "__rl")
_NO_FILES: Final = "files of items cannot be sent"


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of node. `operations` are those of each resource, with the first one as the default.

    `credentials` is the type that the node signs in with, by the value of its parameter `authentication`; the first one
    is the default.
    """

    versions: tuple[float, float]
    hosts: Collection[str]
    credentials: Mapping[str, str]
    operations: Mapping[str, Collection[str]]
    default_resource: str = ""
    recorded: frozenset[float] = field(default=frozenset())


SERVICES: Final[Mapping[str, Service]] = {
    "airtable": Service(
        (2, 2.1),
        ("api.airtable.com",),
        {"airtableTokenApi": "airtableTokenApi", "airtableOAuth2Api": "airtableOAuth2Api"},
        {
            "record": ("get", "create", "update", "upsert", "search", "deleteRecord"),
            "base": ("getMany", "getSchema"),
        },
        "record",
        frozenset({2, 2.1}),
    ),
    "discord": Service(
        (2, 2),
        ("discord.com",),
        {"botToken": "discordBotApi", "oAuth2": "discordOAuth2Api", "webhook": "discordWebhookApi"},
        {"channel": ("create", "getAll"), "message": ("send", "get", "getAll", "deleteMessage", "react")},
        "channel",
        frozenset({2}),
    ),
    "gmail": Service(
        (2, 2.2),
        ("www.googleapis.com",),
        {"oAuth2": "gmailOAuth2"},
        {
            "message": ("get", "getAll", "addLabels", "removeLabels", "markAsRead", "markAsUnread", "delete"),
            "label": ("getAll", "create", "delete", "get"),
            "thread": ("getAll", "get", "addLabels", "removeLabels", "delete", "trash", "untrash"),
        },
        "message",
        frozenset({2, 2.1, 2.2}),
    ),
    "googleCalendar": Service(
        (1, 1.3),
        ("www.googleapis.com",),
        {"": "googleCalendarOAuth2Api"},
        {"event": ("create", "delete", "get", "getAll", "update"), "calendar": ("availability",)},
        "event",
        frozenset({1, 1.1, 1.2, 1.3}),
    ),
    "googleDocs": Service(
        (2, 2),
        ("docs.googleapis.com", "www.googleapis.com"),
        {"oAuth2": "googleDocsOAuth2Api"},
        {"document": ("create", "get", "update")},
        "document",
        frozenset({2}),
    ),
    "googleDrive": Service(
        (3, 3),
        ("www.googleapis.com", "docs.googleapis.com"),
        {"oAuth2": "googleDriveOAuth2Api"},
        {
            "file": ("upload", "copy", "createFromText", "deleteFile", "download", "move", "share", "update"),
            "fileFolder": ("search",),
            "folder": ("create", "deleteFolder", "share"),
        },
        "file",
        frozenset({3}),
    ),
    "googleSheets": Service(
        (3, 4.7),
        ("sheets.googleapis.com", "www.googleapis.com"),
        {"oAuth2": "googleSheetsOAuth2Api"},
        {
            "sheet": ("read", "append", "update", "appendOrUpdate", "clear", "delete", "create", "remove"),
            "spreadsheet": ("create", "deleteSpreadsheet"),
        },
        "sheet",
        frozenset({3, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7}),
    ),
    "hubspot": Service(
        (2, 2.2),
        ("api.hubapi.com",),
        {"apiKey": "hubspotApi", "appToken": "hubspotAppToken", "oAuth2": "hubspotOAuth2Api"},
        {
            "contact": ("upsert", "get", "getAll", "getRecentlyCreatedUpdated", "search", "delete"),
            "deal": ("create", "get", "getAll"),
            "company": ("create", "update"),
            "engagement": ("create",),
        },
        "contact",
        frozenset({2, 2.1, 2.2}),
    ),
    "notion": Service(
        (2, 2.2),
        ("api.notion.com",),
        {"apiKey": "notionApi", "oAuth2": "notionOAuth2Api"},
        {
            "page": ("create", "search", "archive"),
            "databasePage": ("create", "update", "get", "getAll"),
            "database": ("get", "getAll"),
            "block": ("append", "getAll"),
        },
        "page",
        frozenset({2, 2.1, 2.2}),
    ),
    # It has no operations and no credentials: it reads any URL.
    "rssFeedRead": Service((1, 1.2), (), {"": ""}, {"": ("",)}, "", frozenset({1, 1.1, 1.2})),
    "slack": Service(
        (1, 2.4),
        ("slack.com",),
        {"accessToken": "slackApi", "oAuth2": "slackOAuth2Api"},
        {
            "message": ("post", "update", "delete"),
            "channel": ("create", "get", "getAll", "history", "member", "replies"),
            "user": ("info", "getAll"),
            "reaction": ("add", "remove"),
        },
        "message",
        frozenset({2, 2.1, 2.2, 2.3}),
    ),
    "telegram": Service(
        (1, 1.2),
        ("api.telegram.org",),
        {"": "telegramApi"},
        {
            "message": (
                "sendMessage",
                "editMessageText",
                "deleteMessage",
                "pinChatMessage",
                "unpinChatMessage",
                "sendAnimation",
                "sendAudio",
                "sendChatAction",
                "sendDocument",
                "sendLocation",
                "sendMediaGroup",
                "sendPhoto",
                "sendSticker",
                "sendVideo",
            ),
            "callback": ("answerQuery", "answerInlineQuery"),
            "chat": ("get", "administrators", "leave", "member", "setDescription", "setTitle"),
            "file": ("get",),
        },
        "message",
        frozenset({1, 1.1, 1.2}),
    ),
    "whatsApp": Service(
        (1, 1.1),
        ("graph.facebook.com",),
        {"": "whatsAppApi"},
        {"message": ("sendTemplate", "send"), "media": ("mediaUpload", "mediaUrlGet", "mediaDelete")},
        "message",
        frozenset({1, 1.1}),
    ),
}
REQUEST_VERSIONS: Final = frozenset({1, 2, 3, 4, 4.1, 4.2, 4.3, 4.4})
# Ways to sign in that need more than a text in a header, the query or the URL.
_OTHER_SIGN_INS: Final = (
    "aws",
    "trelloApi",
    "httpCustomAuth",
    "httpDigestAuth",
    "oAuth1Api",
    "customAuth",
    "digestAuth",
    "oAuth1",
)


def sends_mail(node: Node) -> bool:
    """Return whether the node sends a mail, which the platform does itself."""
    if node.type == "emailSend":
        return bool(node.parameters.get("operation", "send") == "send")
    if node.type != "gmail" or node.parameters.get("resource", "message") != "message":
        return False
    return node.parameters.get("operation", "send") in ("send", "sendEmail")


def is_service(node: Node) -> bool:
    return (node.type == "httpRequest" or node.type in SERVICES) and not sends_mail(node)


def reason_against(node: Node) -> str | None:
    """Return why the platform cannot send what the node sends, or None if it can."""
    if node.type == "httpRequest":
        return _reason_against_request(node)
    service = SERVICES[node.type]
    if not service.versions[0] <= node.version <= service.versions[1]:
        return f"version {node.version:g} of this node is not supported"
    resource = node.parameters.get("resource", service.default_resource)
    operations = service.operations.get(resource) if isinstance(resource, str) else None
    if operations is None:
        return f"its resource {str(resource)[:40]!r} is not supported"
    operation = node.parameters.get("operation", next(iter(operations)))
    if operation not in operations or operation == "mediaUpload":
        return f"its operation {str(operation)[:40]!r} is not supported"
    if (authentication := _authentication(node, service)) not in service.credentials:
        return f"signing in by {authentication[:40]!r} is not supported"
    if node.type == "gmail" and operation in ("get", "getAll") and node.parameters.get("simple") is False:
        return "whole messages are not supported: turn on its option 'Simplify'"
    return _NO_FILES if node.parameters.get("binaryData") is True else None


def _authentication(node: Node, service: Service) -> str:
    """Return how the node signs in: the key of one of the service's credentials, if it is known."""
    default = next(iter(service.credentials))
    return default if "" in service.credentials else str(node.parameters.get("authentication", default))


def _reason_against_request(node: Node) -> str | None:
    parameters = node.parameters
    way = parameters.get("authentication", "none")
    names = {"genericCredentialType": "genericAuthType", "predefinedCredentialType": "nodeCredentialType"}
    kind = parameters.get(names.get(str(way), "authentication"))
    if way != "none" and kind in _OTHER_SIGN_INS:
        return f"signing in by {str(kind)[:40]!r} is not supported"
    if node.version < 3 and parameters.get("sendBinaryData") is True:
        return _NO_FILES
    return None if node.version <= max(REQUEST_VERSIONS) else f"version {node.version:g} of this node is not supported"


def slim(parameters: Any) -> Any:
    """Return parameters without what only n8n's editor needs: names of what was chosen, and descriptions of columns."""
    if isinstance(parameters, list):
        return [slim(element) for element in parameters]
    if not isinstance(parameters, Mapping):
        return parameters
    kept = {key: value for key, value in parameters.items() if key not in _OF_THE_EDITOR}
    schema = kept.get("schema")
    if isinstance(schema, list) and "mappingMode" in kept:
        columns = [column for column in schema if isinstance(column, Mapping)]
        kept["schema"] = [
            {key: column[key] for key in ("id", "removed", "type") if key in column} for column in columns
        ]
    return {key: slim(value) for key, value in kept.items()}


def differences(node: Node) -> Iterator[str]:
    """Yield what the author has to do or to know."""
    recorded = REQUEST_VERSIONS if node.type == "httpRequest" else SERVICES[node.type].recorded
    if node.version not in recorded:
        yield f"version {node.version:g} of this node was not compared with n8n"
    if secret := secret_of(node):
        hosts = "" if node.type == "httpRequest" else f" for {' and '.join(SERVICES[node.type].hosts)}"
        yield f"its credentials become the tenant's secret {secret!r}{hosts}: store it there"
    if node.type == "googleDrive" or _has_option(node, "response"):
        yield "a file may have 1 MB, and stays with its item up to the end of the step"
    if node.type in ("telegram", "slack"):
        yield "the line that n8n adds to messages about itself is left out"
    if _has_option(node, "proxy", "allowUnauthorizedCerts"):
        yield "requests go to public addresses with valid certificates, without a proxy"
    if _has_option(node, "batching", "batchInterval"):
        yield "the requests of all items are sent at once, without a pause between them"


def _has_option(node: Node, *names: str) -> bool:
    options = node.parameters.get("options")
    return isinstance(options, Mapping) and any(name in options for name in names)


def secret_of(node: Node) -> str | None:
    """Return the name of the tenant's secret that stands for the node's credentials."""
    kind: Any = None
    if node.type != "httpRequest":
        service = SERVICES[node.type]
        kind = service.credentials.get(_authentication(node, service))
    else:
        way = node.parameters.get("authentication", "none")
        if way == "predefinedCredentialType":
            kind = node.parameters.get("nodeCredentialType")
        elif way == "genericCredentialType":
            kind = node.parameters.get("genericAuthType")
        elif way != "none" and isinstance(way, str):
            kind = f"http{way[:1].upper()}{way[1:]}"
    return "".join(letter if letter.isalnum() else "-" for letter in kind.lower()) if isinstance(kind, str) else None
