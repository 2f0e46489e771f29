"""Forwarding from a container to the local cloud, tested on another loopback address."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from local.sam import CannotRun
from local.sam.forwarding import forward_ports

OTHER_LOOPBACK = "127.0.0.2"
REMOTE_ADDRESS = "192.0.2.1"  # reserved for documentation (RFC 5737), so no machine has it


def receive_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def echo() -> Iterator[int]:
    """Serve on 127.0.0.1: return the received bytes in reverse once the client has sent all of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(receive_all(connection)[::-1])

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def send_and_receive(port: int, text: bytes) -> bytes:
    with socket.create_connection((OTHER_LOOPBACK, port), 5) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return receive_all(client)


def test_data_is_forwarded_in_both_directions(echo: int) -> None:
    text = bytes(range(256)) * 4000
    with forward_ports(OTHER_LOOPBACK, [echo]) as listens:
        assert listens
        assert send_and_receive(echo, text) == text[::-1]
        assert send_and_receive(echo, b"again") == b"niaga"
    with pytest.raises(ConnectionRefusedError):
        send_and_receive(echo, b"no more")


def test_a_connection_to_a_closed_port_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with forward_ports(OTHER_LOOPBACK, [port]):
        try:
            response = send_and_receive(port, b"hello")
        except OSError:
            response = b""  # a reset counts as an empty response
    assert response == b""


def test_an_address_of_another_machine_is_not_bound(echo: int) -> None:
    with forward_ports(REMOTE_ADDRESS, [echo]) as listens:
        assert not listens


def test_a_port_in_use_is_named(echo: int) -> None:
    occupied_port = socket.create_server((OTHER_LOOPBACK, echo))
    with (
        occupied_port,
        pytest.raises(CannotRun, match=f"{OTHER_LOOPBACK}:{echo}"),
        forward_ports(OTHER_LOOPBACK, [echo]),
    ):
        pytest.fail("The forwarder listened on a port in use.")
