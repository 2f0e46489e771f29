"""Sign in with a Cognito user pool. Implements security.sessions.TokenIssuer."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from email_sender.adapters.aws.errors import AwsError, translate_aws_errors
from email_sender.errors import DomainError, Forbidden, InvalidInput, RateLimited, Unauthenticated
from email_sender.security.sessions import CodeNeeded, NewPasswordNeeded, Tokens

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

_INVALID_CREDENTIALS_CODES = frozenset({"NotAuthorizedException", "UserNotFoundException", "InvalidParameterException"})
_THROTTLING_CODES = frozenset({"TooManyRequestsException", "LimitExceededException"})
_NEW_PASSWORD: Literal["NEW_PASSWORD_REQUIRED"] = "NEW_PASSWORD_REQUIRED"  # noqa: S105  # the name of a challenge
_CODE: Literal["SOFTWARE_TOKEN_MFA"] = "SOFTWARE_TOKEN_MFA"
_UNAVAILABLE = "The user pool did not respond. Try again later."


class CognitoTokenIssuer:
    """`has_passkeys`: the pool takes passkeys too. They count as a second factor once the user has set up an app."""

    def __init__(
        self, client: Callable[[], "CognitoIdentityProviderClient"], client_id: str, *, has_passkeys: bool = False
    ) -> None:
        self._client, self._client_id, self._has_passkeys = client, client_id, has_passkeys

    def sign_in(self, username: str, password: str) -> Tokens | NewPasswordNeeded | CodeNeeded:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client().initiate_auth(
                ClientId=self._client_id,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": username, "PASSWORD": password},
            )
        # Who signed in with an address answers with the username.
        user_id = response.get("ChallengeParameters", {}).get("USER_ID_FOR_SRP", username)
        match response.get("ChallengeName"):
            case "NEW_PASSWORD_REQUIRED":
                return NewPasswordNeeded(user_id, response["Session"])
            case "SOFTWARE_TOKEN_MFA":
                return CodeNeeded(user_id, response["Session"])
        return _tokens(response)

    def set_password(self, username: str, session: str, password: str) -> Tokens:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client().respond_to_auth_challenge(
                ClientId=self._client_id,
                ChallengeName=_NEW_PASSWORD,
                Session=session,
                ChallengeResponses={"USERNAME": username, "NEW_PASSWORD": password},
            )
        return _tokens(response)

    def enter_code(self, username: str, session: str, code: str) -> Tokens:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client().respond_to_auth_challenge(
                ClientId=self._client_id,
                ChallengeName=_CODE,
                Session=session,
                ChallengeResponses={"USERNAME": username, "SOFTWARE_TOKEN_MFA_CODE": code},
            )
        return _tokens(response)

    def begin_second_factor(self, access_token: str) -> str:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            return self._client().associate_software_token(AccessToken=access_token)["SecretCode"]

    def confirm_second_factor(self, access_token: str, code: str) -> None:
        client = self._client()
        with translate_aws_errors(_UNAVAILABLE, _translate_code):
            result = client.verify_software_token(AccessToken=access_token, UserCode=code)
        if result["Status"] != "SUCCESS":
            raise _WRONG_CODE
        enabled: dict[str, Any] = {"SoftwareTokenMfaSettings": {"Enabled": True, "PreferredMfa": True}}
        if self._has_passkeys and knows_passkeys(client):
            # Cognito takes it only of users who have another second factor, such as this app.
            enabled["WebAuthnMfaSettings"] = {"Enabled": True}
        with translate_aws_errors(_UNAVAILABLE, _translate):
            client.set_user_mfa_preference(AccessToken=access_token, **enabled)
        try:
            # Sessions that began without a code end.
            with translate_aws_errors(_UNAVAILABLE, _translate):
                client.global_sign_out(AccessToken=access_token)
        except DomainError:
            # Otherwise they would count as sessions with a code when they are refreshed.
            disabled: Any = {"Enabled": False, "PreferredMfa": False}
            client.set_user_mfa_preference(AccessToken=access_token, SoftwareTokenMfaSettings=disabled)
            raise

    def sign_out(self, refresh_token: str) -> None:
        with suppress(Unauthenticated), translate_aws_errors(_UNAVAILABLE, _translate):
            self._client().revoke_token(Token=refresh_token, ClientId=self._client_id)

    def refresh(self, refresh_token: str) -> Tokens:
        with translate_aws_errors(_UNAVAILABLE, _translate):
            response = self._client().get_tokens_from_refresh_token(
                RefreshToken=refresh_token, ClientId=self._client_id
            )
        result = response["AuthenticationResult"]
        # With rotation, the response has a new refresh token and the old one expires.
        return Tokens(result["AccessToken"], result.get("RefreshToken", refresh_token), result["ExpiresIn"])


def knows_passkeys(client: "CognitoIdentityProviderClient") -> bool:
    """Return whether the SDK, which Lambda brings, is of April 2026 or later."""
    operation = client.meta.service_model.operation_model("SetUserMFAPreference")
    return operation.input_shape is not None and "WebAuthnMfaSettings" in operation.input_shape.members


def _tokens(response: Any) -> Tokens:
    if "AuthenticationResult" not in response:
        # Cognito demands another challenge, such as a second factor.
        raise Forbidden(f"The account must first complete {response.get('ChallengeName', 'a challenge')}.")
    result = response["AuthenticationResult"]
    return Tokens(result["AccessToken"], result["RefreshToken"], result["ExpiresIn"])


_WRONG_CODE = InvalidInput.at("/code", "The code is wrong, or too old. Enter the one that the app shows now.")


def _translate_code(error: AwsError) -> Exception | None:
    if error.code in ("EnableSoftwareTokenMFAException", "CodeMismatchException"):
        return _WRONG_CODE
    return _translate(error)


def _translate(error: AwsError) -> Exception | None:
    if error.code in _THROTTLING_CODES:
        return RateLimited("Too many sign-in attempts. Try again in 5 s.", retry_after=5)
    if error.code == "InvalidPasswordException":
        return InvalidInput.at(
            "/password",
            "The password does not meet the policy: at least 12 characters, with lower case, upper case and a digit.",
        )
    if error.code in ("CodeMismatchException", "ExpiredCodeException"):
        return Unauthenticated("The code is wrong or was used before. Sign in again.")
    if error.code == "ResourceNotFoundException":
        return Unauthenticated("The session has ended. Sign in again.")
    if error.code in _INVALID_CREDENTIALS_CODES or error.code.startswith("Refresh"):
        # One message for all cases, so that it does not reveal which part was wrong.
        return Unauthenticated("The username, password or refresh token is wrong.")
    if error.code in ("PasswordResetRequiredException", "UserNotConfirmedException"):
        return Forbidden("The account is not ready. Its password must be set first.")
    if error.code == "UserLambdaValidationException":
        # PreTokenFunction rejects users without a tenant or with an unknown role.
        return Forbidden("The account has no tenant or no valid role. Ask an administrator to set both.")
    return None
