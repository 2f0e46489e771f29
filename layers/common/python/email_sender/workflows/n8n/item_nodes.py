"""The nodes that run in the sandbox, in JavaScript's own semantics: over items, branches, code, and services."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from email_sender.workflows.n8n import service_nodes
from email_sender.workflows.n8n.export import Node
from email_sender.workflows.triggers.answers import is_allowed

# The versions of each node that recorded runs of n8n 2.41.1 cover (tests/data/n8n-cases*.ndjson; a test compares both).
RECORDED: Final[Mapping[str, frozenset[float]]] = {
    "aggregate": frozenset({1}),
    "code": frozenset({1, 2}),
    "compareDatasets": frozenset({1, 2, 2.1, 2.2, 2.3}),
    "convertToFile": frozenset({1, 1.1}),
    "crypto": frozenset({1}),
    "dateTime": frozenset({2}),
    "extractFromFile": frozenset({1, 1.1}),
    "filter": frozenset({1, 2, 2.1, 2.2, 2.3}),
    "function": frozenset({1}),
    "functionItem": frozenset({1}),
    "html": frozenset({1, 1.1, 1.2}),
    "if": frozenset({1, 2, 2.1, 2.2, 2.3}),
    "itemLists": frozenset({1, 2, 2.1, 3, 3.1}),
    "limit": frozenset({1}),
    "markdown": frozenset({1}),
    "merge": frozenset({1, 2, 2.1, 3, 3.1, 3.2}),
    "noOp": frozenset({1}),
    "removeDuplicates": frozenset({1, 1.1, 2}),
    "renameKeys": frozenset({1}),
    "set": frozenset({1, 2, 3, 3.1, 3.2, 3.3, 3.4, 3.5}),
    "sort": frozenset({1}),
    "splitInBatches": frozenset({1, 2, 3}),
    "splitOut": frozenset({1}),
    "stopAndError": frozenset({1}),
    "summarize": frozenset({1, 1.1}),
    "switch": frozenset({1, 2, 3, 3.1, 3.2, 3.3, 3.4}),
    "xml": frozenset({1}),
}
# Those whose recorded runs are in tests/data/n8n-service-cases.ndjson.
RECORDED_LATER: Final = ("compareDatasets", "convertToFile", "extractFromFile", "html", "markdown", "xml")
ITEM_TYPES: Final = frozenset({*RECORDED, "evaluation", "form", "respondToWebhook"})
# The versions of agents and chains in tests/data/n8n-agent-cases.ndjson.
RECORDED_AGENTS: Final[Mapping[str, frozenset[float]]] = {
    "agent": frozenset({1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.2, 3, 3.1}),
    "chainLlm": frozenset({1, 1.4, 1.5, 1.6, 1.7, 1.9}),
}
# The versions of respondToWebhook in tests/data/n8n-answers.ndjson.
RECORDED_ANSWERS: Final = frozenset({1, 1.1, 1.4, 1.5})
_SHEETS: Final = ("xlsx", "xls", "ods", "html", "rtf")
# The parameter that says what a node does, and its values that run here. The first one is the default.
OPERATIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "convertToFile": ("operation", ("csv", "toJson", "toText", "toBinary", *_SHEETS)),
    "extractFromFile": ("operation", ("csv", "fromJson", "text", "xml", "binaryToPropery", "pdf", *_SHEETS)),
    "html": ("operation", ("generateHtmlTemplate", "extractHtmlContent", "convertToHtmlTable")),
    "markdown": ("mode", ("htmlToMarkdown", "markdownToHtml")),
}

# Since this version of evaluation, metrics are a model's judgements.
_JUDGED_METRICS: Final = 4.7
_HASHES = ("MD5", "SHA256", "SHA3-256", "SHA3-384", "SHA3-512", "SHA384", "SHA512")
# A definition has at most 24 levels, and up to ten are around a parameter.
_MAX_LEVELS = 13
_OUTSIDE_CODE = re.compile(r"\b(require|fetch|process)\b|\bhelpers\.|\$getWorkflowStaticData|getWorkflowStaticData")
_REFERENCE = re.compile(r"""(?:\$\(|\$node\[|\$items\()\s*(["'`])(.+?)\1|\$node\.(\w+)""")
_PAIRED = re.compile(r"""\$\(\s*(["'`])([^"'`]+)\1\s*\)\s*\.\s*(?:item\b|itemMatching|pairedItem)""")


@dataclass(frozen=True, slots=True)
class ReturnedOutput:
    """An output of a node whose items a step returns under `name`."""

    name: str
    node: str
    output: int


_ABSENT: Final = {
    "$env": "is refused",
    "$vars": "is empty",
    "$secrets": "is empty",
    "$workflow.id": "is empty",
    "$workflow.active": "is false",
    "$execution.mode": "is always production",
    "$execution.resumeUrl": "is empty",
    "$execution.customData": "is not there",
}


def is_storable(value: object, levels: int = _MAX_LEVELS) -> bool:
    """Return whether a definition can hold the value: keys cannot look like expressions, and levels are limited."""
    if levels < 0:
        return False
    if isinstance(value, Mapping):
        return all("{%" not in str(key) and is_storable(nested, levels - 1) for key, nested in value.items())
    return all(is_storable(nested, levels - 1) for nested in value) if isinstance(value, list) else True


def runs_here(node: Node) -> bool:
    """Return whether the sandbox runs the node. Disabled nodes of every type pass their items through there."""
    if node.disabled:
        return True
    parameters = node.parameters
    if not is_storable(parameters):
        return False
    if service_nodes.is_service(node):
        return service_nodes.reason_against(node) is None
    if reason_against(node):
        return False
    if node.type == "code":
        return bool(parameters.get("language", "javaScript") == "javaScript")
    if node.type == "merge":
        return bool(parameters.get("mode") != "combineBySql")
    if node.type == "form":
        return bool(parameters.get("operation") == "completion")
    if node.type == "evaluation":
        operation = parameters.get("operation")
        return operation == "checkIfEvaluating" or (operation == "setMetrics" and node.version < _JUDGED_METRICS)
    if node.type == "dateTime":
        return node.version >= 2
    if node.type == "crypto":
        is_known = parameters.get("type", "MD5") in _HASHES and not parameters.get("binaryData")
        action = parameters.get("action", "hash")
        return (action in ("hash", "hmac") and is_known) or (
            action == "generate" and parameters.get("encodingType", "uuid") == "uuid"
        )
    return node.type in ITEM_TYPES


def reason_against(node: Node) -> str | None:
    """Return why the sandbox cannot do what the node does, if that depends on its operation."""
    name, operations = OPERATIONS.get(node.type, ("operation", ()))
    operation = node.parameters.get(name, operations[0] if operations else None)
    if not operations or operation in operations:
        return None
    return f"its operation {str(operation)[:40]!r} is not supported"


_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_SHORT_SECONDS: Final = 300


def waits_shortly(node: Node) -> bool:
    """Return whether the node waits as long as workflows pause between requests. In a loop, that is left out."""
    parameters = node.parameters
    # n8n leaves out what is the default of the node's version.
    unit = parameters.get("unit", "hours" if node.version < 1.1 else "seconds")
    amount = parameters.get("amount", 1 if node.version < 1.1 else 5)
    if node.type != "wait" or parameters.get("resume", "timeInterval") != "timeInterval" or node.disabled:
        return False
    is_number = type(amount) in (int, float) and isinstance(unit, str) and unit in _SECONDS
    return bool(is_number and 0 <= amount * _SECONDS[unit] <= _SHORT_SECONDS)


def differences(node: Node) -> Iterator[str]:
    """Yield how the node's result can differ from n8n's."""
    if node.disabled:
        return
    if service_nodes.is_service(node):
        yield from service_nodes.differences(node)
    elif node.type == "wait":
        yield "in a loop it does not wait: what the loop does comes one after the other"
    elif node.type == "form":
        yield "its page is not shown: the workflow does its work, and who filled in the form gets no answer"
    elif node.type == "evaluation":
        yield "a run here is never an evaluation"
    elif node.type == "respondToWebhook":
        yield from _differences_of_answers(node)
    elif node.version not in RECORDED_AGENTS.get(node.type, RECORDED.get(node.type, frozenset())):
        yield f"version {node.version:g} of this node was not compared with n8n"
    if node.type in ("convertToFile", "extractFromFile"):
        yield "a file stays with its item up to the end of the step"
    elif node.type == "html":
        yield from _differences_of_html(node)
    code = "\n".join(texts_in({key: node.parameters.get(key) for key in ("jsCode", "functionCode")}))
    if outside := sorted({match[0].removesuffix(".") for match in _OUTSIDE_CODE.finditer(code)}):
        yield f"its code uses {', '.join(outside)}, which the sandbox does not have or does not keep"
    texts = "\n".join([code, *(text for text in texts_in(node.parameters) if text.startswith("="))])
    for name, meaning in _ABSENT.items():
        if name in texts:
            yield f"{name} {meaning}"
    if node.raw.get("retryOnFail") is True:
        yield "it is repeated at once, without a pause"


# Operations whose items have files, by type, and those that need one.
_GIVES: Final[Mapping[str, tuple[str, ...]]] = {
    "googleDrive": ("download",),
    "openAi": ("generate", "edit"),
    "googleGemini": ("generate", "edit"),
}
_READS: Final[Mapping[str, tuple[str, ...]]] = {
    "googleDrive": ("upload",),
    "openAi": ("transcribe", "translate", "edit"),
    "googleGemini": ("edit",),
    "youTube": ("upload", "uploadBanner"),
}


def gives_files(node: Node) -> bool:
    """Return whether the node's items have files, which only the nodes of its step get."""
    parameters = node.parameters
    if node.type == "httpRequest":
        return bool(_response_format(node) == "file")
    if node.type in _GIVES:
        return parameters.get("operation", "upload" if node.type == "googleDrive" else "generate") in _GIVES[node.type]
    return (
        node.type == "convertToFile"
        or (node.type == "telegram" and parameters.get("resource") == "file")
        or (node.type == "gmail" and service_nodes.has_option(node, "downloadAttachments"))
    )


def _response_format(node: Node) -> Any:
    value: Any = node.parameters
    for name in () if node.version < 3 else ("options", "response", "response"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.get("responseFormat") if isinstance(value, Mapping) else None


def reads_files(node: Node) -> bool:
    """Return whether the node needs a file of its items."""
    parameters = node.parameters
    if node.type == "html":
        return bool(parameters.get("sourceData") == "binary")
    default = "upload" if node.type == "googleDrive" else ""
    return (
        node.type == "extractFromFile"
        or parameters.get("operation", default) in _READS.get(node.type, ())
        or parameters.get("sendBinaryData") is True
        or parameters.get("binaryData") is True
        or parameters.get("inputType") in ("base64", "binary")
        or parameters.get("shareMediaCategory") == "IMAGE"
        or service_nodes.has_option(node, "thumbnailBinaryPropertyName", group="additionalFields")
        or (node.type == "gmail" and service_nodes.has_option(node, "attachmentsUi"))
    )


def _differences_of_answers(node: Node) -> Iterator[str]:
    if node.version not in RECORDED_ANSWERS:
        yield f"version {node.version:g} of this node was not compared with n8n"
    yield "the caller gets the answer at the end of the step, at most 64 KB, if the webhook waits for one"
    if node.parameters.get("respondWith") == "jwt":
        yield "signed tokens are no answer here: the node fails"
    options = node.parameters.get("options")
    headers = options.get("responseHeaders") if isinstance(options, Mapping) else None
    entries = headers.get("entries") if isinstance(headers, Mapping) else None
    names = [one.get("name") for one in entries if isinstance(one, Mapping)] if isinstance(entries, list) else []
    if refused := sorted({name for name in names if isinstance(name, str) and not is_allowed(name.lower())}):
        yield f"the headers {', '.join(refused)[:200]} are left out"


def _differences_of_html(node: Node) -> Iterator[str]:
    operation = node.parameters.get("operation", "generateHtmlTemplate")
    if operation == "generateHtmlTemplate" and "html" not in node.parameters:
        yield "n8n's example page is not included: the page is empty"
    if operation == "convertToHtmlTable":
        yield "tables have no styles of their own"


def referenced_nodes(node: Node) -> set[str]:
    """Return the names of the nodes whose items the node's expressions and code read."""
    return {match[2] or match[3] for text in texts_in(node.parameters) for match in _REFERENCE.finditer(text)}


def paired_nodes(node: Node) -> set[str]:
    """Return the names of the nodes whose item for the current item the node's expressions and code read."""
    return {match[2] for text in texts_in(node.parameters) for match in _PAIRED.finditer(text)}


def texts_in(value: object) -> Iterator[str]:
    """Yield every text in a parameter."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for nested in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(nested)


_SWITCHES: Final = ("executeOnce", "alwaysOutputData", "continueOnFail", "retryOnFail")


def sandbox_node(node: Node) -> dict[str, Any]:
    """Return the node as the sandbox reads it. Credentials, ids and notes stay outside."""
    raw: dict[str, Any] = {"name": node.name, "type": node.type, "typeVersion": node.version}
    position = node.raw.get("position")
    if isinstance(position, list) and len(position) == 2 and all(type(part) in (int, float) for part in position):
        raw["position"] = position
    raw |= {name: True for name in _SWITCHES if node.raw.get(name) is True}
    if node.disabled:
        raw["disabled"] = True
    if node.raw.get("onError") in ("continueRegularOutput", "continueErrorOutput"):
        raw["onError"] = node.raw["onError"]
    if node.max_attempts > 1:
        raw["maxTries"] = node.max_attempts
    parameters = service_nodes.slim(node.parameters) if service_nodes.is_service(node) else node.parameters
    return dict(quoted({**raw, "parameters": parameters}))


def asks_memory(node: Node) -> bool:
    """Return whether the node asks the platform for what earlier runs have seen."""
    operations = ("removeItemsSeenInPreviousExecutions", "clearDeduplicationHistory")
    return node.type == "removeDuplicates" and node.version >= 2 and node.parameters.get("operation") in operations


def output_count(node: Node) -> int:
    """Return how many outputs of a node can have items, with the output for errors."""
    count = 1
    if node.disabled:
        return 1
    if node.type == "respondToWebhook":
        count = 2 if node.parameters.get("enableResponseOutput") is True else 1
    elif node.type == "removeDuplicates":
        count = 2 if asks_memory(node) else 1
    elif node.type in ("if", "splitInBatches") or node.parameters.get("operation") == "checkIfEvaluating":
        count = 2
    elif node.type == "compareDatasets":
        count = 4
    elif node.type == "switch":
        rules = node.parameters.get("rules")
        listed = (rules.get("values") or rules.get("rules")) if isinstance(rules, Mapping) else None
        numbers = (node.parameters.get(name) for name in ("numberOutputs", "outputsAmount"))
        most = max((number for number in numbers if type(number) is int), default=4)
        count = min(max(len(listed) + 1 if isinstance(listed, list) else 4, most, 4), 100)
    return count + (node.raw.get("onError") == "continueErrorOutput")


def quoted(value: Any) -> Any:
    """Return the value with the texts that look like the platform's own expressions as expressions that give them."""
    if isinstance(value, str):
        return f"{{% {json.dumps(value)} %}}" if "{%" in value or value.rstrip().endswith("%}") else value
    if isinstance(value, Mapping):
        return {key: quoted(nested) for key, nested in value.items()}
    return [quoted(nested) for nested in value] if isinstance(value, list) else value
