"""Lambda: create missing collections at a deployment, as a CloudFormation custom resource or a plain invocation."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.kit.custom_resources import deployment_step


def prepare() -> dict[str, Any]:
    # Imported late, because it loads Qdrant's gRPC protocol.
    from vectors_lambda.bootstrap.jobs import preparation

    return {"made": preparation().prepare()}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return deployment_step(event, context, prepare)
