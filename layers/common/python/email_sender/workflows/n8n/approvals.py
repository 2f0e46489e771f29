"""Converts nodes that send a message and wait for a person's decision. Here a person approves in the console."""

from typing import Any, Final

from email_sender.workflows.n8n.context import Conversion, FollowingStep, NodeContext, Untranslatable
from email_sender.workflows.n8n.export import ConversionOutcome
from email_sender.workflows.n8n.texts import options_of

_HOURS: Final = {"minutes": 1 / 60, "hours": 1, "days": 24}
# n8n waits without an end.
_NO_LIMIT: Final = 30 * 24
# A run ends after a year.
_LONGEST: Final = 364 * 24
_MAX_TITLE: Final = 200


def convert_approval(context: NodeContext) -> Conversion:
    """Convert sendAndWait of mail and chat nodes: one approval, whose title is the message for the first item.

    Raises:
        Untranslatable: the node asks for a text or a form, or waits until a certain time.
    """
    if context.get("responseType", "approval") != "approval":
        raise Untranslatable("only an approval can be asked for, no text and no form")
    context.notes.append(
        "the message is not sent: a person approves it in the console, where its first 200 characters are the title"
    )
    hours = _hours(context)
    message = context.get("subject") or context.get("message") or ""
    ask = {
        "uses": "transform",
        "for_each": f"{{% {context.items} %}}",
        "with": {"title": context.string(message)},
    }
    title = f"{{% ($title := $substring($first[0].title, 0, {_MAX_TITLE}); $title ? $title : 'Approval') %}}"
    approval = {
        "uses": "approval",
        "when": "{% $count([$first]) > 0 %}",
        "with": {"title": title, "timeout": f"PT{max(round(hours * 60), 1)}M", "on_timeout": "denied"},
    }
    answer = {
        "uses": "transform",
        "when": "{% $exists($before.decision) %}",
        "with": {"items": [{"data": {"approved": "{% $before.decision = 'approved' %}"}}]},
    }
    following = [FollowingStep("approval", approval), FollowingStep("answer", answer)]
    return Conversion(ConversionOutcome.APPROXIMATED, ask, following=following)


def _hours(context: NodeContext) -> float:
    """Return how long the node waits at most.

    Raises:
        Untranslatable: it waits until a certain time.
    """
    limit = options_of(context).get("limitWaitTime")
    values: Any = limit.get("values") if isinstance(limit, dict) else None
    if not isinstance(values, dict):
        return _NO_LIMIT
    amount, unit = values.get("resumeAmount", 1), values.get("resumeUnit", "hours")
    is_amount = type(amount) in (int, float) and amount > 0
    if values.get("limitType", "afterTimeInterval") != "afterTimeInterval" or not is_amount or unit not in _HOURS:
        raise Untranslatable("only a fixed time limit is supported")
    context.notes.append("when the time has passed, it is not approved")
    return float(min(amount * _HOURS[unit], _LONGEST))
