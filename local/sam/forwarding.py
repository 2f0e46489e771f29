"""Let containers reach the local cloud, which listens on 127.0.0.1: in a container, that is the container itself."""

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from local.ports import HOST
from local.sam import CannotRun

CHUNK = 65536


@contextmanager
def forward_ports(address: str, ports: Collection[int]) -> Iterator[bool]:
    """Forward these ports of `address` to the same ports of 127.0.0.1.

    Yields False if `address` does not belong to this machine: Docker Desktop's virtual machine forwards by itself.

    Raises:
        CannotRun: a port of `address` is in use.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="forwards", daemon=True)
    thread.start()
    servers: list[asyncio.Server] = []
    try:
        yield _listen(loop, address, ports, servers)
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_end_connections(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _listen(
    loop: asyncio.AbstractEventLoop, address: str, ports: Collection[int], servers: list[asyncio.Server]
) -> bool:
    for port in ports:
        try:
            listening_socket = socket.create_server((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise CannotRun(
                f"{address}:{port}, at which containers reach the local cloud, is not available: {error}. "
                "Stop the program that uses it."
            ) from error
        servers.append(asyncio.run_coroutine_threadsafe(_start_server(listening_socket, port), loop).result())
    return True


async def _start_server(listening_socket: socket.socket, port: int) -> asyncio.Server:
    # The loop holds only weak references to tasks. Without this set, a waiting task could be garbage-collected.
    running_tasks: set[asyncio.Task[None] | None] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        running_tasks.add(task)
        with contextlib.closing(writer), contextlib.ExitStack() as cleanup:
            cleanup.callback(running_tasks.discard, task)
            try:
                onward_reader, onward_writer = await asyncio.open_connection(HOST, port)
            except OSError:
                return  # the client sees a closed connection
            with contextlib.closing(onward_writer):
                await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))

    return await asyncio.start_server(forward, sock=listening_socket)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        # If one side aborts the connection, close the other side too.
        writer.transport.abort()


async def _end_connections() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
