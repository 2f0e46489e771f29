"""Provide the packages of Lambda's Python runtime, and no other package of this environment."""

import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

BROUGHT_BY_LAMBDA = "boto3"


def link_runtime_packages(target: Path, *names: str) -> Path:
    """Fill `target` with links to the installed boto3 (or the given packages) and its dependencies. Return `target`.

    A function that lacks a dependency in its own package then fails as on AWS, although this environment has it.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in set().union(*map(_with_requirements, names or [BROUGHT_BY_LAMBDA])):
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            (target / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return target


def _with_requirements(name: str) -> set[str]:
    packages: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current in packages:
            continue
        try:
            requirements = distribution(current).requires or []
        except PackageNotFoundError:
            continue  # an optional requirement that is not installed
        packages.add(current)
        pending += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements if "extra ==" not in text]
    return packages
