"""``python -m local.qdrant.optimize SHARD``: optimize a closed shard, in a process of its own.

The engine holds the interpreter's lock while it builds an index, many seconds for some ten thousand vectors: in the
server's process no request would be answered meanwhile. Exits with 0 when the shard is optimized, flushed and closed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import qdrant_edge as edge

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


def main() -> None:
    if sys.platform == "linux":
        # A server that was killed sweeps this folder when it starts again; elsewhere this process then fails alone.
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.nice(10)  # whoever is being served goes first
    shard = edge.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
