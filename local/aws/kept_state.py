"""What MiniStack kept at its last stop, if it is whole.

It writes its state when it is stopped gracefully, functions' code as files beside it. Ended in the middle of that, it
leaves a state whose functions have no code: they would be loaded, and a deployment would wait for them in vain.
Nothing of it is a fact: the deployment is made again (docs/guides/local.md).
"""

import re
import shutil
from pathlib import Path

_REFERENCE = re.compile(rb'"code_blob_ref": ?"([0-9a-f]{64})"')


def drop_what_is_not_whole(services: Path) -> str | None:
    """Remove a state that lacks code. Returns why, or None where there was nothing to remove."""
    functions = services / "lambda.json"
    if not functions.is_file():
        return None
    named = {match.decode() for match in _REFERENCE.findall(functions.read_bytes())}
    missing = [name for name in named if not (services / "lambda-blobs" / f"{name}.zip").is_file()]
    if not missing:
        return None
    shutil.rmtree(services)
    return f"the state of the last stop lacked the code of {len(missing)} functions and was dropped"
