"""Sign in with a Cognito user pool. Implements security.sessions.TokenIssuer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from email_sender.errors import Forbidden, RateLimited, Unauthenticated, Unavailable
from email_sender.security.sessions import Tokens

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_INVALID_CREDENTIALS_CODES = frozenset({"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"})
_THROTTLING_CODES = frozenset({"TooManyRequestsException", "LimitExceededException"})


class CognitoTokenIssuer:
    def __init__(self, client: Callable[[], "CognitoIdentityProviderClient"], client_id: str) -> None:
        self._client, self._client_id = client, client_id

    def sign_in(self, username: str, password: str) -> Tokens:
        with _translate_errors():
            response = self._client().initiate_auth(
                ClientId=self._client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        if "AuthenticationResult" not in response:
            # Cognito demands a challenge, such as a new password or a second factor.
            raise Forbidden(f"The account must first complete {response.get('ChallengeName', 'a challenge')}.")
        result = response["AuthenticationResult"]
        return Tokens(result["AccessToken"], result["RefreshToken"], result["ExpiresIn"])

    def refresh(self, refresh_token: str) -> Tokens:
        with _translate_errors():
            response = self._client().get_tokens_from_refresh_token(
                RefreshToken=refresh_token, ClientId=self._client_id
            )
        result = response["AuthenticationResult"]
        # With rotation, the response has a new refresh token and the old one expires.
        return Tokens(result["AccessToken"], result.get("RefreshToken", refresh_token), result["ExpiresIn"])


@contextmanager
def _translate_errors() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _THROTTLING_CODES:
            raise RateLimited("Too many sign-in attempts. Try again in 5 s.", retry_after=5) from error
        if code in _INVALID_CREDENTIALS_CODES or code.startswith("Refresh"):
            # One message for all cases, so that it does not reveal which part was wrong.
            raise Unauthenticated("These credentials are not valid.") from error
        if code in ("PasswordResetRequiredException", "UserNotConfirmedException"):
            raise Forbidden("The account is not ready. Its password must be set first.") from error
        raise Unavailable("The user pool did not answer.") from error
    except BotoCoreError as error:
        raise Unavailable("The user pool did not answer.") from error
