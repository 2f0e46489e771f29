"""The local cloud within the containers' reach: it listens on 127.0.0.1, which in a container is the container."""

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
def forwarded(address: str, ports: Collection[int]) -> Iterator[bool]:
    """Pass on what arrives at these ports of `address` to the same ports of 127.0.0.1.

    Gives False where `address` is not one of this machine's: Docker Desktop's virtual machine passes on by itself.

    Raises:
        CannotRun: a port of that address is taken.
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
            listening = socket.create_server((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise CannotRun(
                f"{address}:{port}, where containers are to find the local cloud, cannot be listened on: {error}. "
                "Stop what listens there."
            ) from error
        servers.append(asyncio.run_coroutine_threadsafe(_server(listening, port), loop).result())
    return True


async def _server(listening: socket.socket, port: int) -> asyncio.Server:
    # The loop keeps no hold of a task whose client has gone, and what waits for the server would be collected.
    held: set[asyncio.Task[None] | None] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        held.add(task)
        with contextlib.closing(writer), contextlib.ExitStack() as at_the_end:
            at_the_end.callback(held.discard, task)
            try:
                onward_reader, onward_writer = await asyncio.open_connection(HOST, port)
            except OSError:
                return  # to a client it is a server that hangs up
            with contextlib.closing(onward_writer):
                await asyncio.gather(_copy(reader, onward_writer), _copy(onward_reader, writer))

    return await asyncio.start_server(forward, sock=listening)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except ConnectionError:
        # One that is broken off on one side is over for the other too.
        writer.transport.abort()


async def _end_connections() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
