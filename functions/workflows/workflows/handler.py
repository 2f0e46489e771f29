"""The HTTP entry of workflows."""

from email_sender.kit.http import create_app, lambda_handler
from workflows.bootstrap import idempotency
from workflows.routes import runs, workflows

app = create_app("Email Sender: workflows", [workflows.router, runs.router])
app.state.idempotency = idempotency
handler = lambda_handler(app)
