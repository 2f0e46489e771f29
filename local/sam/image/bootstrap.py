"""Runs in the stand-in for AWS's image: finds modules in Lambda's order, then serves the handler."""

import os
import sys

# The function's own, its layers', then what the runtime brings.
sys.path[0:1] = [
    os.environ["LAMBDA_TASK_ROOT"],
    "/opt/python/lib/python3.13/site-packages",
    "/opt/python",
    os.environ["LAMBDA_RUNTIME_DIR"],
]

from awslambdaric.__main__ import main  # noqa: E402 - not found before

main([sys.argv[0], os.environ["_HANDLER"]])
