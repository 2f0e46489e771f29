"""Qdrant's own engine behind Qdrant's own gRPC protocol, for one machine without Docker.

``qdrant-edge-py`` is Qdrant's Rust engine as a wheel. It has no server: no network, no collections, no aliases and
nothing that optimizes in the background. This package adds those, so that the stock ``qdrant-client`` with
``prefer_grpc=True`` talks to it. It runs as a process of its own, since the engine holds the interpreter's lock during
every call: ``python -m local.qdrant --data DIR --grpc-port N --http-port N``.

Where to look:

- ``server``: the process, its two ports, its clean stop.
- ``catalogue``: which collections and aliases there are, and how they survive ``kill -9``.
- ``collection``: one collection: its engine and its lock; ``optimizer``: when and where it optimizes.
- ``collections_api``, ``points_api``: what is answered on the wire. What is missing there answers UNIMPLEMENTED.
- ``values``, ``filters``, ``queries``, ``groups``, ``configs``: from protobuf to the engine's words and back.
"""
