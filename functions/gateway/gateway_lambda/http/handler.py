"""The HTTP entry point of the gateway: sign-in, health, version and docs."""

from email_sender.kit.http import create_app, lambda_handler
from email_sender.kit.rate_limiting import take_tokens
from gateway_lambda.bootstrap import gate
from gateway_lambda.http.routes import auth, docs, platform

app = create_app("Email Sender: gateway", [auth.router, platform.router, docs.router], gate, take_tokens)
# Also without the base path, for load balancers and scrapers.
app.include_router(platform.router, include_in_schema=False)
handler = lambda_handler(app)
