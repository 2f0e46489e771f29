"""The sandbox's engine in the test's own process, in place of the function that has it."""

import json
from collections.abc import Mapping
from typing import Any

from email_sender.adapters.aws.lambda_sandbox import Answer, parse_answer
from sandbox_lambda import engine


class EngineSandbox:
    def run(self, request: Mapping[str, Any]) -> Answer:
        return parse_answer(engine.run(json.dumps(request), 30))
