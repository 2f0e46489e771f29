"""The HTTP entry point of messaging."""

from email_sender.kit.api_paths import BASE_PATH
from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens
from messaging_lambda.bootstrap import denials, gate, idempotency
from messaging_lambda.http.routes import (
    consents,
    contacts,
    emails,
    notifications,
    privacy,
    templates,
    unsubscribe,
    webhooks,
)

app = create_app(
    "Email Sender: messaging",
    [
        contacts.router,
        privacy.router,
        consents.router,
        templates.router,
        emails.router,
        notifications.router,
        webhooks.router,
        unsubscribe.router,
    ],
    gate,
    take_tokens,
    form_paths=[f"{BASE_PATH}/unsubscribe/"],
)
app.state.idempotency = idempotency
app.state.denials = denials
handler = lambda_handler(app)
