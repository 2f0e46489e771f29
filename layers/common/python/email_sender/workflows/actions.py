"""The actions that a step can use. To add an action, add an entry here, a handler with the same name in the
area's `events/tasks.py`, and the name of its function in workflows_lambda/action_functions.py.

Schemas use a subset of JSON Schema (see workflows.definition.action_arguments) plus `format: duration`. They stay small
and flat, because users read them in `GET /workflows/actions`.
"""

from email_sender.workflows.action_model import Action, ActionKind, Catalogue
from email_sender.workflows.action_schemas import (
    ANY,
    ANY_OBJECT,
    BOOLEAN,
    DURATION,
    HITS,
    ID,
    INTEGER,
    METHOD,
    NAME,
    NUMBER,
    POINT_ID,
    REQUEST,
    TEXT,
    list_of,
    object_of,
)

ACTION_CATALOGUE = Catalogue(
    (
        Action(
            "vectors.search",
            "vectors:read",
            object_of(
                "collection",
                any_of=("text", "vector"),
                collection=NAME,
                text={"type": "string", "minLength": 1, "maxLength": 8_000},
                vector=list_of(NUMBER, 4_096),
                limit={"type": "integer", "minimum": 1, "maximum": 100},
                group_by=NAME,
                filter=ANY_OBJECT,
                score_threshold=NUMBER,
                include_bulk=BOOLEAN,
                weak_matches=BOOLEAN,
            ),
            object_of(
                nobody=BOOLEAN,
                groups=list_of(object_of("key", "score", "hits", key=TEXT, score=NUMBER, hits=HITS), 100),
                results=HITS,
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
            object_of(
                "collection",
                "points",
                collection=NAME,
                points=list_of(
                    object_of(
                        any_of=("text", "vector"),
                        id=POINT_ID,
                        text={"type": "string", "minLength": 1, "maxLength": 100_000},
                        vector=list_of(NUMBER, 65_536),
                        payload=ANY_OBJECT,
                    ),
                    1_000,
                ),
            ),
            object_of("inserted", "ids", inserted=INTEGER, ids=list_of(POINT_ID, 20)),
            description="Store points. Each has a text, which is embedded, or a vector. `ids` has the first 20.",
            errors=("throttled", "unavailable"),
        ),
        Action(
            "contacts.select",
            "messaging:read",
            object_of(
                contacts=list_of(ID, 1_000),
                tags=list_of(NAME, 20),
                exclude_suppressed=BOOLEAN,
                limit={"type": "integer", "minimum": 1, "maximum": 1_000},
            ),
            object_of("contacts", "count", contacts=list_of(ID, 1_000), count=INTEGER),
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
            object_of(
                "contact",
                contact=ID,
                name={"type": "string", "minLength": 1, "maxLength": 255},
                attributes=ANY_OBJECT,
                add_tags=list_of(NAME, 20),
                remove_tags=list_of(NAME, 20),
            ),
            object_of("contact", "tags", contact=ID, tags=list_of(NAME, 100)),
            default_timeout_seconds=30,
            description="Update a contact. Attributes are merged, and null removes one. Tags are added and removed.",
            errors=("not_found", "unavailable"),
        ),
        Action(
            "template.render",
            "messaging:write",
            object_of(
                "template",
                any_of=("contact", "answers"),
                template=NAME,
                contact={"type": "string", "minLength": 1, "maxLength": 640},
                evidence=list_of({"type": ["string", "object"]}, 100),
                variables=ANY_OBJECT,
                thread=BOOLEAN,
                follows={"type": "string", "maxLength": 200},
                answers={"type": "string", "maxLength": 200},
            ),
            object_of("draft_id", "contact_id", "sha256", draft_id=ID, contact_id=ID, sha256=TEXT),
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
            object_of(
                "prompt",
                prompt={"type": "string", "minLength": 1, "maxLength": 100_000},
                system={"type": "string", "maxLength": 20_000},
                messages=list_of(ID, 50),
                schema=ANY_OBJECT,
                max_tokens={"type": "integer", "minimum": 1, "maximum": 4_096},
                temperature={"type": "number", "minimum": 0, "maximum": 1},
            ),
            object_of(
                "model",
                model=TEXT,
                text=TEXT,
                data=ANY,
                input_tokens=INTEGER,
                output_tokens=INTEGER,
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
            object_of("draft", draft=ID),
            object_of("email_id", "contact_id", "status", email_id=ID, contact_id=ID, status=TEXT, reason=TEXT),
            default_timeout_seconds=60,
            description="Send a draft once, even if the step is retried. Without the permission, it needs an approval.",
            errors=("throttled", "unavailable", "not_found"),
        ),
        Action(
            "email.wait_for_reply",
            "messaging:read",
            object_of(
                "email", email=ID, timeout=DURATION, **{"from": {"type": "string", "enum": ["contact", "anyone"]}}
            ),
            object_of(
                "replied",
                replied=BOOLEAN,
                message_id=ID,
                contact_id=ID,
                at=TEXT,
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
            object_of(
                "title",
                title={"type": "string", "minLength": 1, "maxLength": 200},
                drafts=list_of(ANY, 1_000),
                timeout=DURATION,
                on_timeout={"type": "string", "enum": ["denied", "approved"]},
            ),
            object_of(
                "decision",
                decision={"type": "string", "enum": ["approved", "denied"]},
                approval_id=ID,
                comment=TEXT,
                reason=TEXT,
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
            object_of("type", type=NAME, data=ANY_OBJECT),
            object_of("event_id", event_id=ID),
            default_timeout_seconds=30,
            description="Publish a custom event of the tenant to the event bus.",
            errors=("unavailable",),
        ),
        Action(
            "n8n.node",
            "workflows:execute",
            object_of(
                "workflow",
                "given",
                "returns",
                workflow=ANY_OBJECT,
                given=list_of(object_of("node", "outputs", node=TEXT, outputs=list_of(ANY, 100)), 400),
                returns=list_of(
                    object_of("name", "node", "output", name=ID, node=TEXT, output=INTEGER, stored=BOOLEAN),
                    4_000,
                ),
                answers=BOOLEAN,
            ),
            object_of("items", items=ANY_OBJECT, last=TEXT, mails=list_of(ANY_OBJECT, 200), answer=ANY_OBJECT),
            default_timeout_seconds=300,
            description=(
                "Run nodes of an n8n workflow over items, as n8n does, in JavaScript. The import of n8n workflows "
                "writes this step. `workflow` has n8n's nodes, connections and settings; `given` are the items of the "
                "nodes before; `returns` names the outputs whose items the step returns. Of `stored` ones, more "
                "than 4 KB are stored, and the result has a reference in their place: n8n.node, http.request and "
                "http.wait_for_callback get the items. Agents ask the text model; "
                "`mails` are those that they wrote. Requests of nodes are sent as http.request sends them, at most "
                "500. After 45 seconds of them, the step fails with `unavailable`, and goes on when it is repeated."
            ),
            errors=("unavailable",),
            allows_for_each=False,
        ),
        Action(
            "http.request",
            "workflows:execute",
            object_of("url", method=METHOD, query=ANY_OBJECT, body=ANY, **REQUEST),
            object_of("status", "headers", status=INTEGER, headers=ANY_OBJECT, body=ANY),
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
            object_of("url", body=ANY_OBJECT, **REQUEST),
            object_of(result=ANY),
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
            "webhook.answer",
            "workflows:execute",
            object_of(
                status={"type": "integer", "minimum": 200, "maximum": 599},
                headers=REQUEST["headers"],
                body=ANY,
                base64=BOOLEAN,
            ),
            object_of(status=INTEGER, headers=ANY_OBJECT, body=TEXT, base64=BOOLEAN),
            description=(
                "Answer the request that started the run, if the webhook has `answer_within`. The first answer counts; "
                "without one in time, the caller gets 202 and the run's id. A `body` that is a text is sent as it is, "
                "or decoded with `base64`, and anything else as JSON."
            ),
            allows_for_each=False,
        ),
        Action(
            "workflow.call",
            "workflows:execute",
            object_of("workflow", workflow=ID, inputs=ANY_OBJECT, wait=BOOLEAN, timeout=DURATION),
            object_of("run_id", "status", run_id=ID, status=TEXT),
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
            object_of(
                any_of=("duration", "seconds", "until"),
                duration=DURATION,
                seconds={"type": "integer", "minimum": 0, "maximum": 31_536_000},
                until={"type": "string", "format": "timestamp"},
            )
            | {"maxProperties": 1},
            object_of(),
            description="Wait for a duration, for a number of seconds, or until a point in time.",
            kind=ActionKind.WAIT,
        ),
        Action(
            "transform",
            "",
            ANY_OBJECT,
            ANY_OBJECT,
            description="Evaluate the expressions in `with` and return the result.",
            kind=ActionKind.TRANSFORM,
        ),
    )
)
