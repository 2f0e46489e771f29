"""Sign-in at an OpenID provider: authorization code flow with PKCE (RFC 7636), refresh and sign-out."""

import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from console_lambda.sessions import Tokens
from email_sender import base64url
from email_sender.errors import Unauthenticated, Unavailable

# Besides the standard's own scope, the one with which a person may set up an authenticator app at Cognito.
_COGNITO_SCOPE = "aws.cognito.signin.user.admin"
_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to sign in. The browser keeps it in a cookie until the provider sends the person back."""

    state: str
    verifier: str

    @classmethod
    def start(cls) -> "Attempt":
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        return base64url.encode(sha256(self.verifier.encode()).digest())


class OpenIdProvider:
    """Implements sessions.TokenIssuer. Every method raises Unavailable if the provider does not respond."""

    def __init__(self, configuration_url: str, client_id: str, console_url: str) -> None:
        self._configuration_url, self._client_id, self._console_url = configuration_url, client_id, console_url
        self._http = httpx.Client(timeout=_SECONDS)

    def sign_in_url(self, attempt: Attempt) -> str:
        return f"{self._endpoint('authorization_endpoint')}?{self._query(attempt)}"

    def passkey_url(self, attempt: Attempt) -> str:
        """Return Cognito's page for a new passkey. It takes what the sign-in takes."""
        page = urlsplit(self._endpoint("authorization_endpoint"))._replace(path="/passkeys/add")
        return f"{page.geturl()}?{self._query(attempt)}"

    def _query(self, attempt: Attempt) -> str:
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._scopes),
            "state": attempt.state,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return urlencode(query)

    def exchange(self, code: str, attempt: Attempt) -> Tokens:
        """Return the tokens for a code. Raises Unauthenticated if the provider refuses it."""
        return self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_uri,
                "code_verifier": attempt.verifier,
            }
        )

    def refresh(self, refresh_token: str) -> Tokens:
        return self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token}, refresh_token)

    def sign_out_url(self) -> str:
        """Return the page that also ends the provider's own session."""
        back = f"{self._console_url}/signed-out"
        if "end_session_endpoint" not in self._configuration:
            return back
        # Cognito's names, and those of OpenID Connect RP-Initiated Logout.
        query = {"client_id": self._client_id, "logout_uri": back, "post_logout_redirect_uri": back}
        return f"{self._endpoint('end_session_endpoint')}?{urlencode(query)}"

    def revoke(self, refresh_token: str) -> None:
        """Revoke the refresh token (RFC 7009), if the provider can."""
        if "revocation_endpoint" in self._configuration:
            self._post("revocation_endpoint", {"token": refresh_token})

    @property
    def _redirect_uri(self) -> str:
        return f"{self._console_url}/callback"

    @property
    def _scopes(self) -> list[str]:
        is_cognito = "cognito-idp" in self._configuration.get("issuer", "")
        # Other providers return a refresh token only for this scope.
        return ["openid", _COGNITO_SCOPE] if is_cognito else ["openid", "offline_access"]

    def _tokens(self, form: dict[str, str], refresh_token: str = "") -> Tokens:
        response = self._post("token_endpoint", form)
        if response.status_code == 429:
            raise Unavailable("The sign-in service gets too many requests. Try again in a minute.")
        if response.is_client_error:
            raise Unauthenticated("The sign-in service did not accept the sign-in. Sign in again.")
        try:
            answer = response.json()
            ends = time.time() + float(answer.get("expires_in", 300))
            return Tokens(answer["access_token"], answer.get("refresh_token", refresh_token), ends)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unavailable("The sign-in service returned no tokens.") from None

    def _post(self, endpoint: str, form: dict[str, str]) -> httpx.Response:
        try:
            response = self._http.post(self._endpoint(endpoint), data={"client_id": self._client_id, **form})
        except httpx.HTTPError as error:
            raise Unavailable("The sign-in service did not respond.") from error
        if response.is_server_error:
            raise Unavailable("The sign-in service failed.")
        return response

    def _endpoint(self, name: str) -> str:
        return str(self._configuration[name])

    @cached_property
    def _configuration(self) -> dict[str, Any]:
        """The provider's own description of itself (OpenID Connect Discovery), read once."""
        try:
            response = self._http.get(self._configuration_url).raise_for_status()
            configuration: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable("The sign-in service did not respond.") from error
        return configuration
