"""Passkeys by parameter: what Cognito's documentation asks for.

Its pages on passkeys, on managed login and on the API's WebAuthnConfigurationType. cfn-lint checks names and values
against the schemas of CloudFormation (tests/aws/test_linters.py).
"""

import pytest

from local.aws.evaluation import Json
from tests.aws.cloudformation import PARAMETERS, deployed


def resources(**parameters: str) -> dict[str, Json]:
    return deployed(parameters={**PARAMETERS, **parameters})


@pytest.fixture(scope="module")
def with_passkeys() -> dict[str, Json]:
    return resources(Passkeys="on")


def test_people_choose_between_a_password_and_a_passkey_that_counts_as_two_factors(
    with_passkeys: dict[str, Json],
) -> None:
    pool = with_passkeys["UserPool"]["Properties"]
    assert pool["UserPoolTier"] in ("ESSENTIALS", "PLUS"), "the plan Lite has no passkeys"
    assert pool["Policies"]["SignInPolicy"] == {"AllowedFirstAuthFactors": ["PASSWORD", "WEB_AUTHN"]}
    assert pool["WebAuthnUserVerification"] == "required"
    assert pool["WebAuthnFactorConfiguration"] == "MULTI_FACTOR_WITH_USER_VERIFICATION"
    assert "ALLOW_USER_AUTH" in with_passkeys["UserPoolClient"]["Properties"]["ExplicitAuthFlows"]


def test_the_pages_are_those_that_know_passkeys_and_have_a_style(with_passkeys: dict[str, Json]) -> None:
    assert with_passkeys["UserPoolDomain"]["Properties"]["ManagedLoginVersion"] == 2
    assert with_passkeys["SignInPages"]["Properties"]["UseCognitoProvidedValues"] is True


def test_functions_know_whether_there_are_passkeys(with_passkeys: dict[str, Json]) -> None:
    for name in ("GatewayFunction", "ConsoleFunction"):
        assert with_passkeys[name]["Properties"]["Environment"]["Variables"]["PASSKEYS"] == "on"


@pytest.mark.parametrize("parameters", [{}, {"Passkeys": "on", "JwtIssuer": "https://issuer.example"}])
def test_without_them_or_with_another_issuer_nothing_changes(parameters: dict[str, str]) -> None:
    found = resources(**parameters)
    assert "SignInPages" not in found
    assert found["GatewayFunction"]["Properties"]["Environment"]["Variables"]["PASSKEYS"] == "off"
    if "UserPool" in found:
        assert "SignInPolicy" not in found["UserPool"]["Properties"]["Policies"]
        assert found["UserPoolClient"]["Properties"]["ExplicitAuthFlows"] == ["ALLOW_USER_PASSWORD_AUTH"]
