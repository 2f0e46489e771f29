"""Qdrant's own engine behind Qdrant's own gRPC protocol, for one machine without Docker.

``qdrant-edge-py`` is Qdrant's Rust engine as a wheel. It has no server, no collections, no aliases and no background
optimizer. This package adds them, so that the stock ``qdrant-client`` with ``prefer_grpc=True`` works with it. It runs
in its own process, because the engine holds Python's interpreter lock during every call:
``python -m local.qdrant --data DIR --grpc-port N --http-port N``.

Where to look:

- ``server``: the process, its two ports and its clean stop.
- ``catalogue``: the collections and aliases, which survive ``kill -9``.
- ``collection``: one collection with its engine and its lock; ``optimizer``: when and where it is optimized.
- ``collections_api``, ``points_api``: the gRPC services. Missing methods return UNIMPLEMENTED.
- ``values``, ``filters``, ``queries``, ``groups``, ``configs``: conversions between protobuf and the engine's types.
"""
