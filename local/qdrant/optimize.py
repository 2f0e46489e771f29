"""``python -m local.qdrant.optimize SHARD``: optimize a closed shard, in a process of its own.

The engine holds the interpreter's lock while it builds an index, many seconds for some ten thousand vectors: in the
server's process no request would be answered meanwhile. Exits with 0 when the shard is optimized, flushed and closed.
"""

from __future__ import annotations

import os
import sys

import qdrant_edge as edge


def main() -> None:
    os.nice(10)  # whoever is being served goes first
    shard = edge.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
