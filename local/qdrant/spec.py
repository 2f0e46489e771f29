"""How to run the local Qdrant under a supervisor."""

from pathlib import Path

from local.processes import Spec, python_spec


def qdrant_spec(data: Path, log: Path, grpc_port: int, http_port: int) -> Spec:
    """Return how to run the local Qdrant with its data below `data`."""
    ports = ["--grpc-port", str(grpc_port), "--http-port", str(http_port)]
    return python_spec("local.qdrant", log, "--data", str(data), *ports)
