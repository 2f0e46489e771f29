"""Every minute: the events that the bus was not given, or lost."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator.bootstrap import relay
from email_sender.kit.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    put = relay().sweep()
    if put:
        logger.info("events put again", count=put)
    return {"put": put}
