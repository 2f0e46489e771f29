"""Makes the collections at a deployment, before any data: a CloudFormation custom resource, or a plain invocation."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.kit.deployment import deployment_step


def prepare() -> dict[str, Any]:
    # Late: it loads the engine's protocol.
    from vectors.jobs import preparation

    return {"made": preparation().prepare()}


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return deployment_step(event, context, prepare)
