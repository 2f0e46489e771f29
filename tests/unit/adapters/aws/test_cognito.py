"""Sign-in with a user pool (moto's)."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from email_sender.adapters.aws.cognito import CognitoTokenIssuer
from email_sender.adapters.aws.cognito_members import CognitoMembers
from email_sender.errors import InvalidInput, Unauthenticated
from email_sender.security.sessions import CodeNeeded, NewPasswordNeeded, Tokens

INVITED, OWN = "Invited1xyz!", "Pa55word!xyz"


class Pool:
    def __init__(self, client: Any) -> None:
        self.client = client
        self.id = client.create_user_pool(PoolName="p", AliasAttributes=["email"])["UserPool"]["Id"]
        application = client.create_user_pool_client(
            UserPoolId=self.id, ClientName="c", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        self.issuer = CognitoTokenIssuer(lambda: client, application["UserPoolClient"]["ClientId"])
        client.admin_create_user(UserPoolId=self.id, Username="ann", TemporaryPassword=INVITED)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with mock_aws():
        yield Pool(boto3.client("cognito-idp", region_name="eu-west-1"))


def test_an_invited_person_chooses_a_password(pool: Pool) -> None:
    asked = pool.issuer.sign_in("ann", INVITED)
    assert isinstance(asked, NewPasswordNeeded)
    assert isinstance(pool.issuer.set_password(asked.username, asked.session, OWN), Tokens)
    assert isinstance(pool.issuer.sign_in("ann", OWN), Tokens)
    with pytest.raises(Unauthenticated):
        pool.issuer.sign_in("ann", INVITED)


# The SDK refuses the short one without asking the pool.
@pytest.mark.parametrize("session", ["x" * 40, "short"])
def test_a_session_of_nobody_is_refused(pool: Pool, session: str) -> None:
    with pytest.raises(Unauthenticated):
        pool.issuer.set_password("ann", session, OWN)


def test_a_person_sets_up_an_authenticator_app_and_is_asked_for_codes(pool: Pool) -> None:
    asked = pool.issuer.sign_in("ann", INVITED)
    assert isinstance(asked, NewPasswordNeeded)
    tokens = pool.issuer.set_password(asked.username, asked.session, OWN)
    assert pool.issuer.begin_second_factor(tokens.access_token)
    pool.issuer.confirm_second_factor(tokens.access_token, "123456")
    challenge = pool.issuer.sign_in("ann", OWN)
    assert isinstance(challenge, CodeNeeded)
    assert isinstance(pool.issuer.enter_code(challenge.username, challenge.session, "123456"), Tokens)
    with pytest.raises(Unauthenticated):
        pool.issuer.enter_code(challenge.username, "x" * 40, "123456")


@pytest.mark.parametrize("has_passkeys", [True, False])
def test_an_authenticator_app_lets_passkeys_count_as_a_second_factor(has_passkeys: bool) -> None:
    client = boto3.client("cognito-idp", region_name="us-east-1")
    token, enabled = "t" * 40, {"Enabled": True}
    passkeys = {"WebAuthnMfaSettings": enabled} if has_passkeys else {}
    with Stubber(client) as stub:
        stub.add_response("verify_software_token", {"Status": "SUCCESS"}, {"AccessToken": token, "UserCode": "123456"})
        app = {"SoftwareTokenMfaSettings": {**enabled, "PreferredMfa": True}}
        stub.add_response("set_user_mfa_preference", {}, {"AccessToken": token, **app, **passkeys})
        stub.add_response("global_sign_out", {}, {"AccessToken": token})
        issuer = CognitoTokenIssuer(lambda: client, "c", has_passkeys=has_passkeys)
        issuer.confirm_second_factor(token, "123456")
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("has_passkeys", [True, False])
def test_a_lost_app_takes_the_passkeys_second_factor_away_too(has_passkeys: bool) -> None:
    client = boto3.client("cognito-idp", region_name="us-east-1")
    ann = {"UserPoolId": "us-east-1_p", "Username": "ann"}
    passkeys = {"WebAuthnMfaSettings": {"Enabled": False}} if has_passkeys else {}
    with Stubber(client) as stub:
        app = {"SoftwareTokenMfaSettings": {"Enabled": False, "PreferredMfa": False}}
        stub.add_response("admin_set_user_mfa_preference", {}, {**ann, **app, **passkeys})
        stub.add_response("admin_user_global_sign_out", {}, ann)
        CognitoMembers(lambda: client, "us-east-1_p", has_passkeys=has_passkeys).reset_second_factor("ann")
        stub.assert_no_pending_responses()


def test_a_token_of_nobody_sets_up_nothing(pool: Pool) -> None:
    with pytest.raises(Unauthenticated):
        pool.issuer.begin_second_factor("x" * 40)


@pytest.mark.parametrize("code", ["EnableSoftwareTokenMFAException", "CodeMismatchException"])
def test_a_wrong_code_is_told_apart(code: str) -> None:
    issuer = CognitoTokenIssuer(lambda: RefusingClient(code), "c")  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidInput, match="code is wrong"):
        issuer.confirm_second_factor("t", "000000")


class RefusingClient:
    """Answers every call with one error."""

    def __init__(self, code: str) -> None:
        self._code = code

    def __getattr__(self, operation: str) -> Any:
        def call(**_arguments: Any) -> None:
            raise ClientError({"Error": {"Code": self._code, "Message": "m"}}, operation)

        return call


def refusing(code: str) -> CognitoTokenIssuer:
    client: Any = RefusingClient(code)
    return CognitoTokenIssuer(lambda: client, "c")


def test_a_weak_password_is_explained() -> None:
    with pytest.raises(InvalidInput, match="12 characters"):
        refusing("InvalidPasswordException").set_password("ann", "s" * 40, "short")


def test_signing_out_with_an_unknown_token_changes_nothing() -> None:
    refusing("NotAuthorizedException").sign_out("unknown")
