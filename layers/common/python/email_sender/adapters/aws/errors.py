"""Translate botocore's errors into errors of the domain, for every adapter that calls AWS."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from email_sender.errors import Unavailable


@dataclass(frozen=True, slots=True)
class AwsError:
    """An error response of an AWS service: its code, its message, and the HTTP status."""

    code: str
    message: str
    status: int


type Translation = Callable[[AwsError], Exception | None]
"""Return the exception for an error response, or None for Unavailable."""


@contextmanager
def translate_aws_errors(unavailable: str, translation: Translation | None = None) -> Iterator[None]:
    """Raise what `translation` returns for an error response of AWS.

    Raises:
        Unavailable: with the message `unavailable`, for every other error response and if AWS does not respond.
    """
    # Imported here: botocore is the heaviest import of a cold start.
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        aws_error = AwsError(details.get("Code", ""), details.get("Message", ""), status)
        translated = translation(aws_error) if translation is not None else None
        raise (translated or Unavailable(unavailable)) from error
    except ParamValidationError as error:
        # The SDK refuses what the service would refuse, such as a session that is too short, without a request.
        invalid = AwsError("InvalidParameterException", str(error), 400)
        translated = translation(invalid) if translation is not None else None
        raise (translated or Unavailable(unavailable)) from error
    except BotoCoreError as error:
        raise Unavailable(unavailable) from error
