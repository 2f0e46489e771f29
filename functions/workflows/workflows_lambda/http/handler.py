"""The HTTP entry point of workflows."""

from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens
from workflows_lambda.bootstrap import denials, gate, idempotency
from workflows_lambda.http.routes import jobs, runs, triggers, workflows

app = create_app(
    "Email Sender: workflows",
    [workflows.router, triggers.router, triggers.webhook_router, runs.router, jobs.router],
    gate,
    take_tokens,
    # Callers of webhooks send what they can.
    form_paths=[f"{BASE_PATH}/hooks/"],
)
app.state.idempotency = idempotency
app.state.denials = denials
handler = lambda_handler(app)
