"""The HTTP entry point of workflows."""

from email_sender.kit.http import create_app, lambda_handler
from workflows_lambda.bootstrap import gate, idempotency
from workflows_lambda.http.routes import jobs, runs, triggers, workflows

app = create_app(
    "Email Sender: workflows",
    [workflows.router, triggers.router, triggers.webhook_router, runs.router, jobs.router],
    gate,
)
app.state.idempotency = idempotency
handler = lambda_handler(app)
