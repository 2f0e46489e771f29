"""Choose ports of 127.0.0.1: the preferred one if it is free, else the next free one."""

import socket
from collections.abc import Callable, Container

HOST = "127.0.0.1"
TRIES = 100


class NoFreePort(RuntimeError):
    """All of the ports that were tried are in use."""


def is_free(port: int) -> bool:
    """Return whether a server can listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this option too: a port with old connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def pick_port(part: str, preferred: int, report: Callable[[str], None], reserved: Container[int] = ()) -> int:
    """Return `preferred`, or the next free port after it. `reserved` ports are picked already but not in use yet.

    `preferred` should be below 32768: Linux gives the ports above to connections from here.

    Raises:
        NoFreePort: none of the next 100 is free.
    """
    for port in range(preferred, preferred + TRIES):
        if port not in reserved and is_free(port):
            if port != preferred:
                report(f"Port {preferred} is in use, so {part} uses port {port}.")
            return port
    raise NoFreePort(f"No free port for {part} from {preferred} to {preferred + TRIES - 1}. Stop a program there.")
