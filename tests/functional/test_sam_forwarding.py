"""The way from a container to the local cloud, on another address of the loopback."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from local.sam import CannotRun
from local.sam.forwarding import forwarded

BESIDE = "127.0.0.2"
NOT_HERE = "192.0.2.1"  # of no machine (RFC 5737)


def all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def echo() -> Iterator[int]:
    """A server on 127.0.0.1 that gives back what it got once the client has said all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(all_of(connection)[::-1])

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def asked(port: int, text: bytes) -> bytes:
    with socket.create_connection((BESIDE, port), 5) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return all_of(client)


def test_what_arrives_is_passed_on_and_what_is_answered_comes_back(echo: int) -> None:
    text = bytes(range(256)) * 4000
    with forwarded(BESIDE, [echo]) as listens:
        assert listens
        assert asked(echo, text) == text[::-1]
        assert asked(echo, b"again") == b"niaga"
    with pytest.raises(ConnectionRefusedError):
        asked(echo, b"no more")


def test_where_nothing_listens_a_connection_is_broken_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with forwarded(BESIDE, [port]):
        try:
            answer = asked(port, b"hello")
        except OSError:
            answer = b""  # a reset is as good as an end without a word
    assert answer == b""


def test_an_address_of_another_machine_is_left_to_the_engine(echo: int) -> None:
    with forwarded(NOT_HERE, [echo]) as listens:
        assert not listens


def test_a_port_that_is_taken_is_named(echo: int) -> None:
    taken = socket.create_server((BESIDE, echo))
    with taken, pytest.raises(CannotRun, match=f"{BESIDE}:{echo}"), forwarded(BESIDE, [echo]):
        pytest.fail("it listened where another does")
