"""Verify access tokens on public routes. These have no authorizer, but return more to authenticated callers."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from email_sender.errors import Unauthenticated, Unavailable
from email_sender.kit.auth import Principal, principal_from

if TYPE_CHECKING:
    from jwt import PyJWKClient

_ALGORITHMS = ["RS256"]
_JWKS_SECONDS = 3


class TokenVerifier:
    """`audience` is compared with `aud`, or with `client_id` if the token has no `aud` (Cognito's access tokens)."""

    def __init__(self, jwks_url: str, issuer: str, audience: str) -> None:
        self._jwks_url, self._issuer, self._audience = jwks_url, issuer, audience

    def verify(self, token: str) -> Principal:
        """Return the principal of the token.

        Raises:
            Unauthenticated: it is not a current access token of the issuer for this API.
            Unavailable: the issuer's public keys cannot be read.
        """
        import jwt

        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                options={"require": ["exp", "sub"], "verify_aud": False},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable("The token issuer's public keys cannot be read.") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("The token is not valid.") from error
        audience = claims.get("aud", claims.get("client_id"))
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise Unauthenticated("The token is for another audience.")
        return principal_from(claims)

    @cached_property
    def _keys(self) -> "PyJWKClient":
        from jwt import PyJWKClient

        return PyJWKClient(self._jwks_url, timeout=_JWKS_SECONDS)
