"""``python -m local.qdrant.optimizer_process SHARD``: optimize a closed shard in a separate process.

The engine holds Python's interpreter lock while it builds an index, for many seconds with some ten thousand vectors. In
the server's process, all requests would wait. Exits with 0 once the shard is optimized, flushed and closed.
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
        # Stop with the server, because a restarted server deletes this folder. On other systems the process just fails.
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.nice(10)  # requests to the server have priority
    shard = edge.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
