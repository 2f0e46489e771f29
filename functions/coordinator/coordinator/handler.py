"""The HTTP entry of the coordinator."""

from coordinator.bootstrap import idempotency
from coordinator.routes import events
from email_sender.kit.http import create_app, lambda_handler

app = create_app("Email Sender: coordinator", [events.router])
app.state.idempotency = idempotency
handler = lambda_handler(app)
