"""python -m tests.chaos.hungry_writer PORT: write pairs of ever larger workflows until the memory is used up.

It prints the ids of a pair once the pair is acknowledged.
"""

import os
import resource
import sys
from pathlib import Path

from psycopg.types.json import Jsonb

from email_sender.adapters.postgres.database import Database
from email_sender.kit.system_clock import new_id
from local.database import DATABASE, TENANTS
from local.postgres import HOST

TENANT = TENANTS[0].id
_MEMORY = 96 * 1024 * 1024
_INSERT = "insert into workflows (id, tenant_id, name, definition) values (%s, %s, %s, %s)"


def limit_memory() -> None:
    """Allow 96 MB more than the process has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))


def main() -> None:
    database = Database(
        lambda: f"host={HOST} port={sys.argv[1]} dbname={DATABASE} user=app password=app-password connect_timeout=2"
    )
    size = 1_000
    while True:
        first, second = new_id(), new_id()
        with database.tenant(TENANT) as conn:
            conn.execute(_INSERT, [first, TENANT, str(first), Jsonb({})])
            conn.execute(_INSERT, [second, TENANT, str(second), Jsonb({"text": "x" * size})])
            conn.commit()
        sys.stdout.write(f"{first} {second}\n")
        sys.stdout.flush()
        if size == 1_000:
            # Only now, when everything is loaded.
            limit_memory()
        size *= 8


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        sys.stderr.write("MemoryError\n")
        # Lambda ends a function without memory as abruptly.
        os._exit(1)
