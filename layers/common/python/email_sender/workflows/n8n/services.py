"""The services that imported nodes call: versions, hosts, credentials and operations.

What each of them sends was recorded from n8n 2.41.1 (tests/data/n8n-service-cases.ndjson; a test compares both).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of node. `operations` are those of each resource, with the first one as the default.

    `credentials` is the type that the node signs in with, by the value of the parameter `authentication`; the
    first one is the default.
    """

    versions: tuple[float, float]
    hosts: Collection[str]
    credentials: Mapping[str, str]
    operations: Mapping[str, Collection[str]]
    default_resource: str = ""
    recorded: frozenset[float] = field(default=frozenset())
    authentication: str = "authentication"


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
    "facebookGraphApi": Service(
        (1, 1),
        ("graph.facebook.com",),
        {"accessToken": "facebookGraphApi", "oAuth2": "facebookGraphApiOAuth2Api"},
        {"": ("",)},
        "",
        frozenset({1}),
        "authType",
    ),
    "gmail": Service(
        (2, 2.2),
        ("www.googleapis.com",),
        {"oAuth2": "gmailOAuth2"},
        {
            "message": ("get", "getAll", "addLabels", "removeLabels", "markAsRead", "markAsUnread", "delete"),
            "draft": ("create", "get", "getAll", "delete"),
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
        {"oAuth2": "googleDocsOAuth2Api", "serviceAccount": "googleApi"},
        {"document": ("create", "get", "update")},
        "document",
        frozenset({2}),
    ),
    "googleDrive": Service(
        (3, 3),
        ("www.googleapis.com", "docs.googleapis.com"),
        {"oAuth2": "googleDriveOAuth2Api", "serviceAccount": "googleApi"},
        {
            "file": ("upload", "copy", "createFromText", "deleteFile", "download", "move", "share", "update"),
            "fileFolder": ("search",),
            "folder": ("create", "deleteFolder", "share"),
        },
        "file",
        frozenset({3}),
    ),
    "googleGemini": Service(
        (1, 1.2),
        ("generativelanguage.googleapis.com",),
        {"": "googlePalmApi"},
        {"image": ("generate", "edit", "analyze"), "audio": ("transcribe", "analyze"), "document": ("analyze",)},
        "text",
        frozenset({1, 1.1, 1.2}),
    ),
    "googleSheets": Service(
        (3, 4.7),
        ("sheets.googleapis.com", "www.googleapis.com"),
        {"oAuth2": "googleSheetsOAuth2Api", "serviceAccount": "googleApi"},
        {
            "sheet": ("read", "append", "update", "appendOrUpdate", "clear", "delete", "create", "remove"),
            "spreadsheet": ("create", "deleteSpreadsheet"),
        },
        "sheet",
        frozenset({3, 4, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7}),
    ),
    # It has no operations, and sends to any URL.
    "graphql": Service(
        (1, 1.1),
        (),
        {
            "none": "",
            "headerAuth": "httpHeaderAuth",
            "basicAuth": "httpBasicAuth",
            "queryAuth": "httpQueryAuth",
            "customAuth": "httpCustomAuth",
            "oAuth2": "oAuth2Api",
        },
        {"": ("",)},
        "",
        frozenset({1, 1.1}),
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
    "linkedIn": Service(
        (1, 1),
        ("api.linkedin.com", "www.linkedin.com"),
        {"standard": "linkedInOAuth2Api", "communityManagement": "linkedInCommunityManagementOAuth2Api"},
        {"post": ("create",)},
        "post",
        frozenset({1}),
    ),
    "n8n": Service(
        (1, 1),
        (),
        {"": "n8nApi"},
        {
            "workflow": ("getAll", "get", "create", "update", "delete", "activate", "deactivate"),
            "execution": ("getAll", "get", "delete"),
        },
        "workflow",
        frozenset({1}),
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
    "openAi": Service(
        (1, 2.3),
        ("api.openai.com",),
        {"": "openAiApi"},
        {"audio": ("generate", "transcribe", "translate"), "image": ("generate", "edit", "analyze")},
        "text",
        frozenset({1, 1.3, 1.4, 1.8, 2, 2.1, 2.2, 2.3}),
    ),
    "perplexity": Service(
        (1, 2), ("api.perplexity.ai",), {"": "perplexityApi"}, {"chat": ("complete",)}, "chat", frozenset({1, 2})
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
    "supabase": Service(
        (1, 1),
        ("the host of your project",),
        {"": "supabaseApi"},
        {"row": ("create", "delete", "get", "getAll", "update")},
        "row",
        frozenset({1}),
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
    "twilio": Service(
        (1, 1), ("api.twilio.com",), {"": "twilioApi"}, {"sms": ("send",), "call": ("make",)}, "sms", frozenset({1})
    ),
    "twitter": Service(
        (2, 2),
        ("api.x.com",),
        {"": "twitterOAuth2Api"},
        {
            "tweet": ("create", "delete", "like", "retweet", "search"),
            "user": ("searchUser",),
            "directMessage": ("create",),
        },
        "tweet",
        frozenset({2}),
    ),
    "whatsApp": Service(
        (1, 1.1),
        ("graph.facebook.com",),
        {"": "whatsAppApi"},
        {"message": ("sendTemplate", "send"), "media": ("mediaUpload", "mediaUrlGet", "mediaDelete")},
        "message",
        frozenset({1, 1.1}),
    ),
    "wordpress": Service(
        (1, 1),
        ("the host of your site",),
        {"basicAuth": "wordpressApi"},
        {
            "post": ("create", "get", "getAll", "update", "delete"),
            "page": ("create", "get", "getAll", "update", "delete"),
            "user": ("create", "get", "getAll", "update"),
        },
        "post",
        frozenset({1}),
        "authType",
    ),
    "youTube": Service(
        (1, 1),
        ("www.googleapis.com",),
        {"": "youTubeOAuth2Api"},
        {
            "channel": ("getAll", "get", "update"),
            "playlist": ("getAll", "get", "create", "update", "delete"),
            "playlistItem": ("add", "get", "getAll", "delete"),
            "video": ("getAll", "get", "rate", "update", "delete"),
            "videoCategory": ("getAll",),
        },
        "channel",
        frozenset({1}),
    ),
}
