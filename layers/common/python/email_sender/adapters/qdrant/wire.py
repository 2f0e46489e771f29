"""Qdrant's protocol: the generated messages that `qdrant-client` ships, as `pb`.

`import qdrant_client` also builds all REST models, which takes 2.6 s instead of 0.6 s, and this code uses no REST
(docs/decisions/0013). So the protocol is imported under a stub parent package, unless the real package is already
loaded.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["pb"]


def _protocol() -> ModuleType:
    if "qdrant_client" in sys.modules:
        return importlib.import_module("qdrant_client.grpc")
    spec = importlib.util.find_spec("qdrant_client")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("qdrant-client is not installed.", name="qdrant_client")
    stub_package = ModuleType("qdrant_client")
    stub_package.__path__ = spec.submodule_search_locations
    sys.modules["qdrant_client"] = stub_package
    try:
        return importlib.import_module("qdrant_client.grpc")
    finally:
        # Remove the stub, so that a later import of the client gets the real package.
        del sys.modules["qdrant_client"]


if TYPE_CHECKING:
    from qdrant_client import grpc as pb
else:
    pb = _protocol()
