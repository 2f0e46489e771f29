"""What n8n's nodes remember from run to run of a workflow: what was said, and what they have seen."""

from collections.abc import Mapping
from typing import Any

from email_sender.kit.system_clock import now
from email_sender.kit.tasks.call import TaskCall
from email_sender.workflows.ports import Question, WorkflowUnit
from workflows_lambda.actions.n8n_asked import (
    ForgetRequest,
    MemoryRequest,
    ReachedRequest,
    RecallRequest,
    RememberRequest,
    SeenRequest,
)
from workflows_lambda.bootstrap import workflow_units


def answer_from_memory(call: TaskCall, number: int, request: MemoryRequest) -> Mapping[str, Any]:
    """Answer a step's request with this number. A repeated request gets the same answer, and changes nothing more.

    Raises:
        InvalidInput: the node has seen too many values.
    """
    with workflow_units()(call.tenant_id) as unit:
        answer = _answer(unit, call, number, request)
        unit.commit()
    return answer


def _answer(unit: WorkflowUnit, call: TaskCall, number: int, request: MemoryRequest) -> Mapping[str, Any]:
    match request:
        case RecallRequest(recall=asked):
            return {"turns": list(unit.conversations.last(call.run_id, asked.session, asked.limit))}
        case RememberRequest(remember=said):
            turns = [turn.model_dump() for turn in said.turns]
            unit.conversations.add(call.run_id, call.step, number, now(), said.session, turns)
            return {}
        case SeenRequest(seen=asked):
            return {
                "fresh": list(
                    unit.seen_values.add(_question(call, asked.place), asked.scope, asked.values, asked.limit)
                )
            }
        case ReachedRequest(reached=asked):
            return {"before": unit.seen_values.reach(_question(call, asked.place), asked.scope, asked.value)}
        case ForgetRequest(forget=asked):
            unit.seen_values.clear(_question(call, asked.place), asked.scope)
            return {}


def _question(call: TaskCall, place: int) -> Question:
    return Question(call.run_id, call.origin, call.step, place)
