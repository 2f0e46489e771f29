"""Workflows and templates that pages start. The console creates them in a tenant when they are first needed."""

from collections.abc import Mapping
from typing import Any

from console_lambda.api import Api

WRITE_TO_PEOPLE: Mapping[str, Any] = {
    "name": "write-to-people",
    "description": "Draft an email to each chosen person, wait for the approval, and send",
    "inputs": {
        "type": "object",
        "required": ["people", "template"],
        "properties": {
            "people": {
                "type": "array",
                "minItems": 1,
                "maxItems": 200,
                "items": {
                    "type": "object",
                    "required": ["contact"],
                    "properties": {
                        "contact": {"type": "string"},
                        "evidence": {"type": "array", "items": {"type": "string"}},
                        "quotes": {"type": "array", "items": {"type": "object"}},
                    },
                },
            },
            "template": {"type": "string"},
            "title": {"type": "string"},
        },
    },
    "settings": {"timeout": "P7D"},
    "steps": [
        {
            "id": "draft",
            "uses": "template.render",
            "for_each": "{% $inputs.people %}",
            "with": {
                "template": "{% $inputs.template %}",
                "contact": "{% $item.contact %}",
                "evidence": "{% $item.quotes ? $item.quotes : $item.evidence ? $item.evidence : [] %}",
            },
        },
        {
            "id": "review",
            "uses": "approval",
            "needs": ["draft"],
            "with": {
                "title": "{% $inputs.title ? $inputs.title : $count($steps.draft) & ' drafts' %}",
                "drafts": "{% $steps.draft %}",
                "timeout": "P3D",
                "on_timeout": "denied",
            },
        },
        {
            "id": "send",
            "uses": "email.send",
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

ANSWER_TEMPLATE: Mapping[str, Any] = {
    "name": "console-answer",
    "subject": "{{ subject }}",
    "body_text": "{{ text }}",
    "variables": [
        {"name": "subject", "type": "string", "required": True},
        {"name": "text", "type": "string", "required": True},
    ],
}

ANSWER: Mapping[str, Any] = {
    "name": "answer-from-console",
    "description": "Send what a person wrote in the console; with approval, if they may not send themselves",
    "inputs": {
        "type": "object",
        "required": ["contact", "subject", "text", "approval"],
        "properties": {
            "contact": {"type": "string"},
            "subject": {"type": "string", "minLength": 1},
            "text": {"type": "string", "minLength": 1},
            "follows": {"type": "string"},
            "approval": {"type": "boolean"},
        },
    },
    "settings": {"timeout": "P7D"},
    "steps": [
        {
            "id": "draft",
            "uses": "template.render",
            "with": {
                "template": "console-answer",
                "contact": "{% $inputs.contact %}",
                "follows": "{% $inputs.follows ? $inputs.follows : '' %}",
                "variables": {"subject": "{% $inputs.subject %}", "text": "{% $inputs.text %}"},
            },
        },
        {
            "id": "review",
            "uses": "approval",
            "needs": ["draft"],
            "when": "{% $inputs.approval %}",
            "with": {"title": "{% 'Answer: ' & $inputs.subject %}", "drafts": "{% [$steps.draft] %}", "timeout": "P3D"},
        },
        {
            "id": "send",
            "uses": "email.send",
            # Without `draft`, it would be skipped together with the approval.
            "needs": ["draft", "review"],
            "when": "{% $not($inputs.approval) or $steps.review.decision = 'approved' %}",
            "retry": {"max_attempts": 5, "interval": "PT2S", "backoff": 2, "on": ["throttled", "unavailable"]},
            "with": {"draft": "{% $steps.draft.draft_id %}"},
        },
    ],
}


def takes_people(definition: Mapping[str, Any]) -> bool:
    """Return whether a workflow can be started with a list of chosen people, and asks before it sends."""
    people = ((definition.get("inputs") or {}).get("properties") or {}).get("people")
    steps = definition.get("steps") or []
    return (
        isinstance(people, Mapping)
        and people.get("type") == "array"
        and any(isinstance(step, Mapping) and step.get("uses") == "approval" for step in steps)
    )


def workflow_named(api: Api, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tenant's workflow with the name of this definition, and create it if there is none.

    The name of an archived workflow cannot be used again, so the new one gets a number.
    """
    stored = {workflow["name"]: workflow for workflow in api.items("/workflows")}
    name, number = str(definition["name"]), 1
    while name in stored and stored[name]["status"] != "active":
        number += 1
        name = f"{definition['name']}-{number}"
    return dict(
        stored[name] if name in stored else api.post("/workflows", {"definition": {**definition, "name": name}})
    )


def template_named(api: Api, template: Mapping[str, Any]) -> None:
    """Create the template unless the tenant has one with its name."""
    if not any(stored["name"] == template["name"] for stored in api.items("/templates")):
        api.post("/templates", template)
