"""The actions a step may use. Data: a new action is a new entry here, and a handler under the same name.

Schemas are a subset of JSON Schema (see schemas.py) plus `format: duration`. They are kept small and flat, since people
read them in `GET /workflows/actions`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Schema = Mapping[str, Any]


class Kind(StrEnum):
    TASK = "task"  # a Lambda function
    WAIT = "wait"  # the engine's own clock
    TRANSFORM = "transform"  # expressions alone


@dataclass(frozen=True, slots=True)
class Action:
    """`permission` is what a run's principal needs ("" for none).

    `errors` are the names that its failing may have beside those of any (`invalid`, `forbidden`, `timeout`).
    A `callback` action answers by task token. `timeout_results`, where there are any, are the results of a step whose
    time is over, by the value of `with.on_timeout`; the first is the default.
    """

    name: str
    permission: str
    input_schema: Schema
    result_schema: Schema
    callback: bool = False
    default_timeout_seconds: int = 60
    description: str = ""
    kind: Kind = Kind.TASK
    timeout_results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    # Whether a step of it may have a for_each.
    by_item: bool = True

    @property
    def all_errors(self) -> tuple[str, ...]:
        """What `retry.on` may match, and a failed step's result says."""
        return (*self.errors, "invalid", "forbidden", "timeout") if self.kind is Kind.TASK else ()


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


def _list(items: Schema, most: int) -> Schema:
    return {"type": "array", "items": items, "maxItems": most}


_TEXT: Schema = {"type": "string"}
_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
_NUMBER: Schema = {"type": "number"}
_ANY: Schema = {}
_FREE: Schema = {"type": "object"}
_DURATION: Schema = {"type": "string", "format": "duration"}
_POINT_ID: Schema = {"type": ["string", "integer"]}
_HITS: Schema = _list(_object("id", "score", id=_POINT_ID, score=_NUMBER, payload=_FREE), 100)

SPINE = Catalogue(
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
                filter=_FREE,
                score_threshold=_NUMBER,
            ),
            _object(
                groups=_list(_object("key", "score", "hits", key=_TEXT, score=_NUMBER, hits=_HITS), 100),
                results=_HITS,
            ),
            default_timeout_seconds=30,
            description="Find the points nearest to a text or a vector, grouped by a payload key if one is given.",
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
                        payload=_FREE,
                    ),
                    1_000,
                ),
            ),
            _object("inserted", "ids", inserted={"type": "integer"}, ids=_list(_POINT_ID, 20)),
            description="Write points, each of a text that is embedded or of a vector. The first 20 ids come back.",
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
            description="Choose contacts by id or by tags; suppressed ones are left out unless asked for.",
            errors=("unavailable",),
        ),
        Action(
            "contacts.update",
            "messaging:write",
            _object(
                "contact",
                contact=_ID,
                name={"type": "string", "minLength": 1, "maxLength": 255},
                attributes=_FREE,
                add_tags=_list(_NAME, 20),
                remove_tags=_list(_NAME, 20),
            ),
            _object("contact", "tags", contact=_ID, tags=_list(_NAME, 100)),
            default_timeout_seconds=30,
            description="Change a contact: attributes are merged (null takes one away), tags added and taken away.",
            errors=("not_found", "unavailable"),
        ),
        Action(
            "template.render",
            "messaging:write",
            _object(
                "template",
                "contact",
                template=_NAME,
                contact=_ID,
                evidence=_list(_POINT_ID, 100),
                variables=_FREE,
            ),
            _object("draft_id", "contact_id", "sha256", draft_id=_ID, contact_id=_ID, sha256=_TEXT),
            default_timeout_seconds=60,
            description="Render a template for one contact. The body is stored; its id and hash come back.",
            errors=("not_found", "unavailable"),
        ),
        Action(
            "ai.generate",
            "workflows:execute",
            _object(
                "prompt",
                prompt={"type": "string", "minLength": 1, "maxLength": 100_000},
                system={"type": "string", "maxLength": 20_000},
                messages=_list(_ID, 50),
                schema=_FREE,
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
                "Have the deployment's text model write `text`, or with `schema` (a JSON Schema) `data`. It reads the "
                "prompt and the archive's `messages` of these ids. What it writes is a value and nothing else: it "
                "starts no step and sends no mail by itself."
            ),
            errors=("throttled", "unavailable", "rejected"),
        ),
        Action(
            "email.send",
            "messaging:send",
            _object("draft", draft=_ID),
            _object("email_id", "contact_id", "status", email_id=_ID, contact_id=_ID, status=_TEXT),
            default_timeout_seconds=60,
            description="Send one draft, once.",
            errors=("throttled", "unavailable", "not_found"),
        ),
        Action(
            "email.wait_for_reply",
            "messaging:read",
            _object("email", email=_ID, timeout=_DURATION),
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
                "Wait until a person answers an email, at most for `timeout`. An automatic answer is none; one that "
                "cannot arrive any more ends the wait with its reason."
            ),
            timeout_results={"": {"replied": False, "reason": "timeout"}},
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
            description="Wait for a person to approve or deny. After `timeout` the answer is `on_timeout`.",
            timeout_results={
                "denied": {"decision": "denied", "reason": "timeout"},
                "approved": {"decision": "approved", "reason": "timeout"},
            },
            errors=("unavailable",),
            by_item=False,
        ),
        Action(
            "event.publish",
            "events:publish",
            _object("type", type=_NAME, data=_FREE),
            _object("event_id", event_id=_ID),
            default_timeout_seconds=30,
            description="Put an event of the tenant's own on the bus.",
            errors=("unavailable",),
        ),
        Action(
            "http.request",
            "workflows:execute",
            _object(
                "url",
                method={"type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]},
                url={"type": "string", "minLength": 1, "maxLength": 4_096},
                query=_FREE,
                headers={"type": "object", "additionalProperties": _TEXT, "maxProperties": 50},
                secret_headers={"type": "object", "additionalProperties": _NAME, "maxProperties": 10},
                body=_ANY,
                timeout=_DURATION,
            ),
            _object("status", "headers", status={"type": "integer"}, headers=_FREE, body=_ANY),
            default_timeout_seconds=90,
            description=(
                "Ask a public address over HTTP. `secret_headers` name secrets of the tenant. 429 is throttled, 5xx or "
                "no answer is unavailable, any other 4xx rejected."
            ),
            errors=("throttled", "unavailable", "rejected", "not_found"),
        ),
        Action(
            "workflow.call",
            "workflows:execute",
            _object("workflow", workflow=_ID, inputs=_FREE, wait={"type": "boolean"}, timeout=_DURATION),
            _object("run_id", "status", run_id=_ID, status=_TEXT),
            callback=True,
            default_timeout_seconds=7 * 86_400,
            description=(
                "Run another workflow of yours, by name or id, as the same principal, and wait for its end (`wait: "
                "false` does not). One that does not succeed is rejected."
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
            description="Wait for a duration, a number of seconds, or until an instant.",
            kind=Kind.WAIT,
        ),
        Action(
            "transform",
            "",
            _FREE,
            _FREE,
            description="Compute values: the result is `with`, its expressions evaluated.",
            kind=Kind.TRANSFORM,
        ),
    )
)
