"""The nodes that call other systems. The sandbox says which requests they send, and the platform sends those."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from email_sender.workflows.n8n.export import Node
from email_sender.workflows.n8n.services import SERVICES, Service

_OF_THE_EDITOR: Final = ("cachedResultName", "cachedResultUrl", "__rl")
_NO_FILES: Final = "files of items cannot be sent"
REQUEST_VERSIONS: Final = frozenset({1, 2, 3, 4, 4.1, 4.2, 4.3, 4.4})
# Ways to sign in that need more than a text in a header, the query or the URL.
_OTHER_SIGN_INS: Final = (
    "aws",
    "trelloApi",
    "httpDigestAuth",
    "oAuth1Api",
    "digestAuth",
    "oAuth1",
)


_MODELS: Final = ("openAi", "googleGemini")


def sends_mail(node: Node) -> bool:
    """Return whether the node sends a mail, which the platform does itself."""
    if node.type == "emailSend":
        return bool(node.parameters.get("operation", "send") == "send")
    if node.type != "gmail" or node.parameters.get("resource", "message") != "message":
        return False
    return node.parameters.get("operation", "send") in ("send", "sendEmail")


def answers_mail(node: Node) -> bool:
    """Return whether the node answers a mail, which the platform does itself."""
    if node.type != "gmail" or node.parameters.get("operation") != "reply":
        return False
    return node.parameters.get("resource", "message") in ("message", "thread")


def asks_person(node: Node) -> bool:
    """Return whether the node sends a message and waits for a person's answer."""
    return bool(node.parameters.get("operation") == "sendAndWait")


def _writes_text(node: Node) -> bool:
    """Return whether a model writes a text, which the deployment's own model does."""
    return node.type in _MODELS and node.parameters.get("resource", "text") == "text"


def is_service(node: Node) -> bool:
    is_known = node.type == "httpRequest" or node.type in SERVICES
    return is_known and not (sends_mail(node) or answers_mail(node) or asks_person(node) or _writes_text(node))


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
    return None


def _authentication(node: Node, service: Service) -> str:
    """Return how the node signs in: the key of one of the service's credentials, if it is known."""
    default = next(iter(service.credentials))
    return default if "" in service.credentials else str(node.parameters.get(service.authentication, default))


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
        known = () if node.type == "httpRequest" else SERVICES[node.type].hosts
        hosts = f" for {' and '.join(known)}" if known else ""
        yield f"its credentials become the tenant's secret {secret!r}{hosts}: store it there"
    if node.type == "googleDrive" or has_option(node, "response"):
        yield "a file may have 3 MB, and stays with its item up to the end of the step"
    if node.type in ("telegram", "slack"):
        yield "the line that n8n adds to messages about itself is left out"
    if has_option(node, "proxy", "allowUnauthorizedCerts"):
        yield "requests go to public addresses with valid certificates, without a proxy"
    if has_option(node, "batching", "batchInterval"):
        yield "the requests of all items are sent at once, without a pause between them"


def has_option(node: Node, *names: str, group: str = "options") -> bool:
    """Return whether one of the options is on, or has a value."""
    options = node.parameters.get(group)
    return isinstance(options, Mapping) and any(options.get(name) for name in names)


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
