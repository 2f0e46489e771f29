"""A PostgreSQL primary with a synchronous standby behind one address, as RDS Multi-AZ has them."""

import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psycopg

from local.ports import pick_port
from local.postgres import HOST, Postgres, system_user
from local.processes import Supervisor

_REPLICATION = "host replication all 127.0.0.1/32 scram-sha-256\n"


class Endpoint:
    """One address whose connections go to the server that is current, like the name of an RDS instance or a proxy.

    A failover breaks the connections to the old server, and new ones go to the new server.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def switch(self, target: int) -> None:
        self._target = target
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing.set()
        # Closing a socket does not wake a thread that accepts from it; a connection does.
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            pass
        self._thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closing.is_set():
                client.close()
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

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class DatabasePair:
    """The primary, its standby, and the endpoint in front of them. Call `prepare` on the primary's database first."""

    def __init__(self, folder: Path, supervisor: Supervisor) -> None:
        self._folder, self._supervisor = folder, supervisor
        self.primary = Postgres(folder / "primary", pick_port("postgres", 31600, print))
        self.primary.prepare()
        with (self.primary.data / "pg_hba.conf").open("a") as rules:
            rules.write(_REPLICATION)
        # A supervisor that starts it again would hide the loss.
        supervisor.start(replace(self.primary.spec(), restart=False))
        self.endpoint = Endpoint(self.primary.port)

    def add_standby(self) -> None:
        """Copy the primary and follow it. From then on, a commit is acknowledged once both have it."""
        self.standby = Postgres(self._folder / "standby", pick_port("postgres", 31700, print))
        self.standby.directory.mkdir()
        (self.standby.directory / "password").write_text(self.primary.password)
        self.standby.data.mkdir(mode=0o700)
        user = system_user()
        if user is not None:
            subprocess.run(["chown", "-R", user, str(self.standby.directory)], check=True)
        self.standby._run(
            "pg_basebackup", "--pgdata", str(self.standby.data), "--write-recovery-conf", "--checkpoint=fast",
            "--dbname", f"{self.primary.url()}?application_name=standby",
        )  # fmt: skip
        self._supervisor.start(self.standby.spec())
        with psycopg.connect(self.primary.url(), autocommit=True) as conn:
            conn.execute("alter system set synchronous_standby_names = '*'")
            conn.execute("select pg_reload_conf()")
            deadline = time.monotonic() + 30
            while conn.execute("select 1 from pg_stat_replication where sync_state = 'sync'").fetchone() is None:
                if time.monotonic() > deadline:
                    raise TimeoutError("The standby does not follow the primary.")
                time.sleep(0.1)

    def kill_primary(self) -> None:
        """Kill every process of the primary at once, as a lost machine would."""
        pid = int((self.primary.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
        for process in [pid, *map(int, children.split())]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def fail_over(self) -> float:
        """Promote the standby and switch the endpoint to it. Return the seconds that this took."""
        started = time.monotonic()
        with psycopg.connect(self.standby.url(), autocommit=True) as conn:
            # The new primary has no standby yet; RDS builds one in the background.
            conn.execute("alter system set synchronous_standby_names = ''")
            conn.execute("select pg_promote(true, 60)")
            conn.execute("select pg_reload_conf()")
        self.endpoint.switch(self.standby.port)
        return time.monotonic() - started

    def close(self) -> None:
        self.endpoint.close()
