"""python -m local [--once] [--verbose]: the platform on this machine, and its main job."""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from local.cloud import LocalCloud, NotBuilt
from local.layout import Layout


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    cloud = LocalCloud(Layout(Path(".local").resolve()), print)
    with cloud:
        cloud.start()
        print(cloud._layout.endpoints.read_text())
        if options.once: return 0
        time.sleep(10000)
    return 0


if __name__ == "__main__":
    sys.exit(main())
