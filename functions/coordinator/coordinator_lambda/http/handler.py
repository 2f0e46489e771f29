"""The HTTP entry point of the coordinator."""

from coordinator_lambda.bootstrap import denials, gate, idempotency
from coordinator_lambda.http.routes import (
    audit,
    config,
    dashboards,
    events,
    failed_events,
    keys,
    log_level,
    managers,
    members,
    retention,
    tenants,
    unclaimed_mail,
)
from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens

app = create_app(
    "Email Sender: coordinator",
    [
        managers.router,
        audit.router,
        config.router,
        dashboards.router,
        tenants.router,
        members.router,
        keys.router,
        log_level.router,
        retention.router,
        failed_events.router,
        unclaimed_mail.router,
        events.router,
    ],
    gate,
    take_tokens,
)
app.state.idempotency = idempotency
app.state.denials = denials
handler = lambda_handler(app)
