"""Lambda handler of the vectors HTTP API."""

from email_sender.kit.http import create_app, lambda_handler
from vectors.bootstrap import gate, idempotency
from vectors.routes import batch, imports, jobs, points, settings

# The points routes come last: otherwise "/vectors/imports" would match as a point's id.
app = create_app(
    "Email Sender: vectors", [imports.router, jobs.router, batch.router, settings.router, points.router], gate
)
app.state.idempotency = idempotency
handler = lambda_handler(app)
