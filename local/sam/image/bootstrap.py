"""The start of a function in the stand-in for AWS's image: set `sys.path` in Lambda's order and run the handler."""

import os
import sys

# The function's code, its layers, then the packages of the runtime.
sys.path[0:1] = [
    os.environ["LAMBDA_TASK_ROOT"],
    "/opt/python/lib/python3.13/site-packages",
    "/opt/python",
    os.environ["LAMBDA_RUNTIME_DIR"],
]

from awslambdaric.__main__ import main  # noqa: E402 - needs the path set above

main([sys.argv[0], os.environ["_HANDLER"]])
