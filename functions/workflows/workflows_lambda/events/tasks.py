"""The handler of the workflow actions that this package implements."""

from email_sender.kit.live_settings import live_features
from email_sender.kit.tasks.handler import Action, task_handler
from email_sender.security.features import Feature
from email_sender.security.permissions import Permission
from workflows_lambda.actions.ai_generate import generate_text
from workflows_lambda.actions.approval import request_approval
from workflows_lambda.actions.event_publish import publish
from workflows_lambda.actions.http_request import fetch
from workflows_lambda.actions.n8n_node import run_nodes
from workflows_lambda.actions.waiting import call_workflow, wait_for_callback, wait_for_reply
from workflows_lambda.actions.webhook_answer import answer
from workflows_lambda.bootstrap import engine, gate, workflow_units

ACTIONS = {
    "ai.generate": Action(generate_text, Permission.WORKFLOWS_EXECUTE, feature=Feature.AI_GENERATE),
    "approval": Action(request_approval, None, waits=True),
    "email.wait_for_reply": Action(wait_for_reply, Permission.MESSAGING_READ, waits=True),
    "event.publish": Action(publish, Permission.EVENTS_PUBLISH),
    "http.request": Action(fetch, Permission.WORKFLOWS_EXECUTE, feature=Feature.HTTP_REQUEST),
    "http.wait_for_callback": Action(
        wait_for_callback, Permission.WORKFLOWS_EXECUTE, feature=Feature.HTTP_REQUEST, waits=True
    ),
    "n8n.node": Action(run_nodes, Permission.WORKFLOWS_EXECUTE),
    "webhook.answer": Action(answer, Permission.WORKFLOWS_EXECUTE),
    "workflow.call": Action(call_workflow, Permission.WORKFLOWS_EXECUTE, waits=True),
}
handler = task_handler(ACTIONS, workflow_units, gate, engine, live_features)
