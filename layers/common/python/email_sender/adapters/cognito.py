"""Sign-in at a Cognito user pool. Implements security.sessions.TokenIssuer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from email_sender.errors import Forbidden, RateLimited, Unauthenticated, Unavailable
from email_sender.security.sessions import Tokens

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_REFUSED = frozenset({"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"})
_THROTTLED = frozenset({"TooManyRequestsException", "LimitExceededException"})


class CognitoIssuer:
    def __init__(self, client: Callable[[], "CognitoIdentityProviderClient"], client_id: str) -> None:
        self._client, self._client_id = client, client_id

    def sign_in(self, username: str, password: str) -> Tokens:
        with _translated():
            answer = self._client().initiate_auth(
                ClientId=self._client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        if "AuthenticationResult" not in answer:
            # A challenge: a temporary password to replace, or a second factor.
            raise Forbidden(f"The account must first complete {answer.get('ChallengeName', 'a challenge')}.")
        result = answer["AuthenticationResult"]
        return Tokens(result["AccessToken"], result["RefreshToken"], result["ExpiresIn"])

    def refresh(self, refresh_token: str) -> Tokens:
        with _translated():
            answer = self._client().get_tokens_from_refresh_token(RefreshToken=refresh_token, ClientId=self._client_id)
        result = answer["AuthenticationResult"]
        # With rotation the answer holds a new refresh token, and the old one ends.
        return Tokens(result["AccessToken"], result.get("RefreshToken", refresh_token), result["ExpiresIn"])


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _THROTTLED:
            raise RateLimited("Too many tries to sign in.", retry_after=5) from error
        if code in _REFUSED or code.startswith("Refresh"):
            # One sentence for all of it: which part was wrong is nobody's business.
            raise Unauthenticated("These credentials are not valid.") from error
        if code in ("PasswordResetRequiredException", "UserNotConfirmedException"):
            raise Forbidden("The account is not ready: its password has to be set.") from error
        raise Unavailable("The user pool did not answer.") from error
    except BotoCoreError as error:
        raise Unavailable("The user pool did not answer.") from error
