"""CodeDeploy's hook before a new version of an HTTP function gets traffic. A failure takes the deployment back."""

import json
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from email_sender.kit.aws_clients import client, slow_client
from email_sender.kit.telemetry import logger
from gateway_lambda.version_checks import check_version

# A new version starts cold.
_CHECK_SECONDS = 30


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, str], _context: LambdaContext) -> None:
    codedeploy, deployment_id = client("codedeploy"), event["DeploymentId"]
    status = "Failed"
    try:
        function, version = target_of(codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"])
        count = check_version(slow_client("lambda", _CHECK_SECONDS), function, version)
        logger.info("the new version passed its checks", function_checked=function, version=version, requests=count)
        status = "Succeeded"
    except Exception:
        # Whatever went wrong, CodeDeploy must get an answer: it would wait an hour for one.
        logger.exception("the new version gets no traffic")
    codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )


def target_of(deployment: dict[str, Any]) -> tuple[str, str]:
    """Return the function and the version that a deployment gives traffic to, from its AppSpec file."""
    revision = deployment["revision"]
    content = (revision.get("appSpecContent") or revision.get("string"))["content"]
    (resource,) = json.loads(content)["Resources"]
    (properties,) = (one["Properties"] for one in resource.values())
    return properties["Name"], str(properties["TargetVersion"])
