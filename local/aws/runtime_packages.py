"""The packages that Lambda's Python runtime brings, and nothing else of this environment."""

import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

BROUGHT_BY_LAMBDA = "boto3"


def link_runtime_packages(target: Path, *names: str) -> Path:
    """Fill `target` with links to boto3 (or what is named) and what it needs, as installed here.

    A function whose own package forgot a dependency then fails here too, although this environment has it.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in set().union(*map(_with_requirements, names or [BROUGHT_BY_LAMBDA])):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            (target / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return target


def _with_requirements(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        try:
            requirements = distribution(current).requires or []
        except PackageNotFoundError:
            continue  # an optional requirement that is not installed
        found.add(current)
        waiting += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements if "extra ==" not in text]
    return found
