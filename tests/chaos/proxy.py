"""A TCP proxy that fails in the ways of a network: between functions and one of their dependencies."""

import socket
import struct
import threading
import time
from contextlib import suppress
from enum import StrEnum

from local.ports import pick_port
from local.postgres import HOST

_CHUNK = 65_536
# Zero seconds: closing the socket sends a reset.
_RESET = struct.pack("ii", 1, 0)


class Fault(StrEnum):
    """What the network does from now on."""

    NONE = "none"
    # Connections are reset, and new ones are refused.
    REFUSED = "refused"
    # Connections stay, and nothing gets through, in either direction.
    SILENT = "silent"
    # Each piece of data takes 0.2 s longer, in both directions.
    SLOW = "slow"


class Proxy:
    """Listens on `port`, and connects to `target`."""

    def __init__(self, target: int) -> None:
        self._target, self.port = target, pick_port("proxy", 37_000, print)
        self._fault = Fault.NONE
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._listen()

    def fail(self, fault: Fault) -> None:
        """Start a fault. The faults that close connections do so at once."""
        self._fault = fault
        if fault is Fault.REFUSED:
            self._stop_listening()
            self._reset_connections()

    def heal(self) -> None:
        """End the fault. What was held back is lost with its connection, as after a partition that lasts."""
        was_silent, self._fault = self._fault is Fault.SILENT, Fault.NONE
        if was_silent:
            self._reset_connections()
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        self._stop_listening()
        self._reset_connections()

    def _listen(self) -> None:
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        if (listener := self._listener) is not None:
            self._listener = None
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _reset_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._target), timeout=2)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            self._open |= {client, server}
            back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join()
            self._open -= {client, server}

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if self._fault is Fault.SILENT:
                    continue
                if self._fault is Fault.SLOW:
                    time.sleep(0.2)
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
