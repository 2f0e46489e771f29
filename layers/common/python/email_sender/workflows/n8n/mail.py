"""Converts nodes that send mail. Mail of the platform is a draft, an approval, and an email that is sent once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from email_sender.workflows.n8n.context import Conversion, FollowingStep, NodeContext, Untranslatable
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.item_nodes import quoted
from email_sender.workflows.n8n.service_nodes import answers_mail, sends_mail

_TEXT_TEMPLATE: Final = "n8n text"
_HTML_TEMPLATE: Final = "n8n html"
_TEXT_VARIABLES: Final = [
    {"name": "subject", "type": "string", "required": True},
    {"name": "text", "type": "string", "required": True},
]
# Bodies for POST /templates, by name. They have nothing but what the node sends.
TEMPLATES: Final[Mapping[str, Mapping[str, Any]]] = {
    _TEXT_TEMPLATE: {
        "name": _TEXT_TEMPLATE,
        "subject": "{{ subject }}",
        "body_text": "{{ text }}",
        "variables": _TEXT_VARIABLES,
    },
    _HTML_TEMPLATE: {
        "name": _HTML_TEMPLATE,
        "subject": "{{ subject }}",
        "body_text": "{{ text }}",
        "body_html": "{{ html|safe }}",
        "variables": [*_TEXT_VARIABLES, {"name": "html", "type": "string", "required": True}],
    },
}
_ONLY_SENDING: Final = "mail is sent only once and after an approval: use template.render, approval and email.send"


def convert_mail(context: NodeContext) -> Conversion:
    """Convert emailSend, and gmail that sends or replies: a draft for each mail, an approval of all, and emails.

    Raises:
        Untranslatable: the node does something else, or its mail has files.
    """
    is_answer = answers_mail(context.node)
    if not (is_answer or sends_mail(context.node)):
        raise Untranslatable(_ONLY_SENDING)
    options = context.get("options") or context.get("additionalFields")
    options = options if isinstance(options, Mapping) else {}
    if options.get("attachmentsUi") or options.get("attachments") or context.get("attachments"):
        raise Untranslatable("mail with files is not supported")
    recipient = _answered(context) if is_answer else _addressed(context)
    is_html, content = _content(context)
    # An answer has the subject of the mail that it answers.
    variables = {"subject": "Re:" if is_answer else context.string(context.get("subject") or "")}
    if is_html:
        variables |= {"text": context.text(content), "html": context.string(content)}
    else:
        variables["text"] = context.string(content)
    template = _HTML_TEMPLATE if is_html else _TEXT_TEMPLATE
    _add_notes(context, options, template)
    render = {
        "uses": "template.render",
        "for_each": "{% [] %}",
        "with": {"template": template, "variables": variables, **recipient},
    }
    return Conversion(ConversionOutcome.APPROXIMATED, render, ["$self"], following=_following(context.node.name))


def mail_of_agents(step_id: str, name: str) -> list[FollowingStep]:
    """Return the steps for the mail that agents wrote in a step: a draft for each, an approval of all, and emails."""
    mails = f"$steps.`{step_id}`.mails"
    variables = {field: f"{{% $item.{field} %}}" for field in ("subject", "text", "html")}
    render = {
        "uses": "template.render",
        "for_each": f"{{% [{mails}] %}}",
        "with": {"template": _HTML_TEMPLATE, "variables": variables, "contact": "{% $item.to %}"},
    }
    return [FollowingStep("mail", render), *_following(name)]


def _following(name: str) -> list[FollowingStep]:
    """Return the steps after the drafts: an approval of all, and emails."""
    approval = {
        "uses": "approval",
        "when": "{% $count([$first]) > 0 %}",
        "with": {"title": quoted(f"Mail of {name}"[:200]), "drafts": "{% [$first] %}"},
    }
    send = {
        "uses": "email.send",
        "for_each": "{% $before.decision = 'approved' ? [$first] : [] %}",
        "with": {"draft": "{% $item.draft_id %}"},
    }
    return [FollowingStep("approval", approval), FollowingStep("send", send)]


def _addressed(context: NodeContext) -> Mapping[str, Any]:
    to = context.get("sendTo") or context.get("toEmail") or context.get("toList")
    if not to:
        context.notes.append("it has no address to send to: as in n8n, it fails when it is reached")
    return {"contact": context.addresses(to if isinstance(to, str) else "")}


def _answered(context: NodeContext) -> Mapping[str, Any]:
    context.notes.append(
        "it answers a mail that this platform received, below it and with its subject: the id of its message must be "
        "that of the trigger, not one of Gmail's"
    )
    return {"answers": context.string(context.get("messageId") or "")}


def _content(context: NodeContext) -> tuple[bool, Any]:
    """Return whether the mail is HTML, and what it says."""
    node = context.node
    text, html = context.get("text") or "", context.get("html") or ""
    if node.type == "emailSend":
        kind = context.get("emailFormat", "html" if node.version >= 2 else None)
        is_html = kind in ("html", "both") or (kind is None and bool(html))
        return is_html, html if is_html else text
    if node.version < 2:
        is_html = context.get("includeHtml") is True
        return is_html, (context.get("htmlMessage") if is_html else context.get("message")) or ""
    return context.get("emailType", "html") != "text", context.get("message") or ""


def _add_notes(context: NodeContext, options: Mapping[str, Any], template: str) -> None:
    context.notes.append(
        f"its mail is a draft of the template {template!r}, which a person approves, and is sent once, from the "
        "tenant's sender; an address that is new becomes a contact"
    )
    left_out = [
        name for name in ("ccList", "bccList", "ccEmail", "bccEmail", "replyTo", "senderName") if options.get(name)
    ]
    if left_out:
        context.notes.append(f"not taken over: {', '.join(left_out)}")


def templates_of(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the templates that steps need, as bodies for POST /templates."""
    names = {str(step["with"]["template"]) for step in steps if step["uses"] == "template.render"}
    return [TEMPLATES[name] for name in sorted(names) if name in TEMPLATES]
