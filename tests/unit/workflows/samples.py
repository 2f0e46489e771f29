"""Workflow definitions that several tests share."""

from typing import Any

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.compiler.compiler import compile_definition
from email_sender.workflows.definition.model import Definition
from email_sender.workflows.definition.parser import parse_definition

TENANT = "0192f0c0-0000-7000-8000-000000000001"
WORKFLOW = "0192f0c0-0000-7000-8000-000000000002"
TARGETS = {
    name: f"arn:aws:lambda:eu-west-1:123456789012:function:{name.replace('.', '-')}:live"
    for name in [*ACTION_CATALOGUE.names(), "run.finished"]
}

OUTREACH: dict[str, Any] = {
    "name": "outreach",
    "description": "Write to people who hit a problem we solved",
    "inputs": {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}},
    "triggers": [
        {"event": {"source": ["crm"], "detail-type": ["LeadCreated"]}, "inputs": {"query": "a lead"}},
        {"schedule": {"cron": "0 9 ? * MON *", "timezone": "Europe/Paris"}, "inputs": {"query": "new bugs"}},
        {"webhook": {}},
    ],
    "settings": {"timeout": "P7D"},
    "steps": [
        {
            "id": "select",
            "uses": "vectors.search",
            "with": {
                "collection": "message_vectors",
                "text": "{% $inputs.query %}",
                "limit": 20,
                "group_by": "contact",
            },
        },
        {
            "id": "draft",
            "uses": "template.render",
            "needs": ["select"],
            "for_each": "{% $steps.select.groups %}",
            "with": {"template": "intro", "contact": "{% $item.key %}", "evidence": "{% $item.hits.id %}"},
        },
        {
            "id": "review",
            "uses": "approval",
            "needs": ["draft"],
            "with": {
                "title": "{% $count($steps.draft) & ' drafts' %}",
                "drafts": "{% $steps.draft %}",
                "timeout": "P3D",
                "on_timeout": "denied",
            },
        },
        {
            "id": "send",
            "uses": "email.send",
            # Only `review` is named, as in the contract's example: the steps that `review` needs are upstream too.
            "needs": ["review"],
            "when": "{% $steps.review.decision = 'approved' %}",
            "for_each": "{% $steps.draft %}",
            "max_concurrency": 5,
            "retry": {"max_attempts": 5, "interval": "PT2S", "backoff": 2, "on": ["throttled", "unavailable"]},
            "on_error": "continue",
            "with": {"draft": "{% $item.draft_id %}"},
        },
    ],
}


def parse(raw: Any) -> Definition:
    return parse_definition(raw, ACTION_CATALOGUE, JsonataExpressions())


def compile_raw(raw: Any, targets: dict[str, str] | None = None) -> dict[str, Any]:
    return compile_definition(
        parse(raw), tenant_id=TENANT, workflow_id=WORKFLOW, version=3, targets=TARGETS if targets is None else targets
    )
