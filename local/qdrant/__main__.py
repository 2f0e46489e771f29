"""``python -m local.qdrant``: run the server, print ``ready``, and stop cleanly on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from local.qdrant.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.qdrant", description="Qdrant's engine for one machine")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--grpc-port", type=int, required=True)
    parser.add_argument("--http-port", type=int, required=True)
    options = parser.parse_args()
    # Block the signals before any thread starts: all threads inherit this, and only sigwait below receives them.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    server = Server(options.data, options.grpc_port, options.http_port)
    server.start()
    print("ready", flush=True)
    signal.sigwait(stops)
    server.stop()


if __name__ == "__main__":
    main()
