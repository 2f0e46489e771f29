"""AWS clients: one for each service and configuration in an execution environment.

boto3 is imported at the first use, because it is the heaviest import of a cold start.
"""

import logging
from functools import cache
from typing import Any

from email_sender import tracing

# Fail while the caller still waits: a service that does not respond must not use up the function's own timeout.
_CONNECT_SECONDS = 2
_READ_SECONDS = 5


def client(service: str, *, max_attempts: int = 3, region: str | None = None, read_seconds: int = _READ_SECONDS) -> Any:
    """Return the cached client of an AWS service.

    `max_attempts` is 1 for calls that must not be repeated, such as sending an email. `read_seconds` is how long the
    service may take for a response.
    """
    # A function of its own, because type checkers do not check the arguments of a cached function.
    return _cached_client(service, max_attempts, region, read_seconds)


def slow_client(service: str, seconds: int) -> Any:
    """Return a client for calls that work until they answer: functions and models. It makes each call once.

    A second attempt after a timeout would send a request twice, or pay for a text twice.
    """
    return client(service, max_attempts=1, read_seconds=seconds)


@cache
def _cached_client(service: str, max_attempts: int, region: str | None, read_seconds: int) -> Any:
    import boto3
    from botocore.config import Config

    # At DEBUG they would log requests with their signatures and bodies.
    for library in ("boto3", "botocore", "s3transfer", "urllib3"):
        logging.getLogger(library).setLevel(logging.WARNING)

    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"total_max_attempts": max_attempts, "mode": "standard"},
        signature_version="s3v4" if service == "s3" else None,
    )
    created = boto3.client(service, config=config, region_name=region)  # type: ignore[call-overload]
    return _with_spans(created, service) if tracing.is_on() else created


def _with_spans(aws_client: Any, service: str) -> Any:
    """Record each call of the client, at the place where OpenTelemetry's instrumentation of botocore does it too."""
    make_call = aws_client._make_api_call

    def make_recorded_call(operation: str, parameters: Any) -> Any:
        attributes = {"rpc__system": "aws-api", "rpc__service": service, "rpc__method": operation}
        with tracing.span(f"{service}.{operation}", "client", **attributes):
            return make_call(operation, parameters)

    aws_client._make_api_call = make_recorded_call
    return aws_client
