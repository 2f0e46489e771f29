"""Tokens of another OpenID Connect issuer: a real one, on this machine, with the authorization-code flow and PKCE."""

import base64
import secrets
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import oidc_provider_mock  # type: ignore[import-untyped]
import pytest

from email_sender.errors import Unauthenticated
from email_sender.kit import claims
from email_sender.security.permissions import Role
from gateway_lambda.http.token_verifier import TokenVerifier

TENANT = "01930000-0000-7000-8000-00000000000a"
CLIENT, REDIRECT = "email-sender", "https://console.example/callback"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The functions of a deployment with JwtIssuer, whose directory has tenants and groups under its own names."""
    monkeypatch.setenv("STAGE", "test")
    monkeypatch.setenv("TENANT_CLAIM", "https://directory.example/tenant")
    monkeypatch.setenv("ROLE_CLAIM", "groups")
    monkeypatch.setenv("TOKEN_USE", "")
    claims.claim_settings.cache_clear()
    yield
    claims.claim_settings.cache_clear()


def sign_in(issuer: str, **attributes: object) -> str:
    """Sign in as a person with these attributes, and return the token."""
    httpx.put(f"{issuer}/users/ann", json=attributes).raise_for_status()
    endpoints = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "client_id": CLIENT, "redirect_uri": REDIRECT, "response_type": "code", "scope": "openid", "state": "s",
        "code_challenge": challenge, "code_challenge_method": "S256",
    }  # fmt: skip
    page = httpx.post(endpoints["authorization_endpoint"], params=query, data={"sub": "ann"})
    code = parse_qs(urlsplit(page.headers["location"]).query)["code"][0]
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "client_id": CLIENT,
        "client_secret": "s", "code_verifier": verifier,
    }  # fmt: skip
    answer = httpx.post(endpoints["token_endpoint"], data=form)
    answer.raise_for_status()
    return str(answer.json()["id_token"])


def verifier_of(issuer: str, audience: str = CLIENT) -> TokenVerifier:
    endpoints = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
    return TokenVerifier(endpoints["jwks_uri"], endpoints["issuer"], audience)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff", "email-sender-user"], Role.USER),
        (["email-sender-user", "email-sender-admin"], Role.ADMIN),
        ("readonly", Role.READONLY),
    ],
)
def test_tenant_and_role_come_from_the_issuers_own_claims(issuer: str, groups: object, role: Role) -> None:
    token = sign_in(issuer, groups=groups, **{"https://directory.example/tenant": TENANT})
    principal = verifier_of(issuer).verify(token)
    assert (principal.subject, principal.tenant_id, principal.role) == ("ann", UUID(TENANT), role)


def test_a_person_without_a_tenant_or_a_known_role_is_refused(issuer: str) -> None:
    for attributes in (
        {"groups": ["email-sender-admin"]},
        {"groups": ["root", "admin"], "https://directory.example/tenant": TENANT},
        # An operator belongs to the tenant of the platform.
        {"groups": ["email-sender-operator"], "https://directory.example/tenant": TENANT},
    ):
        with pytest.raises(Unauthenticated):
            verifier_of(issuer).verify(sign_in(issuer, **attributes))


def test_a_token_for_another_application_of_the_issuer_is_refused(issuer: str) -> None:
    token = sign_in(issuer, groups=["email-sender-admin"], **{"https://directory.example/tenant": TENANT})
    with pytest.raises(Unauthenticated, match="audience"):
        verifier_of(issuer, "another-application").verify(token)


def test_a_list_arrives_as_text_from_api_gateway() -> None:
    assert claims.role_of({"groups": "[staff email-sender-user email-sender-admin]"}) == Role.ADMIN
    for groups in ("[administrators]", "[Help Desk admin]", "[Machine operator]", "not admin", ["Help Desk admin"]):
        assert claims.role_of({"groups": groups}) not in list(Role)
