"""Qdrant's protocol: the generated messages that `qdrant-client` ships, as `pb`.

`import qdrant_client` also builds every REST model, which takes four times as long (2.6 s against 0.6 s) and which
nobody here speaks (docs/decisions/0013). So the protocol is imported under a bare parent package, unless the real one
is already there.
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
        raise ModuleNotFoundError("qdrant-client is not installed", name="qdrant_client")
    bare = ModuleType("qdrant_client")
    bare.__path__ = spec.submodule_search_locations
    sys.modules["qdrant_client"] = bare
    try:
        return importlib.import_module("qdrant_client.grpc")
    finally:
        # Whoever imports the client later gets the real package.
        del sys.modules["qdrant_client"]


if TYPE_CHECKING:
    from qdrant_client import grpc as pb
else:
    pb = _protocol()
