"""Lambda handler of the vectors HTTP API."""

from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens
from vectors_lambda.bootstrap.core import denials, gate, idempotency
from vectors_lambda.http.routes import batch, collection_settings, imports, jobs, points

# The points routes come last: otherwise "/vectors/imports" would match as a point's id.
app = create_app(
    "Email Sender: vectors",
    [imports.router, jobs.router, batch.router, collection_settings.router, points.router],
    gate,
    take_tokens,
)
app.state.idempotency = idempotency
app.state.denials = denials
handler = lambda_handler(app)
