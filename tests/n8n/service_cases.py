"""Recorded runs of n8n's nodes that call other systems: what they sent, what they were answered, and their items.

n8n 2.41.1 sent the requests to a server that stood in for the services. A line of the file has: id, nodes, connections,
given (the items of the node `Start` before them), exchanges [{request, response}], outputs of the last node, and error.
"""

import base64
import email.policy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from email_sender.security.bound_secrets import BoundSecret, OAuth2
from email_sender.security.signed_requests import signed
from sandbox_lambda import engine
from workflows_lambda.actions.n8n_asked import SandboxRequest

FILE = Path(__file__).parents[1] / "data" / "n8n-service-cases.ndjson"
# The credentials that the recorded n8n had, as a tenant would store them.
_OAUTH2 = OAuth2("https://login.example.com/token", "client")
SECRETS: Mapping[str, Mapping[str, Any]] = {
    "httpheaderauth": {"value": "secret-1", "label": "x-api-key"},
    "httpqueryauth": {"value": "secret-2", "label": "api_key"},
    "httpbasicauth": {"value": "pässword", "user": "user"},
    "httpbearerauth": {"value": "tok-3"},
    "wordpressapi": {"value": "pw", "user": "wp"},
    "githubapi": {"value": "ghp_1"},
    "notionapi": {"value": "secret_n"},
    "openaiapi": {"value": "sk-1"},
    "slackapi": {"value": "xoxb-1"},
    "telegramapi": {"value": "123:abc"},
    "airtabletokenapi": {"value": "pat-1"},
    "discordbotapi": {"value": "bot-1"},
    "discordoauth2api-bot": {"value": "bot-2"},
    "discordwebhookapi": {"value": "111/tok"},
    "whatsappapi": {"value": "wa-1"},
    "facebookgraphapi": {"value": "EAAtok-1"},
    "n8napi": {"value": "k"},
    "supabaseapi": {"value": "srv-1"},
    "twilioapi": {"value": "tok", "user": "AC0123456789abcdef0123456789abcdef"},
    "googlepalmapi": {"value": "AIza1"},
    "perplexityapi": {"value": "pplx-1"},
    "hubspotapi": {"value": "apiKey-value"},
    "hubspotapptoken": {"value": "pat-1"},
}
# Where the services are of which each user has an own one.
HOSTS: Mapping[str, str] = {
    "n8napi": "n8n.test", "supabaseapi": "abc.supabase.co", "wordpressapi": "blog.example.com"
}  # fmt: skip
# The platform has its own words for it; what nodes do with them is compared.
_CLOSED = (
    "The connection to the server was closed unexpectedly, perhaps it is offline. You can retry the request "
    "immediately or wait and retry later."
)
_SECONDS = 30
_ROUNDS = 100


def cases(file: Path = FILE) -> Iterator[dict[str, Any]]:
    for line in file.read_text(encoding="utf-8").split("\n"):
        if line:
            yield json.loads(line)


class Service:
    """Answers requests as they were answered when they were recorded. Raises AssertionError for any other request."""

    def __init__(self, exchanges: Sequence[Mapping[str, Any]]) -> None:
        self._open = [dict(exchange) for exchange in exchanges]

    def answer(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        request = SandboxRequest.model_validate(raw)
        sent = _signed(request)
        exchange = self._take(sent)
        while request.redirects and exchange["response"]["status"] in (301, 302, 303, 307, 308):
            target = urljoin(exchange["request"]["url"], exchange["response"]["headers"]["location"])
            exchange = next(one for one in self._open if one["request"]["url"] == target)
            self._open.remove(exchange)
        response = exchange["response"]
        if response["status"] == 0:
            return {"error": _CLOSED}
        body = {"text": response["body"] or ""}
        if "bodyBase64" in response:
            body = {"base64": response["bodyBase64"]}
        return {"status": response["status"], "headers": response["headers"], **body}

    def _take(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        for exchange in self._open:
            if _comparable(exchange["request"]) == _comparable(sent):
                self._open.remove(exchange)
                return exchange
        recorded = [_comparable(exchange["request"]) for exchange in self._open[:3]]
        raise AssertionError(f"n8n did not send\n{_comparable(sent)}\nbut\n" + "\n".join(map(str, recorded)))

    def require_all_sent(self) -> None:
        assert [exchange["request"]["url"] for exchange in self._open] == [], "n8n sent more"


def _signed(request: SandboxRequest) -> dict[str, Any]:
    url, headers = request.url, {name.lower(): value for name, value in request.headers.items()}
    if request.auth is not None:
        secret = SECRETS.get(request.auth.secret, {"value": "token-1", "oauth2": _OAUTH2})
        hosts = frozenset({HOSTS[request.auth.secret]} if request.auth.secret in HOSTS else ())
        bound = BoundSecret(request.auth.secret, hosts=hosts, **secret)
        url = bound.located(url)
        url, headers, _ = signed(request.auth, bound, bound.value, url, headers)
    return {"method": request.method, "url": url, "headers": headers, "body": request.content.decode(errors="replace")}


def _comparable(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what matters to a service. Boundaries of parts are random, and fields of JSON have no order."""
    headers = {name: value for name, value in request["headers"].items() if name not in _UNIMPORTANT}
    body = request.get("body") or ""
    if boundary := re.search("boundary=(.+)", headers.get("content-type", "")):
        # The parts of a form have no order.
        body, headers["content-type"] = sorted(body.split(boundary[1])), "multipart"
    kind = headers.get("content-type", "").partition(";")[0]
    if not body:
        # Without a body, its type says nothing.
        headers.pop("content-type", None)
    elif kind == "application/json":
        body = json.loads(re.sub(r'"requestId": ?"[^"]*"', '"requestId":"random"', body))
        headers["content-type"] = kind
        message = body.get("message", body) if isinstance(body, dict) else None
        if message and isinstance(message.get("raw"), str):
            message["raw"] = _mail(message["raw"])
    place, _, query = re.sub(r"^(https?://[^/?]+)/?(?=\?|$)", r"\1/", request["url"]).partition("?")
    # A secret in a query is the last field there; n8n has it in other places.
    pairs = sorted(query.split("&"), key=lambda pair: pair.partition("=")[0])
    return {"method": request["method"], "url": place, "query": pairs, "headers": headers, "body": body}


def _mail(raw: str) -> list[Any]:
    """Return what a mail says: its headers and its parts, without what is random or says how it is written."""
    mail = email.message_from_bytes(base64.urlsafe_b64decode(raw + "=="), policy=email.policy.default)
    fields = [(name, str(value)) for name, value in mail.items() if name.lower() not in _OF_THE_FORM]
    parts = [part for part in mail.walk() if not part.is_multipart()]
    contents = [
        (
            part.get_content_type(),
            part.get_filename(),
            bytes(part.get_payload(decode=True) or b"").decode(errors="replace"),
        )
        for part in parts
    ]
    return [sorted(fields), [(kind, name, content.rstrip()) for kind, name, content in contents]]


_OF_THE_FORM = ("message-id", "date", "mime-version", "content-type", "content-transfer-encoding")
_CODE = {"name": "Files", "type": "n8n-nodes-base.code", "typeVersion": 2}
_UNIMPORTANT = ("accept", "openai-organization", "openai-platform")


def run(case: Mapping[str, Any]) -> tuple[Any, str | None]:
    """Run a case. Return the outputs of its last node, and the error that ended the run."""
    nodes, connections = case["nodes"], dict(case["connections"])
    connections.setdefault("Start", {"main": [[{"node": nodes[0]["name"], "index": 0}]]})
    if "givenBinary" in case:
        # Items that are given have no files: a node adds them.
        code = f"const files = {json.dumps(case['givenBinary'])}; return $input.all().map(({{json}}, index) => "
        code += "({ json, pairedItem: index, ...(files[index] ? { binary: files[index] } : {}) }));"
        nodes = [{**_CODE, "parameters": {"jsCode": code}}, *nodes]
        connections |= {"Files": connections["Start"], "Start": {"main": [[{"node": "Files", "index": 0}]]}}
    given = {"Start": case["given"], "Start 2": case.get("given2", [])}
    starts = [{"name": name, "type": "n8n-nodes-base.manualTrigger"} for name in given]
    request = {
        "workflow": {"nodes": [*starts, *nodes], "connections": connections, "settings": {"executionOrder": "v1"}},
        "given": [{"node": name, "outputs": [items]} for name, items in given.items()],
        "seed": "0" * 32,
    }
    service, responses = Service(case["exchanges"]), list[Any]()
    for _ in range(_ROUNDS):
        answer = json.loads(engine.run(json.dumps(request | {"responses": responses}), _SECONDS))
        if "requests" not in answer:
            break
        responses += [service.answer(one) for one in answer["requests"]]
    service.require_all_sent()
    runs = answer["runs"].get(nodes[-1]["name"], [])
    outputs = runs[-1].get("outputs", []) if runs else []
    return outputs, answer["error"] and answer["error"]["message"]
