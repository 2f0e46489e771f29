"""Sign-in at an OpenID provider: code flow with PKCE, refresh, sign-out."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from console_lambda.openid import Attempt, OpenIdProvider
from email_sender.errors import Unauthenticated, Unavailable

ISSUER = "https://issuer.example"
CONFIGURATION = {
    "issuer": "https://cognito-idp.eu-west-1.amazonaws.com/pool",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "end_session_endpoint": f"{ISSUER}/logout",
}


class Provider:
    """Answers as the test says, and keeps the forms that it gets."""

    def __init__(self, configuration: dict[str, str] | None = None) -> None:
        self.configuration = CONFIGURATION if configuration is None else configuration
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self.answer = httpx.Response(200, json={"access_token": "a", "refresh_token": "r", "expires_in": 60})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=self.configuration)
        self.forms.append((request.url.path, parse_qs(request.content.decode())))
        return self.answer


def client_of(provider: Provider) -> OpenIdProvider:
    openid = OpenIdProvider(f"{ISSUER}/.well-known/openid-configuration", "console", "https://mail.example/console")
    openid._http = httpx.Client(transport=httpx.MockTransport(provider))
    return openid


def test_the_challenge_is_that_of_the_standards_example() -> None:
    attempt = Attempt("state", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert attempt.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_person_is_sent_away_with_a_challenge_and_comes_back_with_a_code() -> None:
    provider = Provider()
    openid, attempt = client_of(provider), Attempt.start()
    url = urlsplit(openid.sign_in_url(attempt))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ISSUER}/authorize"
    assert query == {
        "response_type": "code",
        "client_id": "console",
        "redirect_uri": "https://mail.example/console/callback",
        "scope": "openid aws.cognito.signin.user.admin",
        "state": attempt.state,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    tokens = openid.exchange("the code", attempt)
    assert (tokens.access_token, tokens.refresh_token) == ("a", "r")
    ((path, form),) = provider.forms
    assert (path, form["grant_type"], form["code"], form["code_verifier"], form["client_id"]) == (
        "/token", ["authorization_code"], ["the code"], [attempt.verifier], ["console"],
    )  # fmt: skip


def test_a_new_passkey_is_added_at_the_providers_page_for_it() -> None:
    openid, attempt = client_of(Provider()), Attempt.start()
    assert openid.passkey_url(attempt) == openid.sign_in_url(attempt).replace("/authorize?", "/passkeys/add?")


def test_every_attempt_is_new() -> None:
    attempts = [Attempt.start() for _ in range(50)]
    assert len({attempt.state for attempt in attempts} | {attempt.verifier for attempt in attempts}) == 100


def test_a_provider_that_does_not_rotate_refresh_tokens_keeps_the_old_one() -> None:
    provider = Provider()
    provider.answer = httpx.Response(200, json={"access_token": "b", "expires_in": 60})
    assert client_of(provider).refresh("old").refresh_token == "old"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), Unauthenticated),
        (httpx.Response(401), Unauthenticated),
        (httpx.Response(503), Unavailable),
        (httpx.Response(200, text="<html>"), Unavailable),
        (httpx.Response(200, json={"expires_in": 60}), Unavailable),
        (httpx.Response(200, json=[]), Unavailable),
        (httpx.Response(200, json={"access_token": "a", "expires_in": "soon"}), Unavailable),
    ],
)
def test_what_the_provider_refuses_is_a_failed_sign_in_and_what_breaks_is_an_outage(
    answer: httpx.Response, error: type[Exception]
) -> None:
    provider = Provider()
    provider.answer = answer
    with pytest.raises(error):
        client_of(provider).refresh("old")


def test_sign_out_ends_the_providers_own_session() -> None:
    openid = client_of(Provider())
    query = parse_qs(urlsplit(openid.sign_out_url()).query)
    back = ["https://mail.example/console/signed-out"]
    assert query == {"client_id": ["console"], "logout_uri": back, "post_logout_redirect_uri": back}


def test_a_provider_without_these_endpoints_is_left_alone() -> None:
    provider = Provider(
        {"issuer": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token"}
    )
    openid = client_of(provider)
    assert openid.sign_out_url() == "https://mail.example/console/signed-out"
    openid.revoke("r")
    assert provider.forms == []
    assert "offline_access" in openid.sign_in_url(Attempt.start())


def test_a_provider_that_is_away_is_an_outage() -> None:
    openid = client_of(Provider())

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    openid._http = httpx.Client(transport=httpx.MockTransport(fail))
    with pytest.raises(Unavailable):
        openid.sign_in_url(Attempt.start())
