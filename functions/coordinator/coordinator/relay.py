"""Every minute: the events that the bus was not given, or lost."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator.bootstrap import relay
from email_sender.kit.telemetry import logger

# What one more sweep may take.
_SWEEP_MILLISECONDS = 15_000


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Until none is due: after an outage there are more than one sweep takes, and a minute is long."""
    put = 0
    while found := relay().sweep():
        put += found
        if context.get_remaining_time_in_millis() < _SWEEP_MILLISECONDS:
            break
    if put:
        logger.info("events put again", count=put)
    return {"put": put}
