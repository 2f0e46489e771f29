"""Check the state that MiniStack saved at its last stop.

MiniStack saves its state on a graceful stop, with the functions' code in separate files. If it is killed while saving,
some functions have no code, and the next deployment would wait for them forever. The state can be dropped, because a
start deploys everything again (docs/guides/local.md).
"""

import re
import shutil
from pathlib import Path

_REFERENCE = re.compile(rb'"code_blob_ref": ?"([0-9a-f]{64})"')


def drop_incomplete_state(services: Path) -> str | None:
    """Remove a state that lacks code. Return a message about it, or None if nothing was removed."""
    functions = services / "lambda.json"
    if not functions.is_file():
        return None
    digests = {match.decode() for match in _REFERENCE.findall(functions.read_bytes())}
    missing_digests = [name for name in digests if not (services / "lambda-blobs" / f"{name}.zip").is_file()]
    if not missing_digests:
        return None
    shutil.rmtree(services)
    return f"Dropped the saved state: it lacks the code of {len(missing_digests)} functions."
