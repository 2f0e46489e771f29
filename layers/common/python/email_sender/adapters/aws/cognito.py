"""Sign in with a Cognito user pool. Implements security.sessions.TokenIssuer."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import Forbidden, RateLimited, Unauthenticated
from email_sender.security.sessions import Tokens

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_INVALID_CREDENTIALS_CODES = frozenset({"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"})
_THROTTLING_CODES = frozenset({"TooManyRequestsException", "LimitExceededException"})
_UNAVAILABLE = "The user pool did not respond. Try again later."


class CognitoTokenIssuer:
    def __init__(self, client: Callable[[], "CognitoIdentityProviderClient"], client_id: str) -> None:
        self._client, self._client_id = client, client_id

    def sign_in(self, username: str, password: str) -> Tokens:
        with translate_aws_errors(_UNAVAILABLE, _translate):
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
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client().get_tokens_from_refresh_token(
                RefreshToken=refresh_token, ClientId=self._client_id
            )
        result = response["AuthenticationResult"]
        # With rotation, the response has a new refresh token and the old one expires.
        return Tokens(result["AccessToken"], result.get("RefreshToken", refresh_token), result["ExpiresIn"])


def _translate(error: AwsError) -> Exception | None:
    if error.code in _THROTTLING_CODES:
        return RateLimited("Too many sign-in attempts. Try again in 5 s.", retry_after=5)
    if error.code in _INVALID_CREDENTIALS_CODES or error.code.startswith("Refresh"):
        # One message for all cases, so that it does not reveal which part was wrong.
        return Unauthenticated("The username, password or refresh token is wrong.")
    if error.code in ("PasswordResetRequiredException", "UserNotConfirmedException"):
        return Forbidden("The account is not ready. Its password must be set first.")
    if error.code == "UserLambdaValidationException":
        # PreTokenFunction rejects users without a tenant or with an unknown role.
        return Forbidden("The account has no tenant or no valid role. Ask an administrator to set both.")
    return None
