"""Every minute: publishes the events that were not put on the bus, or were lost on it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from coordinator_lambda.bootstrap import relay
from email_sender.kit.telemetry import logger

# The time that one more sweep may take.
_SWEEP_MILLISECONDS = 15_000


@logger.inject_lambda_context(clear_state=True)
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Sweep until no event is due: an outage leaves more events than one sweep publishes, and a minute is long."""
    put_count = 0
    while sweep_count := relay().sweep():
        put_count += sweep_count
        if context.get_remaining_time_in_millis() < _SWEEP_MILLISECONDS:
            break
    if put_count:
        logger.info("events put on the bus again", count=put_count)
    return {"put": put_count}
