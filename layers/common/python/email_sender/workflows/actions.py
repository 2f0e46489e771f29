"""The actions that a step can use. To add an action, add an entry here, a handler with the same name in the
area's `events/tasks.py`, and the name of its function in workflows_lambda/action_functions.py.

Schemas use a subset of JSON Schema (see workflows.definition.action_arguments) plus `format: duration`. They stay small
and flat, because users read them in `GET /workflows/actions`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Schema = Mapping[str, Any]


class ActionKind(StrEnum):
    TASK = "task"  # a Lambda function
    WAIT = "wait"  # a Wait state of the engine
    TRANSFORM = "transform"  # only expressions


@dataclass(frozen=True, slots=True)
class Action:
    """An action and its contract.

    `permission` is the permission that the run's principal needs ("" for none). `errors` are the error names that the
    action can fail with, besides those of every task (`invalid`, `forbidden`, `timeout`). A `callback` action completes
    by task token. `timeout_results` maps each value of `with.on_timeout` to the result of a step that timed out; the
    first entry is the default. Without entries, a timeout is an error. `timeout_grace_seconds`: how much later than the
    platform the engine ends the step.
    """

    name: str
    permission: str
    input_schema: Schema
    result_schema: Schema
    callback: bool = False
    default_timeout_seconds: int = 60
    description: str = ""
    kind: ActionKind = ActionKind.TASK
    timeout_results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    timeout_grace_seconds: int = 0
    errors: tuple[str, ...] = ()
    # Whether a step with this action may have for_each.
    allows_for_each: bool = True

    @property
    def all_errors(self) -> tuple[str, ...]:
        """Every error name of the action: the names that `retry.on` can match and that a failed step's result shows."""
        return (*self.errors, "invalid", "forbidden", "timeout") if self.kind is ActionKind.TASK else ()


class Catalogue:
    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = {action.name: action for action in actions}

    def get(self, name: str) -> Action | None:
        return self._actions.get(name)

    def names(self) -> list[str]:
        return list(self._actions)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())


def _object(*required: str, any_of: Iterable[str] = (), **properties: Schema) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = list(required)
    if any_of:
        schema["anyOf"] = [{"required": [name]} for name in any_of]
    return schema


def _list(items: Schema, max_items: int) -> Schema:
    return {"type": "array", "items": items, "maxItems": max_items}


_TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
_NUMBER: Schema = {"type": "number"}
_ANY: Schema = {}
_ANY_OBJECT: Schema = {"type": "object"}
_DURATION: Schema = {"type": "string", "format": "duration"}
_METHOD: Schema = {"type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]}
_REQUEST: Mapping[str, Schema] = {
    "url": {"type": "string", "minLength": 1, "maxLength": 4_096},
    "headers": {"type": "object", "additionalProperties": _TEXT, "maxProperties": 50},
    "secret_headers": {"type": "object", "additionalProperties": _NAME, "maxProperties": 10},
    "timeout": _DURATION,
}
_POINT_ID: Schema = {"type": ["string", "integer"]}
_PASSAGE: Schema = _object("start", "end", start={"type": "integer"}, end={"type": "integer"})
_HITS: Schema = _list(_object("id", "score", id=_POINT_ID, score=_NUMBER, passage=_PASSAGE), 100)

ACTION_CATALOGUE = Catalogue(
    (
        Action(
            "vectors.search",
            "vectors:read",
            _object(
                "collection",
                any_of=("text", "vector"),
                collection=_NAME,
                text={"type": "string", "minLength": 1, "maxLength": 8_000},
                vector=_list(_NUMBER, 4_096),
                limit={"type": "integer", "minimum": 1, "maximum": 100},
                group_by=_NAME,
                filter=_ANY_OBJECT,
                score_threshold=_NUMBER,
                include_bulk={"type": "boolean"},
                weak_matches={"type": "boolean"},
            ),
            _object(
                nobody={"type": "boolean"},
                groups=_list(_object("key", "score", "hits", key=_TEXT, score=_NUMBER, hits=_HITS), 100),
                results=_HITS,
            ),
            default_timeout_seconds=30,
            description=(
                "Find the points nearest to a text or a vector. With `group_by`, results are grouped by that payload "
                "key. In `message_vectors`, the text is a question (docs/guides/search.md). If nobody matches, the "
                "result is empty and `nobody` is true."
            ),
            errors=("throttled", "unavailable"),
        ),
        Action(
            "vectors.insert",
            "vectors:write",
            _object(
                "collection",
                "points",
                collection=_NAME,
                points=_list(
                    _object(
                        any_of=("text", "vector"),
                        id=_POINT_ID,
                        text={"type": "string", "minLength": 1, "maxLength": 100_000},
                        vector=_list(_NUMBER, 65_536),
                        payload=_ANY_OBJECT,
                    ),
                    1_000,
                ),
            ),
            _object("inserted", "ids", inserted={"type": "integer"}, ids=_list(_POINT_ID, 20)),
            description="Store points. Each has a text, which is embedded, or a vector. `ids` has the first 20.",
            errors=("throttled", "unavailable"),
        ),
        Action(
            "contacts.select",
            "messaging:read",
            _object(
                contacts=_list(_ID, 1_000),
                tags=_list(_NAME, 20),
                exclude_suppressed={"type": "boolean"},
                limit={"type": "integer", "minimum": 1, "maximum": 1_000},
            ),
            _object("contacts", "count", contacts=_list(_ID, 1_000), count={"type": "integer"}),
            default_timeout_seconds=30,
            description=(
                "Select contacts by id or by tag. Suppressed contacts are left out unless `exclude_suppressed` is "
                "false."
            ),
            errors=("unavailable",),
        ),
        Action(
            "contacts.update",
            "messaging:write",
            _object(
                "contact",
                contact=_ID,
                name={"type": "string", "minLength": 1, "maxLength": 255},
                attributes=_ANY_OBJECT,
                add_tags=_list(_NAME, 20),
                remove_tags=_list(_NAME, 20),
            ),
            _object("contact", "tags", contact=_ID, tags=_list(_NAME, 100)),
            default_timeout_seconds=30,
            description="Update a contact. Attributes are merged, and null removes one. Tags are added and removed.",
            errors=("not_found", "unavailable"),
        ),
        Action(
            "template.render",
            "messaging:write",
            _object(
                "template",
                any_of=("contact", "answers"),
                template=_NAME,
                contact={"type": "string", "minLength": 1, "maxLength": 640},
                evidence=_list({"type": ["string", "object"]}, 100),
                variables=_ANY_OBJECT,
                thread={"type": "boolean"},
                follows={"type": "string", "maxLength": 200},
                answers={"type": "string", "maxLength": 200},
            ),
            _object("draft_id", "contact_id", "sha256", draft_id=_ID, contact_id=_ID, sha256=_TEXT),
            default_timeout_seconds=60,
            description=(
                "Render a template for one contact and store the draft. `contact` is an id, or an address, which "
                "becomes a contact if it is new. If the run has sent the contact an email, the draft continues that "
                "conversation and has its subject; `thread: false` starts another one, and `follows` continues that of "
                "an email of any run, with the template's own subject. `answers` is a received message's id: the draft "
                "goes to its sender, below it and with its subject. `evidence` lists message ids, or hits of a search, "
                "whose passages are quoted."
            ),
            errors=("not_found", "unavailable", "rejected"),
        ),
        Action(
            "ai.generate",
            "workflows:execute",
            _object(
                "prompt",
                prompt={"type": "string", "minLength": 1, "maxLength": 100_000},
                system={"type": "string", "maxLength": 20_000},
                messages=_list(_ID, 50),
                schema=_ANY_OBJECT,
                max_tokens={"type": "integer", "minimum": 1, "maximum": 4_096},
                temperature={"type": "number", "minimum": 0, "maximum": 1},
            ),
            _object(
                "model",
                model=_TEXT,
                text=_TEXT,
                data=_ANY,
                input_tokens={"type": "integer"},
                output_tokens={"type": "integer"},
            ),
            default_timeout_seconds=180,
            description=(
                "Generate `text` with the deployment's text model, or `data` that matches `schema` (a JSON Schema). "
                "The model reads the prompt and the archived messages whose ids are in `messages`. Its output is only "
                "a value: the model starts no step and sends no mail."
            ),
            errors=("throttled", "unavailable", "rejected"),
        ),
        Action(
            "email.send",
            "messaging:send",
            _object("draft", draft=_ID),
            _object("email_id", "contact_id", "status", email_id=_ID, contact_id=_ID, status=_TEXT, reason=_TEXT),
            default_timeout_seconds=60,
            description="Send a draft once, even if the step is retried. Without the permission, it needs an approval.",
            errors=("throttled", "unavailable", "not_found"),
        ),
        Action(
            "email.wait_for_reply",
            "messaging:read",
            _object(
                "email", email=_ID, timeout=_DURATION, **{"from": {"type": "string", "enum": ["contact", "anyone"]}}
            ),
            _object(
                "replied",
                replied={"type": "boolean"},
                message_id=_ID,
                contact_id=_ID,
                at=_TEXT,
                reason={"type": "string", "enum": ["timeout", "rejected", "suppressed", "bounced", "complained"]},
            ),
            callback=True,
            default_timeout_seconds=3 * 86_400,
            description=(
                "Wait until the contact replies to an email, for at most `timeout`. Automatic replies do not count. "
                "With `from: anyone`, the answer of another person counts too. If the email can no longer get a reply "
                "(for example, it bounced), the wait ends with a `reason`. The result has the `contact_id`."
            ),
            timeout_results={"": {"replied": False, "reason": "timeout"}},
            # The platform's own sweep ends the wait first, with the contact in its result.
            timeout_grace_seconds=90,
            errors=("unavailable",),
        ),
        Action(
            "approval",
            "",
            _object(
                "title",
                title={"type": "string", "minLength": 1, "maxLength": 200},
                drafts=_list(_ANY, 1_000),
                timeout=_DURATION,
                on_timeout={"type": "string", "enum": ["denied", "approved"]},
            ),
            _object(
                "decision",
                decision={"type": "string", "enum": ["approved", "denied"]},
                approval_id=_ID,
                comment=_TEXT,
                reason=_TEXT,
            ),
            callback=True,
            default_timeout_seconds=3 * 86_400,
            description="Wait until a person approves or denies. After `timeout`, the decision is `on_timeout`.",
            timeout_results={
                "denied": {"decision": "denied", "reason": "timeout"},
                "approved": {"decision": "approved", "reason": "timeout"},
            },
            errors=("unavailable",),
            allows_for_each=False,
        ),
        Action(
            "event.publish",
            "events:publish",
            _object("type", type=_NAME, data=_ANY_OBJECT),
            _object("event_id", event_id=_ID),
            default_timeout_seconds=30,
            description="Publish a custom event of the tenant to the event bus.",
            errors=("unavailable",),
        ),
        Action(
            "n8n.node",
            "workflows:execute",
            _object(
                "workflow",
                "given",
                "returns",
                workflow=_ANY_OBJECT,
                given=_list(_object("node", "outputs", node=_TEXT, outputs=_list(_ANY, 100)), 400),
                returns=_list(
                    _object("name", "node", "output", name=_ID, node=_TEXT, output={"type": "integer"}), 4_000
                ),
            ),
            _object("items", items=_ANY_OBJECT, last=_TEXT, mails=_list(_ANY_OBJECT, 200)),
            default_timeout_seconds=300,
            description=(
                "Run nodes of an n8n workflow over items, as n8n does, in JavaScript. The import of n8n workflows "
                "writes this step. `workflow` has n8n's nodes, connections and settings; `given` are the items of the "
                "nodes before; `returns` names the outputs whose items the step returns. Agents ask the text model; "
                "`mails` are those that they wrote. Requests of nodes are sent as http.request sends them, at most "
                "500. After 45 seconds of them, the step fails with `unavailable`, and goes on when it is repeated."
            ),
            errors=("unavailable",),
            allows_for_each=False,
        ),
        Action(
            "http.request",
            "workflows:execute",
            _object("url", method=_METHOD, query=_ANY_OBJECT, body=_ANY, **_REQUEST),
            _object("status", "headers", status={"type": "integer"}, headers=_ANY_OBJECT, body=_ANY),
            default_timeout_seconds=90,
            description=(
                "Send an HTTP request to a public address. `secret_headers` maps header names to names of the tenant's "
                "secrets. Status 429 fails with `throttled`, 5xx or no response with `unavailable`, and any other 4xx "
                "with `rejected`."
            ),
            errors=("throttled", "unavailable", "rejected", "not_found"),
        ),
        Action(
            "http.wait_for_callback",
            "workflows:execute",
            _object("url", body=_ANY_OBJECT, **_REQUEST),
            _object(result=_ANY),
            callback=True,
            default_timeout_seconds=86_400,
            allows_for_each=False,
            description=(
                'Send a POST request as http.request does, and wait until the other system posts `{"result": …}` to '
                'the `callback_url` that is added to `body`. With `{"error": "…"}` the step fails as `rejected`.'
            ),
            timeout_grace_seconds=90,
            errors=("throttled", "unavailable", "rejected", "not_found"),
        ),
        Action(
            "workflow.call",
            "workflows:execute",
            _object("workflow", workflow=_ID, inputs=_ANY_OBJECT, wait={"type": "boolean"}, timeout=_DURATION),
            _object("run_id", "status", run_id=_ID, status=_TEXT),
            callback=True,
            default_timeout_seconds=7 * 86_400,
            description=(
                "Run another workflow of the tenant, by name or id, for the same principal, and wait until that run "
                "ends. With `wait: false`, the step does not wait. If the run does not succeed, the step fails with "
                "`rejected`."
            ),
            errors=("unavailable", "rejected", "not_found"),
        ),
        Action(
            "wait",
            "",
            _object(
                any_of=("duration", "seconds", "until"),
                duration=_DURATION,
                seconds={"type": "integer", "minimum": 0, "maximum": 31_536_000},
                until={"type": "string", "format": "timestamp"},
            )
            | {"maxProperties": 1},
            _object(),
            description="Wait for a duration, for a number of seconds, or until a point in time.",
            kind=ActionKind.WAIT,
        ),
        Action(
            "transform",
            "",
            _ANY_OBJECT,
            _ANY_OBJECT,
            description="Evaluate the expressions in `with` and return the result.",
            kind=ActionKind.TRANSFORM,
        ),
    )
)
