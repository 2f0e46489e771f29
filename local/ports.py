"""Ports of 127.0.0.1: the documented one where it is free, else the next free one, and a line that says so."""

import socket
from collections.abc import Callable, Container

HOST = "127.0.0.1"
TRIES = 100


class NoFreePort(RuntimeError):
    """None of the ports that were tried can be listened on."""


def is_free(port: int) -> bool:
    """Whether a server may listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do it: a port whose old connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def pick(what: str, preferred: int, report: Callable[[str], None], promised: Container[int] = ()) -> int:
    """`preferred`, or the next port after it that is free and not in `promised` (picked, but not listened on yet).

    Raises:
        NoFreePort: none of the next 100 is free.
    """
    for port in range(preferred, preferred + TRIES):
        if port not in promised and is_free(port):
            if port != preferred:
                report(f"port {preferred} is taken: {what} is on {port}")
            return port
    raise NoFreePort(f"{what}: no free port from {preferred} to {preferred + TRIES - 1}. Stop what listens there.")
