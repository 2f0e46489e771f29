"""The HTTP entry point of the coordinator."""

from coordinator.bootstrap import gate, idempotency
from coordinator.routes import audit, config, events, failed, managers
from email_sender.kit.http import create_app, lambda_handler

app = create_app(
    "Email Sender: coordinator", [managers.router, audit.router, config.router, failed.router, events.router], gate
)
app.state.idempotency = idempotency
handler = lambda_handler(app)
