"""Benchmark the compiler with workflow definitions of 100 and 400 steps."""

import statistics
import time
from typing import Any

from email_sender.adapters.documents.jsonata_expressions import JsonataExpressions
from email_sender.workflows.actions import ACTION_CATALOGUE
from email_sender.workflows.compiler.compiler import compile_definition
from email_sender.workflows.definition.parser import parse_definition

_RUNS = 7


def measure() -> list[dict[str, Any]]:
    hundred_steps_ms, four_hundred_steps_ms = _compile_ms(100), _compile_ms(400)
    return [
        {
            "measure": "compiling a workflow of 100 steps",
            "value": hundred_steps_ms,
            "unit": "ms",
            "compared_with": "",
            "compared_value": None,
            "at_most": 50.0,
            "runs": _RUNS,
        },
        {
            "measure": "a step of 400, linear growth",
            "value": four_hundred_steps_ms / 400,
            "unit": "ms",
            "compared_with": "a step of 100",
            "compared_value": hundred_steps_ms / 100,
            "at_most": 1.5,
            "runs": _RUNS,
        },
    ]


def _compile_ms(steps: int) -> float:
    raw = {
        "name": "long",
        "steps": [
            {
                "id": f"s{number}",
                "uses": "vectors.search",
                "needs": [f"s{number - 1}"] if number else [],
                "with": {"collection": "message_vectors", "text": "{% $inputs.query %}", "limit": 3},
            }
            for number in range(steps)
        ],
    }
    definition = parse_definition(raw, ACTION_CATALOGUE, JsonataExpressions())
    targets = {"vectors.search": "arn:aws:lambda:us-east-1:000000000000:function:f:live", "run.finished": "arn:f"}

    def compile_once() -> float:
        started = time.perf_counter()
        compile_definition(definition, tenant_id="t", workflow_id="w", version=1, targets=targets)
        return (time.perf_counter() - started) * 1000

    return statistics.median(compile_once() for _ in range(_RUNS))
